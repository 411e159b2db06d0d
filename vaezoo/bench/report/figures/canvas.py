"""What all figures share: the canvas, a grid of panels, pages."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 239.0 / 72  # inches: one column of two, as journals have it
PAGE = 498.0 / 72  # inches: both columns
TALLEST = 9.0  # inches of one figure; what is longer goes to further pages
NAMES = 0.95  # inches that the names on the left take


def lines_that_fit(height: float, below: float, room: float = 0.6) -> int:
    """Lines of panels so high, and so far apart, that one figure has room for beside `room` inches
    of labels; one at least.
    """
    return max(1, int((TALLEST - room + below) / (height + below)))


def columns_that_fit(width: float, cell: float, aside: float, room: float = NAMES) -> int:
    """Panels of this width, so far apart, that stand side by side beside the names."""
    return max(1, int((width - room + aside) / (cell + aside)))


def pages(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in pages of that size."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def grid(
    lines: int,
    columns: int,
    cell: tuple[float, float],
    gap: tuple[float, float],
    block: int = 1,
    apart: float = 0.0,
) -> tuple["Figure", np.ndarray]:
    """A figure that its panels fill, and the panels (lines, columns); saving takes in the labels.

    (width, height) of a panel and between panels in inches; blocks of lines stand further apart by
    `apart` inches.
    """
    (width, height) = cell
    (aside, below) = gap
    tops = tops_of(lines, height, below, block, apart)
    across = columns * width + (columns - 1) * aside
    down = tops[-1] + height
    figure = canvas(across, down)
    panels = np.empty((lines, columns), object)
    for i, top in enumerate(tops):
        for j in range(columns):
            left = j * (width + aside)
            place = left / across, 1 - (top + height) / down, width / across, height / down
            panels[i, j] = figure.add_axes(place)
    return figure, panels


def tops_of(lines: int, height: float, below: float, block: int, apart: float) -> list[float]:
    """Inches from the top at which each line begins."""
    return [i * (height + below) + i // block * apart for i in range(lines)]


def cells(
    n: int, across: int, cell: tuple[float, float], gap: tuple[float, float]
) -> "tuple[Figure, list[Axes]]":
    """A figure of n panels, so many side by side at most, and its panels line by line."""
    columns = min(across, n)
    figure, panels = grid(math.ceil(n / columns), columns, cell, gap)
    return figure, used(panels, n)


def evenly(
    n: int,
    across: int,
    width: float,
    slope: float,
    room: float,
    tallest: float = math.inf,
    is_shared: bool = False,
) -> "tuple[Figure, list[Axes]]":
    """A figure of this width of n panels, laid out by matplotlib, so many side by side at most, and
    its panels line by line. A panel is `slope` times as high as it is wide; `room` inches are left
    for words, and the figure is `tallest` inches at most. Where `is_shared` all have one scale.
    """
    columns = max(1, min(n, across))
    lines = math.ceil(n / columns)
    figure = canvas(width, min(tallest, slope * width / columns * lines + room))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=is_shared, sharey=is_shared)
    return figure, used(panels, n)


def used(panels: np.ndarray, n: int) -> list["Axes"]:
    """The first n panels; the others are left empty."""
    every: list[Axes] = list(panels.ravel())
    for ax in every[n:]:
        ax.set_axis_off()
    return every[:n]


def label(figure: "Figure", words: str, below: float, left: str = "", aside: float = 0.0) -> None:
    """Words so many inches below all panels, and to the left of them: saving takes them in."""
    figure.supxlabel(words, fontsize=8, y=-below / figure.get_figheight(), va="top")
    if left:
        figure.supylabel(left, fontsize=8, x=-aside / figure.get_figwidth(), ha="right")


def canvas(width: float, height: float) -> "Figure":
    """An empty figure, in inches, without matplotlib's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def caption(figure: "Figure", title: str, below: str = "", room: float = 0.0) -> None:
    """A title above the panels, and a line below them and below `room` inches of labels."""
    figure.suptitle(title, fontsize=9, y=1 + 0.08 / figure.get_figheight(), va="bottom")
    if below:
        label(figure, below, room + 0.05)


def round_steps(low: float, high: float, about: int = 6) -> list[float]:
    """Some round numbers between two others."""
    size = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(size))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= size)
    return [round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
