"""Two runs side by side: every number that both have, its difference paired by seed; and variants
ranked over data sets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .report import read_rows
from .rows import Row
from .statistics import (
    Difference,
    critical_difference,
    difference,
    friedman,
    holm,
    mean_ranks,
)
from .tables import tables_of
from .typeset import Grid


@dataclass(frozen=True)
class Compared:
    """One column of one row that both runs have: a, b and a - b."""

    variant: str
    dataset: str
    column: str
    better: str
    a: float
    b: float
    difference: Difference
    p_adjusted: float  # by Holm over the variants of one data set and column


def compare(a: Path | str, b: Path | str) -> list[Compared]:
    """Every column of every row that two runs share. Raises: ReportError for a folder without
    trials.
    """
    rows_a, rows_b = (_rows(out) for out in (a, b))
    shared = [key for key in rows_a if key in rows_b]
    columns = {
        c.name: c for table in tables_of([rows_a[key] for key in shared]) for c in table.columns
    }
    found = []
    for dataset in dict.fromkeys(key[1] for key in shared):
        pairs = [(rows_a[key], rows_b[key]) for key in shared if key[1] == dataset]
        for column in columns.values():
            found += _column(pairs, column.name, column.better)
    return found


def _rows(out: Path | str) -> dict[tuple[str, str], Row]:
    """(variant, data set) -> row, those of further samplers among them."""
    return {(one.variant, one.dataset): one for row in read_rows(out) for one in row.by_sampler()}


def _column(pairs: Sequence[tuple[Row, Row]], name: str, better: str) -> list[Compared]:
    both = [(a, b) for a, b in pairs if a.sample(name) and b.sample(name)]
    differences = [difference(a.sample(name), b.sample(name)) for a, b in both]
    known = [d.p for d in differences if math.isfinite(d.p)]
    adjusted = iter(holm(known))
    return [
        Compared(
            a.variant, a.dataset, name, better, a.interval(name).mean, b.interval(name).mean, d,
            next(adjusted) if math.isfinite(d.p) else math.nan,
        )
        for (a, b), d in zip(both, differences, strict=True)
    ]  # fmt: skip


def compared_grid(found: Sequence[Compared]) -> Grid:
    """The comparison as a table."""
    head = [
        "variant",
        "data set",
        "column",
        "A",
        "B",
        "A - B",
        "± 95 %",
        "p (Holm)",
        "n",
        "verdict",
    ]
    body = [
        [c.variant, c.dataset, c.column, *(f"{x:.4g}" for x in (c.a, c.b, c.difference.mean, c.difference.ci95)),
         f"{c.p_adjusted:.3g}", str(c.difference.n), c.difference.verdict]
        for c in found
    ]  # fmt: skip
    return Grid("A against B, paired by seed", head, body)


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over data sets (1 is best), Friedman's test, and Nemenyi's critical difference at
    α = 0.05.
    """

    ranks: dict[str, float]
    statistic: float
    p: float
    critical_difference: float


def ranking(rows: Sequence[Row], column: str, better: str) -> Ranking:
    """The variants of a run ranked by one column, over the data sets that all of them have."""
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.sample(column):
            scores.setdefault(row.name, {})[row.dataset] = row.interval(column).mean
    n = len(set.intersection(*(set(s) for s in scores.values()))) if scores else 0
    distance = critical_difference(len(scores), n) if len(scores) > 1 and n else math.nan
    return Ranking(mean_ranks(scores, better) if n else {}, *friedman(scores), distance)
