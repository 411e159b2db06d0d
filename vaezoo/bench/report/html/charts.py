"""Which scatters the page has: rate against distortion, and what a row costs against how good it
is.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ....hooks import Column
from ..caption import in_words
from ..catalogue import catalogue_of
from ..rows import Row
from ..tables import ResultTable, to_print
from .scatter import Axis, Chart, Point, chart
from .sheets import slug
from .source import Source

MANY = 25  # points of which the middle has a chart of its own
MIDDLE = (10, 90)  # percentiles of both numbers that it shows
SECONDS = "train_seconds"
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
    columns = catalogue_of(source.rows).columns.values()
    axes = {column.axis: column for column in columns if column.axis}
    tables = {table.name: table for table, _ in source.tables}
    if set(axes) != {"rate", "distortion"} or axes["rate"].table not in tables:
        return
    rows = [row for row in source.rows if row.dataset == dataset and row.done]
    table = tables[axes["rate"].table]
    points = _points(source, rows, axes["rate"], axes["distortion"], table)
    labels = (Axis("rate: KL(q(z|x) ‖ p(z)), nats"), Axis("distortion: −E log p(x|z), nats"))
    title = f"Rate and distortion: {dataset}"
    yield from _with_middle(slug(f"rate-{dataset}"), title, labels, points, TOTALS, totals=True)


def _costs(source: Source, dataset: str) -> Iterator[Chart]:
    """Seconds of training against the column that leads each of the usual tables."""
    for table in to_print([table for table, _ in source.tables]):
        column = _leading(table, dataset)
        if column is None:
            continue
        rows = [row for row in table.of(dataset) if row.done]
        points = _points(source, rows, _seconds(), column, table)
        unit = f", {column.unit}" if column.unit else ""
        better = f" ({column.better} is better)"
        name = in_words(column.name)
        x = Axis("seconds of training", is_log=True)
        y = Axis(f"{name}{unit}{better}", column.better)
        points = [point for point in points if point.x > 0]
        title = f"Cost and {name}: {dataset}"
        yield from _with_middle(slug(f"cost-{column.name}-{dataset}"), title, (x, y), points, CLOCK)


def _seconds() -> Column:
    return Column(SECONDS, "s", "lower", digits=1)


def _leading(table: ResultTable, dataset: str) -> Column | None:
    """The first column of the table that has a better direction, and says something."""
    for column in table.columns:
        if column.better and not table.is_won_by_noise(dataset, column):
            return column
    return None


def _points(
    source: Source, rows: Sequence[Row], x: Column, y: Column, table: ResultTable
) -> list[Point]:
    """A point for each row that has both numbers. Rows set apart do not compete."""
    found = []
    for row in rows:
        across = row.interval(x.name)
        down = row.interval(y.name)
        if not (math.isfinite(across.mean) and math.isfinite(down.mean)):
            continue
        apart = table.apart(row)
        said = f"{_said(row, x)}, {_said(row, y)}" + (f"; {apart}" if apart else "")
        tags = " ".join(source.tags(row))
        family = source.family(row).name
        found.append(Point(row.name, across.mean, down.mean, said, family, tags, not apart))
    return found


def _said(row: Row, column: Column) -> str:
    """ "kl 4.02 ± 0.10 nats"."""
    found = row.interval(column.name)
    around = f" ± {found.ci95:.{column.digits}f}" if found.n > 1 else ""
    name = in_words(column.name)
    return f"{name} {found.mean:.{column.digits}f}{around} {column.unit}".strip()


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
    inner = _middle(points)
    if len(points) > MANY and inner:
        more = f"The middle of the chart before: {len(inner)} of {len(points)} rows."
        yield chart(f"{key}-middle", f"{title}, the middle", axes, points, inner, more, totals)


def _middle(points: Sequence[Point]) -> list[Point]:
    """The points that are no further out than most, in both numbers."""
    xs = np.percentile([point.x for point in points], MIDDLE)
    ys = np.percentile([point.y for point in points], MIDDLE)
    return [p for p in points if xs[0] <= p.x <= xs[1] and ys[0] <= p.y <= ys[1]]
