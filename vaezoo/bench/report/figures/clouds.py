"""Vectors as what they are: two columns as points in the plane, tables as the marginals of their
columns.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import cells, columns_that_fit, grid, label, lines_that_fit, pages
from .material import Arrays, Material
from .palette import COLOURS, GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PLANE = (1.45, 1.45)  # inches
APART = (0.12, 0.3)
EDGE = 0.45  # inches of the numbers on the left
CURVE = (1.0, 0.55)  # inches of a marginal
GAP = (0.1, 0.1)
BINS = 30
SHOWN = (0.5, 99.5)  # percentiles of the data that a marginal shows at least
Shown = Sequence[tuple[str, Arrays]]


def points(material: Material) -> Iterator["Canvas"]:
    """Draws of x of each variant (colour) over rows of the test split (grey), all on the scale of
    the data.
    """
    found = [one for one in material.arrays("cloud") if one[1]["cloud"].shape[1] == 2]
    across = columns_that_fit(material.width, PLANE[0], APART[0], EDGE)
    size = across * lines_that_fit(PLANE[1], APART[1])
    for page in pages(found, size):
        yield scatters(page, across)


def scatters(found: Shown, across: int) -> "Canvas":
    """A panel a variant, so many side by side."""
    figure, panels = cells(len(found), across, PLANE, APART)
    data = found[0][1]["cloud_data"]
    for i, (ax, (name, arrays)) in enumerate(zip(panels, found, strict=True)):
        x = arrays["cloud"]
        ax.plot(data[:, 0], data[:, 1], ".", color=GREY, markersize=4, mew=0)
        ax.plot(x[:, 0], x[:, 1], ".", color=INK, markersize=2.5, mew=0, alpha=0.8)
        ax.set_title(f"{name}{_beyond(data, x)}", fontsize=7, pad=3)
        plane(ax, data, is_labelled=i % across == 0)
    label(figure, "draws of the model (colour) over test rows (grey)", 0.22)
    return figure


def plane(ax: "Axes", data: np.ndarray, is_labelled: bool) -> None:
    """Axes around the data (N, D), with numbers below, and to the left where they are labelled."""
    ax.set(xlim=_around(data[:, 0]), ylim=_around(data[:, 1]))
    ax.locator_params(nbins=4)
    ax.tick_params(labelsize=6, pad=2, labelleft=is_labelled)


def _beyond(data: np.ndarray, x: np.ndarray) -> str:
    """How many of the points lie outside of the panel, where some do."""
    outside = np.zeros(len(x), bool)
    for column in range(2):
        low, high = _around(data[:, column])
        outside |= ~((x[:, column] >= low) & (x[:, column] <= high))
    return f" ({outside.sum()} outside)" if outside.any() else ""


def _around(values: np.ndarray) -> tuple[float, float]:
    """From the lowest to the highest of the data, and a fifth of that to either side."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.2 * (high - low) or 0.5
    return low - room, high + room


def marginals(material: Material) -> list["Canvas"]:
    """How the draws of each variant (line) and the test rows (grey) are spread in each column of a
    table: a row a variant, a panel a column.
    """
    found = [one for one in material.arrays("cloud") if one[1]["cloud"].shape[1] != 2]
    if not found:
        return []
    across = columns_that_fit(material.width, CURVE[0], GAP[0])
    width = found[0][1]["cloud"].shape[1]
    drawn = []
    for columns in pages(range(width), across):
        size = lines_that_fit(CURVE[1], GAP[1])
        drawn += [histograms(page, columns) for page in pages(found, size)]
    return drawn


def histograms(found: Shown, columns: Sequence[int]) -> "Canvas":
    """The densities of these columns."""
    figure, panels = grid(len(found), len(columns), CURVE, GAP)
    first = found[0][1]
    names = _names(first)
    for line, (name, arrays) in zip(panels, found, strict=True):
        for ax, column in zip(line, columns, strict=True):
            _spread(ax, first["cloud_data"][:, column], arrays["cloud"][:, column])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    for ax, column in zip(panels[0], columns, strict=True):
        known = names[column] if column < len(names) else f"column {column + 1}"
        ax.set_title(known if len(known) < 20 else f"{known[:19]}…", fontsize=7, pad=3)
    for ax in panels[:-1].ravel():
        ax.tick_params(labelbottom=False)
    words = "draws of the model (line) and test rows (grey), as densities"
    figure.supxlabel(words, fontsize=8, y=-0.22 / figure.get_figheight(), va="top")
    return figure


def _spread(ax: "Axes", data: np.ndarray, x: np.ndarray) -> None:
    """Of one column: bars at every value of few, else bins over what the data have."""
    data = data[np.isfinite(data)]
    edges = _edges(data)
    ax.hist(data, list(edges), density=True, color=GREY)
    inside = x[(x >= edges[0]) & (x <= edges[-1])]
    weights = np.full(len(inside), 1 / (max(len(x), 1) * (edges[1] - edges[0])))
    ax.hist(inside, list(edges), weights=weights, histtype="step", color=COLOURS[0], linewidth=1.1)
    ax.set(yticks=[], xlim=(edges[0], edges[-1]))
    ax.locator_params(axis="x", nbins=3)
    ax.tick_params(labelsize=6, pad=2)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)


def _edges(data: np.ndarray) -> np.ndarray:
    """Of equal bins: around whole numbers where the data have few, else over the data and a tenth
    of their range to either side.
    """
    values = np.unique(data)
    if len(values) and len(values) <= BINS and np.array_equal(values, np.round(values)):
        low, high = values[0], values[-1]
        if high - low <= BINS:
            return np.arange(low - 0.5, high + 1)
    low, high = np.percentile(data, SHOWN) if len(data) else (0.0, 1.0)
    room = 0.1 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


def _names(arrays: Arrays) -> list[str]:
    """Of the columns, where the file had some."""
    letters = arrays.get("cloud_names", np.zeros(0)).astype(int)
    return "".join(map(chr, letters)).split("\0")[:-1]


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("points", points), Figure("marginals", marginals)]
