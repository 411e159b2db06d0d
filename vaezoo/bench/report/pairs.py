"""Rows as points: their axes, and which rows no other one beats."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...hooks import Column
from .caption import in_words
from .catalogue import Catalogue
from .families import NONE
from .rows import Row
from .tables import ResultTable

MANY = 25  # points of which the middle has a chart of its own
MIDDLE = (10, 90)  # percentiles of both numbers that it shows
SECONDS = Column("train_seconds", "s", "lower", digits=1)


@dataclass(frozen=True)
class Point:
    """One row: its two numbers, and what it is filtered by."""

    name: str
    x: float
    y: float
    said: str = ""  # both numbers in words
    family: str = NONE.name
    tags: str = ""
    competes: bool = True  # whether it may be on the line of those that no other beats


@dataclass(frozen=True)
class Axis:
    """One axis: its name, which end is better, whether it is logarithmic."""

    label: str
    better: str = "lower"
    is_log: bool = False


RATE = Axis("rate: KL(q(z|x) ‖ p(z)), nats")
DISTORTION = Axis("distortion: −E log p(x|z), nats")
COST = Axis("seconds of training", is_log=True)


def _no_tags(row: Row) -> Sequence[str]:
    return ()


def points_of(
    rows: Iterable[Row],
    x: Column,
    y: Column,
    table: ResultTable,
    family: Callable[[Row], str],
    tags: Callable[[Row], Sequence[str]] = _no_tags,
) -> list[Point]:
    """A point for each row that has both numbers, with its family and tags. Rows set apart do not
    compete.
    """
    found = []
    for row in rows:
        across = row.interval(x.name).mean
        down = row.interval(y.name).mean
        if math.isfinite(across) and math.isfinite(down):
            apart = table.apart(row)
            said = f"{_said(row, x)}, {_said(row, y)}" + (f"; {apart}" if apart else "")
            marks = " ".join(tags(row))
            found.append(Point(row.name, across, down, said, family(row), marks, not apart))
    return found


def _said(row: Row, column: Column) -> str:
    """ "kl 4.02 ± 0.10 nats"."""
    found = row.interval(column.name)
    around = f" ± {found.ci95:.{column.digits}f}" if found.n > 1 else ""
    name = in_words(column.name)
    return f"{name} {found.mean:.{column.digits}f}{around} {column.unit}".strip()


def rate_and_distortion(catalogue: Catalogue) -> tuple[Column, Column] | None:
    """The columns that say that they are its axes."""
    axes = {column.axis: column for column in catalogue.columns.values() if column.axis}
    if set(axes) != {"rate", "distortion"}:
        return None
    return axes["rate"], axes["distortion"]


def quality(column: Column) -> Axis:
    """The axis of a column that has a better direction."""
    unit = f", {column.unit}" if column.unit else ""
    name = in_words(column.name)
    return Axis(f"{name}{unit} ({column.better} is better)", column.better)


def leading(table: ResultTable, dataset: str) -> Column | None:
    """The first column of the table that has a better direction, and says something."""
    for column in table.columns:
        if column.better and not table.is_won_by_noise(dataset, column):
            return column
    return None


def unbeaten(points: Sequence[Point], x_better: str, y_better: str) -> list[Point]:
    """The competing points to which no other one is better in both numbers, by x."""
    x_sign = -1.0 if x_better == "higher" else 1.0
    y_sign = -1.0 if y_better == "higher" else 1.0
    rivals = [point for point in points if point.competes]
    found = []
    least = math.inf
    for point in sorted(rivals, key=lambda one: (x_sign * one.x, y_sign * one.y)):
        if y_sign * point.y < least:
            least = y_sign * point.y
            found.append(point)
    return found


def middle(points: Sequence[Point]) -> list[Point]:
    """The points that are no further out than most, in both numbers; none of few."""
    if len(points) <= MANY:
        return []
    xs = np.percentile([point.x for point in points], MIDDLE)
    ys = np.percentile([point.y for point in points], MIDDLE)
    return [p for p in points if xs[0] <= p.x <= xs[1] and ys[0] <= p.y <= ys[1]]
