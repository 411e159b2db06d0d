"""Rows as points: families by mark, the line of those that no other beats, a few names."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..families import EVERY
from ..pairs import Axis, Point, middle, unbeaten
from .canvas import PAGE, canvas, round_steps
from .palette import GREY, mark_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

NAMED = 20  # points of one figure that have their name beside them
LETTERS = 7  # points: the size of a name
Axis2 = tuple[Axis, Axis]


def scatter(
    points: Sequence[Point], axes: Axis2, width: float, totals: bool = False
) -> "Canvas | None":
    """All points, and of many also their middle in a panel of its own; with `totals`, lines on
    which x + y is the same.
    """
    if not points:
        return None
    inner = middle(points)
    panels = [points, inner] if inner else [points]
    figure, drawn = _panels(len(panels), width)
    best = unbeaten(points, axes[0].better, axes[1].better)
    for ax, shown in zip(drawn, panels, strict=True):
        _draw(ax, points, axes, best)
        _reach(ax, shown, axes)
        if totals:
            isolines(ax)
        ax.set(xlabel=axes[0].label, ylabel=axes[1].label)
    if inner:
        _entitle(drawn, ["all rows", f"the middle: {len(inner)} of {len(points)} rows"])
    legend(figure, points, width)
    settle(figure)
    for ax, shown in zip(drawn, panels, strict=True):
        rest = [p for p in points if p not in inner] if inner and shown is points else shown
        name(ax, telling(rest, points, best, NAMED // len(panels)), points)
    return figure


def _panels(n: int, width: float) -> tuple["Canvas", Sequence["Axes"]]:
    """n panels, side by side where there is room for it."""
    is_wide = width > PAGE / 2 + 1
    size = width / n if is_wide else width
    high = min(4.2, 0.85 * size)
    figure = canvas(width, (high if is_wide else high * n) + 0.7)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(*((1, n) if is_wide else (n, 1)), squeeze=False)
    for ax in grid.ravel():
        ax.tick_params(labelsize=7)
        ax.xaxis.label.set_size(8)
        ax.yaxis.label.set_size(8)
    return figure, list(grid.ravel())


def _entitle(drawn: Sequence["Axes"], titles: Sequence[str]) -> None:
    for ax, title in zip(drawn, titles, strict=True):
        ax.set_title(title, fontsize=8)


def _draw(ax: "Axes", points: Sequence[Point], axes: Axis2, best: Sequence[Point]) -> None:
    """The points, those set apart faint, and the line of those that no other beats."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    marks(ax, [point for point in points if point.competes])
    marks(ax, [point for point in points if not point.competes], alpha=0.4)
    if len(best) > 1:
        ordered = sorted(best, key=lambda one: one.x)
        ax.step(
            [one.x for one in ordered],
            [one.y for one in ordered],
            where="post" if axes[0].better == "lower" else "pre",  # level from each to the next
            color="0.25",
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            zorder=2,
        )
    if axes[0].is_log:
        ax.set_xscale("log")
        # numbers as one says them, and few enough for a narrow panel
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_locator(NullLocator())


def marks(ax: "Axes", points: Sequence[Point], alpha: float = 1.0, scale: float = 1.0) -> None:
    """The points, each by the mark of its family, its area so many times the usual."""
    for family in dict.fromkeys(point.family for point in points):
        own = [point for point in points if point.family == family]
        style: dict[str, Any] = dict(mark_of(family).style)
        style["s"] *= scale
        style["linewidths"] *= scale
        ax.scatter([p.x for p in own], [p.y for p in own], alpha=alpha, zorder=3, **style)


def _reach(ax: "Axes", points: Sequence[Point], axes: Axis2) -> None:
    """Axes around these points."""
    xs = [point.x for point in points]
    (low, high) = (min(xs), max(xs))
    if axes[0].is_log:
        room = (high / low) ** 0.08 if high > low else 1.5
        ax.set_xlim(low / room, high * room)
    else:
        room = 0.08 * (high - low) or 0.5
        ax.set_xlim(low - room, high + room)
    ys = [point.y for point in points]
    room = 0.08 * (max(ys) - min(ys)) or 0.5
    ax.set_ylim(min(ys) - room, max(ys) + room)


