"""What a row costs against how good it is."""

from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from ..pairs import COST, SECONDS, leading, points_of, quality
from ..tables import controls_of, tables_of, to_print
from .material import Material
from .scatter import scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def cost_and_quality(material: Material) -> "dict[str, Canvas]":
    """Seconds of training against the column that leads each of the usual tables, means over seeds.
    The dashed line joins the rows to which no other one is both faster and better.
    """
    rows = material.rows
    drawn = {}
    for table in to_print(tables_of(rows, controls_of(rows))):
        column = leading(table, material.dataset)
        if column is None:
            continue
        points = points_of(rows, SECONDS, column, table, material.family)
        timed = [point for point in points if point.x > 0]
        figure = scatter(timed, (COST, quality(column)), material.width)
        if figure is not None:
            drawn[column.name] = figure
    return drawn


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("cost", cost_and_quality)]
