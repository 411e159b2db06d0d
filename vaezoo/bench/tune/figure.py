"""What the best of n draws is expected to be, a panel a variant."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.figures.canvas import grid
from ..report.figures.palette import ACCENT, INK
from .tune import COLUMN, Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLUMNS = 5
REACH = 3.0  # nats below the best end that a panel shows, or to the worst end where that is lower


def expected_best_figure(found: Sequence[Tuned]) -> "Canvas | None":
    """Of the variants of one data set that were tuned, the best first; None where none was.

    Each panel has the curves of all in grey, its own in ink, and a dot where the default is.
    """
    tuned = sorted((one for one in found if one.expected), key=lambda one: -one.expected[-1])
    if not tuned:
        return None
    lines = math.ceil(len(tuned) / COLUMNS)
    figure, axes = grid(lines, min(COLUMNS, len(tuned)), (1.2, 0.95), (0.15, 0.32))
    limits = _limits(tuned)
    for ax, one in zip(axes.ravel(), tuned, strict=False):
        _panel(ax, one, tuned, limits)
    for ax in axes[:, 1:].ravel():
        ax.tick_params(labelleft=False)
    for ax in axes.ravel()[len(tuned) :]:
        ax.set_axis_off()
    below = -0.22 / figure.get_figheight()
    figure.supxlabel("draws (dot: the default)", fontsize=8, y=below, va="top")
    words = f"{COLUMN.replace('_', ' ')} expected of the best (nats)"
    figure.supylabel(words, fontsize=8, x=-0.4 / figure.get_figwidth(), ha="right")
    return figure


def _panel(ax: "Axes", one: Tuned, every: Sequence[Tuned], limits: tuple[float, float]) -> None:
    for other in every:
        _draw(ax, other, "0.8", 0.5)
    _draw(ax, one, INK, 1.4)
    if math.isfinite(one.default):
        shown = max(one.default, limits[0])
        ax.plot([1], [shown], "o", color=ACCENT, markersize=3.5, clip_on=False)
    ax.set_title(one.candidates.name, fontsize=8, pad=3)
    ax.set_ylim(*limits)
    ax.tick_params(labelsize=6)


def _draw(ax: "Axes", one: Tuned, color: str, width: float) -> None:
    ax.plot(range(1, len(one.expected) + 1), one.expected, color=color, linewidth=width)


def _limits(tuned: Sequence[Tuned]) -> tuple[float, float]:
    """What is shown of the vertical axis: all ends, and not how bad single draws can be."""
    ends = [one.expected[-1] for one in tuned]
    best = max(*ends, *(one.default for one in tuned if math.isfinite(one.default)), ends[0])
    low = min(best - REACH, min(ends))
    room = 0.05 * (best - low)
    return low - room, best + room
