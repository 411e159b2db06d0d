"""Variants ranked over data sets, from the trials of one run or of several."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..records.checks import storable
from .catalogue import catalogue_of
from .report import ReportError, read_rows
from .rows import Row
from .statistics import critical_difference, friedman, mean_ranks
from .typeset import Grid, brief


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over data sets (1 is best), Friedman's test, and Nemenyi's critical difference at
    α = 0.05.
    """

    column: str
    datasets: tuple[str, ...]  # those that were ranked over
    ranks: dict[str, float]
    statistic: float
    p: float
    critical_difference: float
    left_out: tuple[str, ...]  # variants without a number on one of the data sets


def rank(runs: Sequence[Path | str], column: str = "") -> Ranking:
    """The variants of these runs ranked by one column over all their data sets; by the first column
    that has a better direction unless one is named.

    Raises: ReportError for a folder without trials, and for a column that cannot be ranked by.
    """
    rows = [row for out in runs for row in read_rows(out)]
    directed = {c.name: c for c in catalogue_of(rows).by_table if c.better}
    if column and column not in directed:
        raise ReportError(
            f"{column!r} is no column with a better direction; there are {', '.join(directed)}"
        )
    chosen = directed[column or next(iter(directed))]
    return ranking(rows, chosen.name, chosen.better)


def ranking(rows: Sequence[Row], column: str, better: str) -> Ranking:
    """The variants ranked by one column over the data sets of the rows; of rows of one name on one
    data set the first counts.
    """
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.sample(column):
            scores.setdefault(row.name, {}).setdefault(row.dataset, row.interval(column).mean)

    # a rank needs every variant on every data set
    datasets = tuple(dict.fromkeys(name for known in scores.values() for name in known))
    whole = {name: known for name, known in scores.items() if len(known) == len(datasets)}
    left_out = tuple(name for name in scores if name not in whole)
    ranks = mean_ranks(whole, better) if datasets else {}
    statistic, p = friedman(whole)
    return Ranking(column, datasets, ranks, statistic, p, _distance(whole, datasets), left_out)


def _distance(scores: Mapping[str, object], datasets: Sequence[str]) -> float:
    """Nemenyi's critical difference, NaN below two variants."""
    return critical_difference(len(scores), len(datasets)) if len(scores) > 1 else math.nan


def ranking_grid(found: Ranking) -> Grid:
    """The ranking as a table, the best variant first."""
    in_order = sorted(found.ranks.items(), key=lambda item: item[1])
    body = [[name, f"{mean:.2f}"] for name, mean in in_order]
    notes = [
        f"Data sets: {', '.join(found.datasets)}",
        f"Friedman's test of equal ranks: χ² = {brief(found.statistic)}, p = {brief(found.p)}",
        "Mean ranks differ at α = 0.05 where they are further apart than Nemenyi's critical "
        f"difference {brief(found.critical_difference)}",
    ]
    if found.left_out:
        notes.append(f"Without a number on every data set: {', '.join(found.left_out)}")
    title = f"Mean ranks by {found.column} over {len(found.datasets)} data sets (1 is best)"
    return Grid(title, ["variant", "mean rank"], body, caption=". ".join(notes) + ".")


def ranking_facts(found: Ranking) -> dict[str, Any]:
    """The ranking for a program: None where a number cannot be told."""
    return storable(asdict(found))
