"""Sheets of pictures: lines of them, with a name to the left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .canvas import canvas, grid, tops_of
from .palette import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

GAP = (0.04, 0.04)  # inches between pictures
ASIDE = 4 / 72  # inches from a picture to the name of its line
BELOW = 2.5 / 72  # inches from a picture to the words below it
FRAME = 0.8  # points
Box = tuple[float, float, float, float]  # left, right, bottom, top, in inches
IMAGES: dict[str, Any] = {
    "cmap": "gray_r",
    "vmin": 0,
    "vmax": 1,
    "interpolation": "nearest",
    "aspect": "auto",
}


class Line(NamedTuple):
    """Pictures side by side: images (C, H, W), or sequences (T, C)."""

    name: str
    pictures: Sequence[np.ndarray] | np.ndarray
    below: Sequence[str] = ()  # a word for each picture
    size: float = 6.0  # points, of these words


def sheet(
    lines: Sequence[Line],
    columns: int,
    cell: tuple[float, float],
    gap: tuple[float, float] = GAP,
    block: int = 1,
    apart: float = 0.0,
    is_shared: bool = False,
) -> "Canvas":
    """The lines, one below the other, laid out as `grid` does; where `is_shared`, all sequences
    have one range of values and of time.
    """
    if any(one.ndim == 3 for line in lines for one in line.pictures):
        tops = tops_of(len(lines), cell[1], gap[1], block, apart)
        return _images(lines, columns, cell, gap[0], tops)
    figure, panels = grid(len(lines), columns, cell, gap, block, apart)
    for axes, line in zip(panels, lines, strict=True):
        for ax, one in zip(axes, line.pictures, strict=False):
            sequence(ax, one)
        finish(axes, line.name)
        for ax, words in zip(axes, line.below, strict=False):
            ax.set_xlabel(words, fontsize=line.size, labelpad=2)
    if is_shared:
        share_axes(panels)
    return figure


def _images(
    lines: Sequence[Line],
    columns: int,
    cell: tuple[float, float],
    aside: float,
    tops: Sequence[float],
) -> "Canvas":
    """All in one pair of axes, in inches from the upper left: a pair for each picture would take
    several times as long to make and to draw. Pictures stand `aside` from each other.
    """
    from matplotlib.collections import PolyCollection

    (width, height) = cell
    across = columns * width + (columns - 1) * aside
    down = tops[-1] + height
    figure = canvas(across, down)
    figure.suppressComposite = True  # else an SVG has one picture for all, in other pixels
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_autoscale_on(False)

    lefts = [k * (width + aside) for k in range(columns)]
    boxes = [
        box
        for line, top in zip(lines, tops, strict=True)
        for box in _line(ax, line, top, lefts, cell)
    ]
    corners = [_corners(box) for box in boxes]
    ax.add_collection(
        PolyCollection(corners, facecolors="none", edgecolors="black", linewidths=FRAME)
    )
    ax.set(xlim=(0, across), ylim=(down, 0))
    return figure


def _line(
    ax: "Axes", line: Line, top: float, lefts: Sequence[float], cell: tuple[float, float]
) -> list[Box]:
    """Draws the line's pictures and words, and returns where the pictures are."""
    (width, height) = cell
    middle = top + height / 2
    boxes = []
    for one, left in zip(line.pictures, lefts, strict=False):
        box = _inside(one.shape[-2:], cell, left + width / 2, middle)
        ax.imshow(_pixels(one), extent=box, **IMAGES)
        boxes.append(box)
    begin = boxes[0][0] if boxes else 0.0
    ax.text(begin - ASIDE, middle, line.name, ha="right", va="center", fontsize=8)
    for words, left in zip(line.below, lefts, strict=False):
        place = left + width / 2, top + height + BELOW
        ax.text(*place, words, ha="center", va="top", fontsize=line.size)
    return boxes


def _pixels(image: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H, W, 3), or (H, W) of grey."""
    last = np.moveaxis(image, 0, -1)
    return last if last.shape[-1] == 3 else last[..., 0]


def _inside(shape: tuple[int, ...], cell: tuple[float, float], centre: float, middle: float) -> Box:
    """Of the largest such picture (H, W) in the cell."""
    (high, wide) = shape
    size = min(cell[0] / wide, cell[1] / high)
    (half_width, half_height) = size * wide / 2, size * high / 2
    return centre - half_width, centre + half_width, middle + half_height, middle - half_height


def _corners(box: Box) -> list[tuple[float, float]]:
    (left, right, bottom, top) = box
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def sequence(ax: "Axes", x: np.ndarray) -> None:
    """A sequence (T, C) as lines or, where wide, as a roll with time to the right."""
    if not is_roll(x):
        for channel in range(x.shape[1]):
            ax.plot(x[:, channel], linewidth=0.7, color=colour(channel))
        return
    ax.imshow(
        x.T,
        cmap="gray_r",
        vmin=0,
        vmax=1,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
    )


def is_roll(x: np.ndarray) -> bool:
    """Whether a sequence (T, C) is a picture: many channels, none below 0."""
    return x.ndim == 2 and x.shape[-1] > 8 and not _is_signed(x)


def _is_signed(x: np.ndarray) -> bool:
    return bool(np.nanmin(x) < 0) if np.isfinite(x).any() else False


def finish(axes: Sequence["Axes"], name: str) -> None:
    """No ticks, and the name to the left."""
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    axes[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)


def share_axes(panels: np.ndarray) -> None:
    """One range of values and of time for all lines, so that strips can be compared."""
    lines = [line for ax in panels.ravel() for line in ax.get_lines()]
    if not lines:
        return
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    low = np.nanmin(values)
    high = np.nanmax(values)
    longest = max(len(line.get_ydata()) for line in lines)
    for ax in panels.ravel():
        ax.set(ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)), xlim=(0, longest - 1))
