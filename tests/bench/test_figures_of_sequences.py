"""What a figure of sequences shows, before it is drawn."""

import numpy as np

from vaezoo.bench.figures import _strips, _trimmed, _where_seen


def rolls() -> np.ndarray:
    """Two rolls of 10 steps and 20 channels that sound in channels 5 to 8, the first for 6 steps, the second for 4."""
    x = np.zeros((2, 10, 20), np.float32)
    x[:, :, 5], x[:, 2, 8] = 1, 1
    x[0, 6:], x[1, 4:] = np.nan, np.nan
    return x


def test_a_reconstruction_ends_where_its_row_ends():
    mean = _where_seen(np.full((2, 10, 20), 0.5, np.float32), rolls())
    assert [int(np.isfinite(row).all(-1).sum()) for row in mean] == [6, 4]


def test_a_step_that_is_missing_in_the_middle_keeps_its_reconstruction():
    x = rolls()
    x[0, 2] = np.nan
    assert np.isfinite(_where_seen(np.ones_like(x), x)[0, 2]).all()


def test_an_image_is_left_as_it_is():
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    assert _where_seen(images, images) is images


def test_rolls_are_cut_to_the_steps_and_channels_in_which_something_happens():
    (_, data), (_, model) = _trimmed([("data", rolls()), ("model", np.full((2, 10, 20), 0.01))], 4)
    assert data.shape == (2, 10, 4)  # the model's strip has all ten steps
    assert model.shape == data.shape
    ((_, alone),) = _trimmed([("data", rolls())], 4)
    assert alone.shape == (2, 6, 4)


def test_lines_share_one_scale_and_are_not_cut():
    x = np.random.default_rng(0).normal(size=(3, 12, 2))
    figure = _strips([("data", x), ("model", 5 * x)], "t")
    drawn = [ax for ax in figure.axes if ax.get_lines()]
    assert len(drawn) == 6
    assert len({ax.get_ylim() for ax in drawn}) == 1
    assert len(drawn[0].get_lines()) == 2  # a line a channel, no scatter plot
