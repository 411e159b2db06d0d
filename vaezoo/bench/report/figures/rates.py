"""Rate against distortion: all rows, and a panel a family."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from ..families import EVERY
from ..pairs import DISTORTION, RATE, Point, points_of, rate_and_distortion
from ..tables import controls_of, tables_of
from .canvas import TALLEST, evenly
from .material import Material
from .scatter import NAMED, behind, isolines, marks, name, scatter, settle, telling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANEL = 2.2  # inches that a family's panel is wide, about


def rate_distortion(material: Material) -> "dict[str, Canvas | None]":
    """KL against -E log p(x|z), means over seeds: an ELBO is a straight line, better ones are lower
    left. The dashed line joins the rows that no other one beats in both. Where there are more rows
    than names fit, every family has a panel of its own.
    """
    points = _points(material)
    if not points:
        return {}
    whole = scatter(points, (RATE, DISTORTION), material.width, totals=True)
    if len(points) <= NAMED:
        return {"": whole}
    return {"": whole, "families": families(points, material.width)}


def _points(material: Material) -> list[Point]:
    """Of every row with both numbers; none where the run has no such columns."""
    axes = rate_and_distortion(material.catalogue)
    if axes is None:
        return []
    rows = material.rows
    tables = {table.name: table for table in tables_of(rows, controls_of(rows))}
    table = tables.get(axes[0].table)
    return points_of(rows, *axes, table, material.family) if table is not None else []


def families(points: Sequence[Point], width: float) -> "Canvas":
    """A panel a family, its points named, those of the others grey; all on one scale."""
    known = [one for one in EVERY if any(point.family == one.name for point in points)]
    across = int(width / (PANEL - 0.3))
    figure, panels = evenly(len(known), across, width, 0.85, 0.4, TALLEST, is_shared=True)
    drawn = list(zip(panels, known, strict=True))
    for ax, family in drawn:
        _panel(ax, points, family.name)
        ax.set_title(family.title, fontsize=7)
        ax.tick_params(labelsize=6)
    figure.supxlabel(RATE.label, fontsize=8)
    figure.supylabel(DISTORTION.label, fontsize=8)
    settle(figure)
    for ax, family in drawn:
        own = [point for point in points if point.family == family.name]
        name(ax, telling(own, points, (), NAMED), points, size=5.5)
    return figure


def _panel(ax: "Axes", points: Sequence[Point], family: str) -> None:
    behind(ax, [point for point in points if point.family != family])
    marks(ax, [point for point in points if point.family == family], scale=0.6)
    ax.margins(0.08)
    isolines(ax)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("rate-distortion", rate_distortion)]
