"""The critical-difference diagram: mean ranks over data sets, the variants that cannot be told
apart joined by a bar (Demšar 2006, JMLR 7, fig. 1).
"""

import math
from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from ..ranking import Ranking, rank
from ..tables import controls_of, tables_of
from ..typeset import brief
from .canvas import canvas
from .material import Material
from .palette import ACCENT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDTH = 4.5  # inches of the axis
LINE = 0.17  # inches from one name to the next
BAR = 0.08  # inches from one bar to the next
EDGE = 0.3  # ranks that the axis reaches beyond the first and the last

Bar = tuple[float, float, int]  # from one rank to another, and how many bars lie above


def critical_differences(material: Material) -> dict[str, "Canvas"]:
    """By the first column of each table that has a better direction, where three variants or more
    have a number on two data sets or more.
    """
    rows = material.rows
    found = {}
    for table in tables_of(rows, controls_of(rows)):
        directed = [column.name for column in table.columns if column.better]
        if directed:
            ranking = rank([table], directed[0])
            if math.isfinite(ranking.p):
                found[ranking.column] = diagram(ranking)
    return found


def diagram(found: Ranking) -> "Canvas":
    """The axis, bars that join those that cannot be told apart, then names: the better half on the
    left, the worse half on the right. Heights are in inches.
    """
    names = list(found.ranks)
    half = math.ceil(len(names) / 2)
    bars = _bars(found)
    top = -BAR * (2 + max((level for _, _, level in bars), default=-1))
    height = LINE * (half + 0.5) - top
    figure = canvas(WIDTH, height)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(1 - EDGE, len(names) + EDGE), ylim=(-height, 0))
    _axis(ax, found)

    for low, high, level in bars:
        y = -BAR * (level + 1)
        ax.plot([low, high], [y, y], color=ACCENT, linewidth=2.5, solid_capstyle="projecting")
    for i, name in enumerate(names):
        # the outermost are the highest: then no line crosses another
        line = i if i < half else len(names) - 1 - i
        _name(ax, name, found.ranks[name], top - LINE * (line + 0.5), is_left=i < half)
    return figure


def _bars(found: Ranking) -> list[Bar]:
    """A bar a group of two or more, each as high as no other is in its way."""
    ends: list[float] = []  # where the last bar of each height ends
    bars = []
    for group in found.groups:
        low = found.ranks[group[0]]
        high = found.ranks[group[-1]]
        free = [level for level, end in enumerate(ends) if end < low]
        level = free[0] if free else len(ends)
        ends[level : level + 1] = [high]
        bars.append((low, high, level))
    return bars


def _axis(ax: "Axes", found: Ranking) -> None:
    """Ranks on top, and above them how far apart two must be."""
    from matplotlib.ticker import MaxNLocator

    for side in ("left", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.yaxis.set_visible(False)
    ax.xaxis.set_ticks_position("top")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(labelsize=7)
    (left, right) = ax.get_xlim()
    end = min(right - EDGE, left + EDGE + found.critical_difference)
    ax.plot([left + EDGE, end], [0.36, 0.36], "|-", color=INK, linewidth=1, clip_on=False)
    test = f"Friedman p = {brief(found.p)}"
    if not found.is_rejected:
        test += ": none can be told apart"
    said = f"critical difference {brief(found.critical_difference)} (α = 0.05); {test}"
    ax.text(left + EDGE, 0.42, said, fontsize=7, va="bottom")
    title = f"mean rank by {found.column} over {len(found.datasets)} data sets (1 is best)"
    ax.text(left + EDGE, 0.62, title, fontsize=8, va="bottom")


def _name(ax: "Axes", name: str, mean: float, y: float, is_left: bool) -> None:
    """A line from the axis down and to the side, and the name there."""
    (left, right) = ax.get_xlim()
    side = left if is_left else right
    ax.plot([mean, mean, side], [0, y, y], color="0.4", linewidth=0.7, zorder=0)
    ax.annotate(
        f"{name}  {mean:.2f}" if is_left else f"{mean:.2f}  {name}",
        (side, y),
        (-3 if is_left else 3, 0),
        textcoords="offset points",
        fontsize=7,
        va="center",
        ha="right" if is_left else "left",
    )


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("critical-difference", critical_differences, of="run")]
