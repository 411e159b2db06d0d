"""Samples as a picture: of a size that one can see, any number of channels, any range."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.cli.drawing import draw


def drawn(x: torch.Tensor, folder: Path) -> np.ndarray:
    draw(folder / "x.png", x)
    return np.asarray(Image.open(folder / "x.png"))


@pytest.mark.parametrize(
    ("channels", "width", "alpha"), [(1, 8, 0), (2, 16, 0), (3, 8, 0), (4, 8, 1), (5, 40, 0)]
)
def test_every_number_of_channels_is_drawn(channels: int, width: int, alpha: int, tmp_path: Path):
    x = torch.rand(8, channels, 8, 8)
    x[:, -1] = 0.5
    found = drawn(x, tmp_path)
    times = 64 // max(8, width) + (64 % max(8, width) > 0)
    assert found.shape[:2] == (8 * times, 8 * width * times)
    assert (found[..., 3] < 255).any() == bool(alpha)


def test_small_images_are_enlarged_and_large_ones_are_not(tmp_path: Path):
    assert drawn(torch.rand(8, 1, 5, 5), tmp_path).shape[:2] == (65, 520)
    assert drawn(torch.rand(8, 1, 100, 80), tmp_path).shape[:2] == (100, 640)
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 0, 1] = 1
    found = drawn(x, tmp_path)[..., 0]
    assert (found[:8, 8:16] == 255).all()
    assert found.astype(int).sum() == 64 * 255


def test_values_within_the_unit_are_kept_and_others_drawn_by_their_own_range(tmp_path: Path):
    grey = torch.full((8, 1, 8, 8), 0.5)
    assert abs(int(drawn(grey, tmp_path)[0, 0, 0]) - 128) <= 1
    grey[0, 0, 0, 0] = 1.2  # a density's mean may be a little beyond
    assert abs(int(drawn(grey, tmp_path)[0, 100, 0]) - 128) <= 1
    wide = torch.linspace(-300, 700, 8 * 64).reshape(8, 1, 8, 8)
    found = drawn(wide, tmp_path)[..., 0]
    assert (found.min(), found.max()) == (0, 255)


def test_a_table_is_written_as_parquet_too(tmp_path: Path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    data = vaezoo.dataset("ring", rows=60)
    model = vaezoo.variants()["vae"](data.spec)
    vaezoo.fit(model, data, epochs=1)
    vaezoo.save(model, tmp_path / "m.safetensors")
    for verb, more in (("encode", ["-d", "ring[rows=60]"]), ("score", ["-d", "ring[rows=60]"]),
                       ("sample", ["-n", "3"])):  # fmt: skip
        out = tmp_path / f"{verb}.parquet"
        words = [verb, str(tmp_path / "m.safetensors"), *more, "-o", str(out)]
        result = CliRunner().invoke(program, words)
        assert result.exit_code == 0, result.output
        assert len(pd.read_parquet(out)) > 2
