"""Figures as a paper wants them: one palette, the width of a column or a page, names that can be
read.
"""

import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from vaezoo.bench.report.drawing import fitted, rendered
from vaezoo.bench.report.families import EVERY
from vaezoo.bench.report.figures import rates, scatter
from vaezoo.bench.report.figures.canvas import COLUMN, PAGE
from vaezoo.bench.report.figures.palette import COLOURS, mark_of
from vaezoo.bench.report.pairs import DISTORTION, RATE, Point, unbeaten

TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
WHITE = np.array([0.9505, 1.0, 1.0888])
# Machado et al. 2009, table 1, severity 1.0
EYES = {
    "usual": np.eye(3),
    "protan": np.array(
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]
    ),
    "deutan": np.array(
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]
    ),
    "tritan": np.array(
        [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9309, 0.1476], [0.0047, 0.6914, 0.3039]]
    ),
}


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB (N, 3)."""
    x = rgb @ TO_XYZ.T / WHITE
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    steps = f[:, 0] - f[:, 1], f[:, 1] - f[:, 2]
    return np.stack([116 * f[:, 1] - 16, 500 * steps[0], 200 * steps[1]], -1)


def linear() -> np.ndarray:
    """The palette as linear RGB."""
    bytes_ = [[int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)] for one in COLOURS]
    c = np.array(bytes_)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("eye", EYES)
def test_colours_stay_apart_for_every_eye(eye):
    seen = lab(np.clip(linear() @ EYES[eye].T, 0, 1))
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 25


def test_colours_stay_apart_in_grey_print():
    lightness = np.sort(lab(linear())[:, 0])
    assert np.diff(lightness).min() > 8
    assert lightness.max() < 75, "a line must be seen on white"


def test_families_differ_by_mark_and_not_by_colour_alone():
    marks = [mark_of(family.name) for family in EVERY]
    assert len({(one.shape, one.is_hollow) for one in marks}) == len(EVERY)


def made(n: int) -> list[Point]:
    """So many points of all families, in a cloud with some far out."""
    x, y = np.random.default_rng(0).standard_t(2, (2, n))
    names = [one.name for one in EVERY]
    return [Point(f"variant_{i}", x[i], y[i], "", names[i % len(names)]) for i in range(n)]


def width_of(pdf: bytes) -> float:
    """Inches."""
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", pdf)
    return float(box[1]) / 72


def names_in(figure: Canvas) -> list[Text]:
    return [text for ax in figure.axes for text in ax.texts if text.get_text().startswith("var")]


def test_at_most_twenty_names_stand_beside_points_and_cover_no_other():
    points = made(60)
    figure = scatter.scatter(points, (RATE, DISTORTION), PAGE)
    named = names_in(figure)
    assert 10 <= len(named) <= scatter.NAMED
    shown = {text.get_text() for text in named}
    best = {point.name for point in unbeaten(points, "lower", "lower")}
    assert shown & best
    figure.draw_without_rendering()
    for a, b in combinations([text.get_window_extent() for text in named], 2):
        assert not a.overlaps(b)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [family.title for family in EVERY]


def test_few_points_are_all_named_and_many_have_a_panel_a_family():
    assert len(names_in(scatter.scatter(made(8), (RATE, DISTORTION), COLUMN))) == 8
    panels = rates.families(made(42), PAGE)
    titles = [ax.get_title() for ax in panels.axes if ax.get_title()]
    assert titles == [family.title for family in EVERY]
    assert len(names_in(panels)) == 42


@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_a_figure_is_as_wide_as_the_column_or_the_page(width):
    figure = scatter.scatter(made(40), (RATE, DISTORTION), width)
    pdf = rendered(fitted(figure, width), "pdf")
    assert 0.9 * width < width_of(pdf) <= width + 0.01
    assert b"/FontFile2" in pdf, "letters are letters"


def test_a_figure_of_a_plugin_is_made_to_fit_and_its_letters_keep_their_size():
    figure = Canvas(figsize=(10, 4))
    ax = figure.subplots()
    ax.set_ylabel("what is drawn", fontsize=8)
    figure.suptitle("a long title of many words that is wider than one column of a paper is wide")
    pdf = rendered(fitted(figure, COLUMN), "pdf")
    assert width_of(pdf) <= COLUMN + 0.01
    assert ax.yaxis.label.get_fontsize() == 8
    assert rendered(figure, "pdf") == pdf, "the same figure gives the same bytes"
