"""Forecasts and samples by class: what is saved of a trained model, where there is none, and what
is drawn of it.
"""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from vaezoo.bench.report.figures import units
from vaezoo.bench.report.figures.canvas import COLUMN
from vaezoo.bench.report.figures.classes import _scatters, _strips
from vaezoo.bench.report.figures.forecasts import Forecast, _lines, _rolls
from vaezoo.bench.report.figures.sheets import Line, sheet
from vaezoo.bench.workers import material
from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.registry import registry
from vaezoo.seeds import seeded

VARIANTS = registry.load_registry().variants
CARD = Card("made", "made here", "none", "none")


def saved(name, data, folder):
    """The material of an untrained model."""
    with seeded("weights"):
        model = VARIANTS[name](data.spec)
    material.save_material(model, data, folder, "cpu")
    return load_file(folder / "figures.safetensors")


def sequences(likelihood="bernoulli", has_gaps=True):
    """Rows of 4 to 20 steps, where there are gaps; 11 is the median."""
    spec = Spec((20, 3), likelihood, has_gaps=has_gaps, latent=2, hidden=8, network="rnn")
    with seeded("rows"):
        x = (
            torch.bernoulli(torch.full((30, 20, 3), 0.4))
            if likelihood == "bernoulli"
            else torch.randn(30, 20, 3)
        )
    for i in range(15 * has_gaps):
        x[2 * i, 4 + i % 8 :] = torch.nan
        x[2 * i + 1, 12 + i % 8 :] = torch.nan
    return Data("sequences", spec, x, x, x, CARD)


def labelled(shape):
    spec = Spec(shape, "normal", classes=3, latent=2, hidden=8)
    with seeded("rows"):
        x, y = torch.randn(40, *shape), torch.arange(40) % 2  # of the third class there are no rows
    return Data("labelled", spec, x, x, x, CARD, labels={"train": y, "validation": y, "test": y})


@pytest.mark.parametrize("name", ["vrnn", "rnn", "vae"])
def test_a_forecast_is_made_of_rows_that_are_long_enough(name, tmp_path):
    found = saved(name, sequences(), tmp_path)
    truth, mean = found["forecast_truth"], found["forecast_mean"]
    assert truth.shape[0] == mean.shape[0] == material.FORECASTS
    # the median length, the half that is not seen
    assert (truth.shape[1], mean.shape[1]) == (
        11,
        6,
    )
    assert np.isfinite(truth).all()
    assert "forecast_quantiles" not in found  # 0/1 data


def test_a_forecast_of_real_numbers_has_quantiles_in_their_order(tmp_path):
    found = saved("vrnn", sequences("normal"), tmp_path)
    low, middle, high = found["forecast_quantiles"]
    assert middle.shape == found["forecast_mean"].shape
    assert (low < middle).all()
    assert (middle < high).all()


@pytest.mark.parametrize(
    ("name", "data"),
    [("vae", sequences(has_gaps=False)), ("dsae", sequences())],
)
def test_material_that_does_not_apply_is_missing_and_the_rest_is_there(name, data, tmp_path):
    of_units = {"kl_of_units"} if name == "vae" else set()
    of_codes = {"latent_map", "latent_share"}
    expected = {"x", "reconstruction", "samples"} | of_units | of_codes
    assert set(saved(name, data, tmp_path)) == expected


def test_pictures_have_no_forecast_and_no_samples_by_class_of_a_model_without_classes(tmp_path):
    found = set(saved("vae", labelled((1, 8, 8)), tmp_path))
    assert not {name for name in found if name.startswith(("forecast", "by_class", "cloud"))}


def test_the_kl_of_each_unit_is_kept_and_drawn_the_largest_first(tmp_path):
    data = labelled((2,))
    with seeded("weights"):
        model = VARIANTS["vae"](data.spec)
    material.save_material(model, data, tmp_path, "cpu")
    kept = load_file(tmp_path / "figures.safetensors")["kl_of_units"]
    with torch.no_grad():
        q = model.infer(data.test).latents[0].q
    mean, variance = q.mean, q.variance
    each = (0.5 * (mean**2 + variance - 1 - variance.log())).view(-1, 2).mean(0)
    np.testing.assert_allclose(kept, each, rtol=1e-5)

    figure = units.panels([("vae", np.array([0.5, 2.0])), ("beta", np.array([1.0, 0.1]))], 2.0)
    first, second = figure.axes
    assert [bar.get_height() for bar in first.patches] == [2.0, 0.5]
    assert [bar.get_height() for bar in second.patches] == [1.0, 0.1]
    assert first.get_ylim() == second.get_ylim()


def test_a_figure_that_fails_costs_its_own_material_only(tmp_path, capsys):
    with seeded("weights"):
        model = VARIANTS["vae"](sequences().spec)
    model.sample = lambda *_, **__: [][0]
    material.save_material(model, sequences(), tmp_path, "cpu")
    assert set(load_file(tmp_path / "figures.safetensors")) == {
        "x",
        "reconstruction",
        "forecast_truth",
        "forecast_mean",
        "kl_of_units",
        "latent_map",
        "latent_share",
    }
    assert "IndexError" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cvae", "m2"])
@pytest.mark.parametrize(("shape", "lines"), [((1, 8, 8), material.LINES), ((2,), material.POINTS)])
def test_samples_by_class_have_a_column_a_class(name, shape, lines, tmp_path):
    found = saved(name, labelled(shape), tmp_path)
    assert found["by_class"].shape == found["by_class_data"].shape == (lines, 3, *shape)
    assert np.isfinite(found["by_class"]).all()
    assert np.isnan(found["by_class_data"][:, 2]).all()
    assert np.isfinite(found["by_class_data"][:3, :2]).all()


