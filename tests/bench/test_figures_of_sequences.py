"""What a figure of sequences shows, before it is drawn, and that grids of any length leave no empty
bands.
"""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vaezoo.bench.report.figures.curves import panels
from vaezoo.bench.report.figures.strips import strips, trimmed, where_seen


def rolls() -> np.ndarray:
    """Two rolls of 10 steps and 20 channels that sound in channels 5 to 8, the first for 6 steps,
    the second for 4.
    """
    x = np.zeros((2, 10, 20), np.float32)
    x[:, :, 5], x[:, 2, 8] = 1, 1
    x[0, 6:], x[1, 4:] = np.nan, np.nan
    return x


def test_a_reconstruction_ends_where_its_row_ends():
    mean = where_seen(np.full((2, 10, 20), 0.5, np.float32), rolls())
    assert [int(np.isfinite(row).all(-1).sum()) for row in mean] == [6, 4]


def test_a_step_that_is_missing_in_the_middle_keeps_its_reconstruction():
    x = rolls()
    x[0, 2] = np.nan
    assert np.isfinite(where_seen(np.ones_like(x), x)[0, 2]).all()


def test_an_image_is_left_as_it_is():
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    assert where_seen(images, images) is images


def test_rolls_are_cut_to_the_steps_and_channels_in_which_something_happens():
    (_, data), (_, model) = trimmed([("data", rolls()), ("model", np.full((2, 10, 20), 0.01))], 4)
    assert data.shape == (2, 10, 4)  # the model's strip has all ten steps
    assert model.shape == data.shape
    ((_, alone),) = trimmed([("data", rolls())], 4)
    assert alone.shape == (2, 6, 4)


def test_lines_share_one_scale_and_are_not_cut():
    x = np.random.default_rng(0).normal(size=(3, 12, 2))
    figure = strips([("data", x), ("model", 5 * x)], "t")
    drawn = [ax for ax in figure.axes if ax.get_lines()]
    assert len(drawn) == 6
    assert len({ax.get_ylim() for ax in drawn}) == 1
    assert len(drawn[0].get_lines()) == 2  # a line a channel, no scatter plot


@pytest.mark.parametrize("rows", [1, 12])
def test_a_grid_fills_its_figure_whatever_its_length(rows):
    """Above the panels there is room for a title alone, below them for ticks and a label, in
    inches.
    """
    curve = [([1.0, 2.0], [3.0, 2.0], 2)]
    images = np.random.default_rng(0).random((8, 1, 8, 8))
    for figure in (
        strips([(str(i), images) for i in range(rows)], "title"),
        panels([("vae", curve)] * 4 * rows),
    ):
        FigureCanvasAgg(figure).draw()
        places = [ax.get_position() for ax in figure.axes]
        whole = figure.get_tightbbox()
        assert whole.y1 - max(p.y1 for p in places) * figure.get_figheight() < 0.4
        assert min(p.y0 for p in places) * figure.get_figheight() - whole.y0 < 0.5
