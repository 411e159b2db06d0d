"""Which scatters the page has: rate against distortion, and what a row costs against how good it
is.
"""

from collections.abc import Callable, Iterator, Sequence

from ..caption import in_words
from ..pairs import (
    COST,
    DISTORTION,
    RATE,
    SECONDS,
    Axis,
    Point,
    leading,
    middle,
    points_of,
    quality,
    rate_and_distortion,
)
from ..rows import Row
from ..tables import to_print
from .scatter import Chart, chart
from .sheets import slug
from .source import Source

CLOCK = (
    "Seconds are those of one training by the clock, on a machine that may have done other work. "
    "The line joins the rows to which no other one is both faster and better."
)
TOTALS = (
    "An ELBO is a straight line, and lower left is better. The dashed line joins the rows to which "
    "no other one is better in both."
)


def charts(source: Source) -> dict[str, list[Chart]]:
    """data set -> its charts; data sets without one are left out."""
    found = {}
    for dataset in source.datasets:
        made = [*_rate_distortion(source, dataset), *_costs(source, dataset)]
        if made:
            found[dataset] = made
    return found


def _rate_distortion(source: Source, dataset: str) -> Iterator[Chart]:
    axes = rate_and_distortion(source.catalogue)
    tables = {table.name: table for table, _ in source.tables}
    if axes is None or axes[0].table not in tables:
        return
    rows = [row for row in source.rows if row.dataset == dataset and _is_shown(row)]
    points = points_of(rows, *axes, tables[axes[0].table], _family(source), source.tags)
    title = f"Rate and distortion: {dataset}"
    key = slug(f"rate-{dataset}")
    yield from _with_middle(key, title, (RATE, DISTORTION), points, TOTALS, totals=True)


def _is_shown(row: Row) -> bool:
    """Whether it is done by the protocol of today: no figure shows another's."""
    return bool(row.done) and not row.standing.is_stale


def _family(source: Source) -> Callable[[Row], str]:
    return lambda row: source.family(row).name


def _costs(source: Source, dataset: str) -> Iterator[Chart]:
    """Seconds of training against the column that leads each of the usual tables."""
    for table in to_print([table for table, _ in source.tables]):
        column = leading(table, dataset)
        if column is None:
            continue
        rows = [row for row in table.of(dataset) if _is_shown(row)]
        points = points_of(rows, SECONDS, column, table, _family(source), source.tags)
        points = [point for point in points if point.x > 0]
        title = f"Cost and {in_words(column.name)}: {dataset}"
        key = slug(f"cost-{column.name}-{dataset}")
        yield from _with_middle(key, title, (COST, quality(column)), points, CLOCK)


def _with_middle(
    key: str,
    title: str,
    axes: tuple[Axis, Axis],
    points: Sequence[Point],
    note: str,
    totals: bool = False,
) -> Iterator[Chart]:
    """The chart of all points; of many also one of their middle."""
    if not points:
        return
    yield chart(key, title, axes, points, note=note, totals=totals)
    inner = middle(points)
    if inner:
        more = f"The middle of the chart before: {len(inner)} of {len(points)} rows."
        yield chart(f"{key}-middle", f"{title}, the middle", axes, points, inner, more, totals)