def isolines(ax: "Axes") -> None:
    """Lines of equal ELBO across the axes as they are."""
    (left, right) = ax.get_xlim()
    (low, high) = ax.get_ylim()
    for total in round_steps(left + low, right + high):
        ax.plot([left, right], [total - left, total - right], color="0.85", linewidth=0.7, zorder=0)
        x = min(right, total - low) if total - right < low else right
        y = total - x
        if low <= y <= high and x - left > 0.25 * (right - left):
            said = f"ELBO {-total:g} ".replace("-", "−")
            ax.text(x, y, said, fontsize=6, color="0.4", ha="right", va="bottom", clip_on=True)
    ax.set(xlim=(left, right), ylim=(low, high))


def legend(figure: "Canvas", points: Sequence[Point], width: float) -> None:
    """The families that there are, below the panels."""
    from matplotlib.lines import Line2D

    names = {point.family for point in points}
    handles = []
    for family in EVERY:
        if family.name in names:
            mark = mark_of(family.name)
            face = "white" if mark.is_hollow else mark.colour
            look: dict[str, Any] = {"marker": mark.shape, "markersize": 5, "linestyle": ""}
            look |= {"markerfacecolor": face, "markeredgecolor": mark.colour}
            handles.append(Line2D([], [], label=family.title, **look))
    if len(handles) > 1:
        across = max(1, int(width / 2.2))
        look = {"fontsize": 7, "frameon": False, "ncols": min(across, len(handles))}
        figure.legend(handles=handles, loc="outside lower center", handletextpad=0.1, **look)


def settle(figure: "Canvas") -> None:
    """Panels stay where they are now: names are placed between points as they lie."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def telling(
    shown: Sequence[Point], points: Sequence[Point], best: Sequence[Point], most: int
) -> list[Point]:
    """The points whose names say most: those that no other beats, then those far from others."""
    if len(shown) <= most:
        return list(shown)
    places = np.array([(point.x, point.y) for point in points], float)
    places = places / np.maximum(np.ptp(places, 0), 1e-12)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, math.inf)
    nearest = dict(zip([point.name for point in points], apart.min(1), strict=True))
    leading = {point.name for point in best}
    order = sorted(shown, key=lambda one: (one.name not in leading, -nearest[one.name], one.name))
    return order[:most]


def name(
    ax: "Axes", named: Sequence[Point], points: Sequence[Point], size: float = LETTERS
) -> None:
    """Names beside these points, placed by textalloc so that they cover neither each other nor a
    point.
    """
    import textalloc
    from matplotlib.patheffects import withStroke

    (left, right) = ax.get_xlim()
    (low, high) = ax.get_ylim()
    inside = [p for p in points if left <= p.x <= right and low <= p.y <= high]
    chosen = [point for point in named if point in inside]
    if not chosen:
        return
    textalloc.allocate(
        ax,
        [point.x for point in chosen],
        [point.y for point in chosen],
        [point.name for point in chosen],
        x_scatter=[point.x for point in inside],
        y_scatter=[point.y for point in inside],
        textsize=size,
        linecolor="0.45",
        linewidth=0.5,
        min_distance=0.015,
        max_distance=0.35,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        plot_kwargs={"zorder": 2.5},
        path_effects=[withStroke(linewidth=1.5, foreground="white")],
        zorder=5,
        transform=_AsItLies(),
    )


class _AsItLies:
    """The data's own transform, by which textalloc need not draw the whole figure for each panel
    to learn where it is: `settle` has.
    """

    def _as_mpl_transform(self, ax: "Axes") -> Any:
        return ax.transData


def behind(ax: "Axes", points: Sequence[Point]) -> None:
    """The points of others, small and grey."""
    ax.plot([p.x for p in points], [p.y for p in points], ".", color=GREY, markersize=3, zorder=1)