def forecast(channels, mean=0.0):
    """Two rows of 10 steps, of which 6 are seen."""
    x = np.random.default_rng(0).normal(size=(2, 10, channels))
    quantiles = np.stack([np.full((2, 4, channels), mean + q) for q in (-1.0, 0.0, 1.0)])
    return Forecast(x, quantiles[1], quantiles)


def test_a_forecast_is_drawn_behind_what_was_seen_a_lane_a_channel():
    figure = _lines([("vrnn", forecast(2)), ("rnn", forecast(2, mean=1e6))])
    assert len(figure.axes) == 4
    for ax in figure.axes:
        data, median = ax.get_lines()[:2]
        assert (len(data.get_xdata()), list(median.get_xdata())) == (10, [6, 7, 8, 9])
        assert len(ax.collections) == 2  # a band a channel
        low, high = ax.get_ylim()
        drawn = np.concatenate([line.get_ydata() for line in ax.get_lines()[:4]])
        assert low < drawn.min() < drawn.max() < high
    spread = np.ptp(figure.axes[0].get_lines()[0].get_ydata())
    assert spread > 0.1, "one variant that strays does not flatten the others"


def test_a_long_past_is_cut():
    long = Forecast(np.zeros((2, 100, 1)), np.zeros((2, 10, 1)), None)
    assert (long.start, long.first) == (90, 70)
    assert figure_texts(_lines([("vrnn", long)]))[-1] == "time, in steps (70 to 100)"


def test_a_roll_has_the_truth_on_top_and_a_line_where_the_future_begins():
    x = (np.random.default_rng(0).random((2, 10, 12)) < 0.4).astype(float)
    figure = _rolls([("vrnn", Forecast(x, np.full((2, 4, 12), 0.4), None))])
    assert [ax.get_ylabel() for ax in figure.axes] == ["data", "", "vrnn", ""]
    assert all(list(ax.get_lines()[0].get_xdata()) == [5.5, 5.5] for ax in figure.axes)
    (data, _, model, _) = (np.asarray(ax.get_images()[0].get_array()) for ax in figure.axes)
    assert (data[:, :6] == model[:, :6]).all()
    assert (model[:, 6:] == 0.4).all()


def figure_texts(figure):
    return [text.get_text() for text in figure.texts]


def test_pictures_by_class_stand_in_blocks_with_the_class_below():
    x = np.random.default_rng(0).random((3, 4, 1, 8, 8))
    (figure,) = _strips([("data", x), ("cvae", x)])
    (ax,) = figure.axes
    assert len(ax.get_images()) == 24
    assert words_in(ax) == ["", "data", "", "", "cvae", "", "0", "1", "2", "3"]
    shown = np.stack([image.get_array() for image in ax.get_images()])
    assert (shown.reshape(2, 3, 4, 8, 8) == x[:, :, 0]).all(), "line by line, as they are given"


def words_in(ax):
    return [text.get_text() for text in ax.texts]


def test_pictures_of_a_sheet_touch_their_cell_and_keep_their_shape():
    """(28, 20), in cells of half an inch: as wide as 20/28 of it, in the middle."""
    lines = [Line("a", np.zeros((3, 1, 28, 20)), ["x", "y", "z"]), Line("b", np.ones((2, 3, 4, 8)))]
    figure = sheet(lines, 3, (0.5, 0.5), block=1, apart=0.1)
    (ax,) = figure.axes
    assert figure.get_size_inches() == pytest.approx([3 * 0.5 + 2 * 0.04, 2 * 0.5 + 0.14])
    boxes = [image.get_extent() for image in ax.get_images()]
    half = 0.5 * 20 / 28 / 2
    assert boxes[1] == pytest.approx([0.79 - half, 0.79 + half, 0.5, 0.0])
    assert boxes[3] == pytest.approx([0.0, 0.5, 0.64 + 0.375, 0.64 + 0.125])
    assert ax.get_ylim() == pytest.approx((1.14, 0.0))
    assert [len(image.get_array().shape) for image in ax.get_images()] == [2, 2, 2, 3, 3]
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places["a"][0] < boxes[0][0]
    assert places["y"] == pytest.approx((0.79, 0.5 + 2.5 / 72))


@pytest.mark.parametrize("channels", [2, 12])
def test_sequences_by_class_are_drawn_too(channels):
    x = np.random.default_rng(0).random((3, 6, 10, channels))
    both = list(_strips([("data", x), ("cvae", x)]))
    for page, figure in enumerate(both):
        assert len(figure.axes) == 2 * 3 * 3  # three classes of six
        assert "time, in steps (0 to 10)" in figure_texts(figure)[-1]
        labels = [ax.get_xlabel() for ax in figure.axes[-3:]]
        assert labels == [str(3 * page + k) for k in range(3)]
    assert len(both) == 2


def test_no_class_is_dropped_in_a_narrow_column():
    x = np.random.default_rng(0).random((1, 10, 1, 8, 8))
    drawn = _strips([("data", x)], COLUMN)
    labels = [words for figure in drawn for ax in figure.axes for words in words_in(ax)]
    assert [one for one in labels if one != "data"] == [str(k) for k in range(10)]


def test_points_by_class_have_a_colour_a_class():
    x = np.random.default_rng(0).random((50, 9, 2))
    (figure,) = _scatters([("data", x), ("cvae", x)])
    (data, model) = figure.axes
    looks = {(line.get_color(), line.get_markerfacecolor()) for line in model.get_lines()}
    assert len(looks) == 9
    assert data.get_xlim() == model.get_xlim()
