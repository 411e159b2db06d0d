"""Values to x and back: exact in float64, the same after JSON, a density with its Jacobian."""

import json
import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from vaezoo.data.files import BadData
from vaezoo.data.reader import Reader, fitted

UNIX = 1.7e9 + torch.arange(60, dtype=torch.float64)[:, None] * torch.tensor([1.0, 30.0])
PLAIN = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def reader_of(values: torch.Tensor, **fields: object) -> Reader:
    mean, deviation = fitted(values, values.ndim == 4)
    return Reader(mean, deviation, **fields)


def test_times_are_standardised_in_float64_and_come_back_to_the_millisecond():
    reader = reader_of(UNIX)
    x = reader.read(UNIX)
    assert x.dtype == torch.float32
    assert len(x[:, 0].unique()) == 60  # as float32 they were one value for two minutes
    assert (x.double().mean(0).abs() < 1e-6).all()
    assert (x.double().square().mean(0) - 1).abs().max() < 1e-6
    assert (reader.back(x) - UNIX).abs().max() < 1e-3
    assert (reader.back(reader.read(UNIX, torch.float64)) - UNIX).abs().max() < 1e-6


def test_every_byte_is_its_255th_to_the_bit():
    pixels = torch.arange(256, dtype=torch.uint8).view(4, 8, 8)
    reader = Reader(deviation=(255.0,), layout="HW")
    x = reader.read(pixels)
    assert torch.equal(x, (pixels.float() / 255)[:, None])
    assert torch.equal(reader.back(x).round().to(torch.uint8), pixels)


def test_channels_last_and_marks_of_gaps_there_and_back():
    values = torch.arange(2 * 4 * 5 * 3, dtype=torch.float64).view(2, 4, 5, 3)
    reader = Reader((1.0, 2.0, 3.0), (2.0, 4.0, 8.0), layout="HWC", missing=(7.0,))
    x = reader.read(values, torch.float64)
    assert x.shape == (2, 3, 4, 5)
    assert x[0, 1, 0, 2].isnan()  # 7 stood at row 0, column 2, channel 1
    assert x[1, 2, 0, 1] == (values[1, 0, 1, 2] - 3) / 8
    again = reader.back(x)
    assert torch.equal(again[values != 7], values[values != 7])


def test_a_constant_column_stays_finite_and_gaps_stay_gaps():
    values = PLAIN.clone()
    values[:, 1] = 0.1
    values[2, 0] = math.nan
    x = reader_of(values).read(values)
    assert (x[:, 1].abs() < 1e-6).all()
    assert x[2, 0].isnan()
    assert x.isnan().sum() == 1


def test_a_column_that_is_all_gaps_in_training_stays_a_gap():
    values = PLAIN.clone()
    values[:, 2] = math.nan
    reader = reader_of(values)
    assert reader.read(values)[:, 2].isnan().all()
    assert torch.equal(reader.read(PLAIN)[:, 2], PLAIN[:, 2].float())


def test_the_density_in_the_files_units_is_that_of_x_and_the_jacobian():
    """Exactly: N(m, S) of values against the Normal that the standardised x has."""
    g = torch.Generator().manual_seed(1)
    root = torch.randn(3, 3, generator=g, dtype=torch.float64)
    mean = torch.tensor([40.0, -3.0, 1e5], dtype=torch.float64)
    own = MultivariateNormal(mean, root @ root.T + torch.eye(3))
    values = own.sample((50,))
    reader = reader_of(values)
    scale = torch.tensor(reader.deviation, dtype=torch.float64)
    inside = MultivariateNormal(
        (mean - torch.tensor(reader.mean, dtype=torch.float64)) / scale,
        own.covariance_matrix / scale[:, None] / scale,
    )
    x = reader.read(values, torch.float64)
    found = inside.log_prob(x) + reader.log_jacobian(x)
    assert (found - own.log_prob(values)).abs().max() < 1e-9


def test_of_entries_that_are_not_there_no_jacobian_is_counted():
    x = torch.tensor([[0.5, math.nan], [1.0, 2.0]], dtype=torch.float64)
    reader = Reader((1.0, 2.0), (10.0, 100.0))
    assert reader.log_jacobian(x).tolist() == pytest.approx([-math.log(10), -math.log(1000)])
    seen = Normal(1.0, 10.0).log_prob(torch.tensor(6.0))
    inside = Normal(0.0, 1.0).log_prob(torch.tensor(0.5))
    assert inside + reader.log_jacobian(x)[0] == pytest.approx(seen.item(), abs=1e-6)


def test_json_gives_the_same_reader():
    reader = reader_of(UNIX, names=("a", "b"), classes=("no", "yes"), table={"separator": ";"})
    again = Reader.from_json(json.loads(json.dumps(reader.as_json())))
    assert again == reader
    assert Reader().as_json() == {}
    assert Reader.from_json({}) == Reader()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"deviation": [0.0]}, "above 0"),
        ({"mean": [math.inf]}, "finite"),
        ({"layout": "WH"}, "layout"),
        ({"colour": 1}, "unknown here: colour"),
        ({"mean": "a"}, "cannot be read"),
    ],
)
def test_what_is_no_reader_is_refused(values: dict[str, object], words: str):
    with pytest.raises(BadData, match=words):
        Reader.from_json(values)
