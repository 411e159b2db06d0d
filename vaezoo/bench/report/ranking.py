"""Variants ranked over data sets by one column (Demšar 2006, JMLR 7), with their interquartile
means, from the tables of one run or of several.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...hooks import Column
from ..records.checks import storable
from .interquartile import Interquartile, interquartile_means
from .report import ReportError
from .statistics import ALPHA, Sample, critical_difference, friedman, interval, mean_ranks
from .tables import ResultTable
from .typeset import Grid, brief

Scores = dict[str, dict[str, Sample]]  # row -> data set -> seed -> score


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over data sets (1 is best), Friedman's test, and Nemenyi's critical difference at
    α = 0.05.
    """

    column: str
    datasets: tuple[str, ...]  # those that were ranked over
    ranks: dict[str, float]  # the best first
    statistic: float
    p: float
    critical_difference: float
    interquartile: dict[str, Interquartile]
    left_out: dict[str, str] = field(default_factory=dict)  # variant or data set -> why

    @property
    def is_rejected(self) -> bool:
        """Whether Friedman's test finds that ranks differ; without it no two are compared."""
        return self.p <= ALPHA

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Which variants cannot be told apart: the longest runs of them, by rank, whose ends are no
        further apart than the critical difference; all, where Friedman's test finds nothing.
        """
        names = list(self.ranks)
        if not self.is_rejected:
            return [tuple(names)]
        found: list[tuple[str, ...]] = []
        end = 0
        for start, name in enumerate(names):
            limit = self.ranks[name] + self.critical_difference
            group = [other for other in names[start:] if self.ranks[other] <= limit]
            if start + len(group) > end and len(group) > 1:  # no part of the group before
                found.append(tuple(group))
            end = max(end, start + len(group))
        return found


def rank(tables: Sequence[ResultTable], column: str = "") -> Ranking:
    """The rows of these tables ranked by one column over all their data sets; by the first column
    that has a better direction unless one is named.

    Raises: ReportError for a column that cannot be ranked by.
    """
    directed = {c.name: c for table in tables for c in table.columns if c.better}
    if column not in directed and (column or not directed):
        raise ReportError(
            f"{column!r} is no column with a better direction; there are {', '.join(directed)}"
        )
    chosen = directed[column or next(iter(directed))]
    scores, left_out = _scores(tables, chosen)

    # a rank needs every variant on every data set
    datasets = tuple(dict.fromkeys(name for known in scores.values() for name in known))
    whole: Scores = {}
    for name, known in scores.items():
        lacks = [one for one in datasets if one not in known]
        if lacks:
            left_out.setdefault(name, f"no number on {', '.join(lacks)}")
        else:
            whole[name] = {dataset: known[dataset] for dataset in datasets}
    return _ranking(chosen, datasets, whole, left_out)


def _scores(tables: Sequence[ResultTable], column: Column) -> tuple[Scores, dict[str, str]]:
    """What may be ranked, and why the rest may not. Of rows of one name on one data set the first
    counts.
    """
    scores: Scores = {}
    left_out: dict[str, str] = {}

    # a row is left out for the first thing that keeps it from being compared
    for table in tables:
        if column.name not in [one.name for one in table.columns]:
            continue
        for row in table.rows:
            sample = row.sample(column.name)
            if table.is_won_by_noise(row.dataset, column):
                left_out[row.dataset] = (
                    "what is made up without a model does as well there as real rows"
                )
            elif (why := table.apart(row) or table.few(row)) or (
                why := table.other_code(row, column)
            ):
                left_out.setdefault(row.name, f"{why}, on {row.dataset}")
            elif sample:
                scores.setdefault(row.name, {}).setdefault(row.dataset, sample)
    return {name: known for name, known in scores.items() if name not in left_out}, left_out


def _ranking(
    column: Column, datasets: Sequence[str], scores: Scores, left_out: dict[str, str]
) -> Ranking:
    means: dict[str, dict[str, float]] = {}
    for name, known in scores.items():
        means[name] = {}
        for dataset, sample in known.items():
            # numbers that the column shows as equal tie
            mean = interval(list(sample.values())).mean
            means[name][dataset] = round(mean, column.digits)
    ranks = mean_ranks(means, column.better)
    in_order = {name: ranks[name] for name in sorted(ranks, key=lambda one: ranks[one])}
    statistic, p = friedman(means)
    apart = critical_difference(len(means), len(datasets)) if len(means) > 1 else math.nan
    middle = interquartile_means(scores, column.better, 10.0**-column.digits)
    found = tuple(datasets)
    return Ranking(column.name, found, in_order, statistic, p, apart, middle, left_out)


def ranking_grid(found: Ranking) -> Grid:
    """The ranking as a table, the best variant first."""
    body = []
    for name, mean in found.ranks.items():
        middle = found.interquartile[name]
        span = f"{middle.low:.2f} to {middle.high:.2f}" if math.isfinite(middle.low) else "–"
        body.append([name, f"{mean:.2f}", f"{middle.mean:.2f}", span, str(middle.runs)])
    head = ["variant", "mean rank", "IQM", "95 %", "runs"]
    title = f"Mean ranks by {found.column} over {len(found.datasets)} data sets (1 is best)"
    return Grid(title, head, body, caption=". ".join(_notes(found)) + ".")


def _notes(found: Ranking) -> list[str]:
    """What a reader must know of the ranking."""
    notes = [f"Data sets: {', '.join(found.datasets)}"]
    if math.isfinite(found.p):
        notes.append(
            f"Friedman's test of equal ranks: χ² = {brief(found.statistic)}, p = {brief(found.p)}"
        )
        notes.append(
            "Mean ranks differ at α = 0.05 where they are further apart than Nemenyi's critical "
            f"difference {brief(found.critical_difference)}"
            if found.is_rejected
            else "No two of them can be told apart"
        )
    else:
        notes.append("There is no test below three variants or two data sets")
    notes.append(
        "IQM: the mean of the middle half of all runs; on each data set 0 is the median of the "
        "variants' means, 1 their interquartile range, and higher is better. Its interval is over "
        "seeds, by a bootstrap within data sets"
    )
    notes += [f"Left out: {name} ({why})" for name, why in found.left_out.items()]
    return notes


def ranking_facts(found: Ranking) -> dict[str, Any]:
    """The ranking for a program: None where a number cannot be told."""
    return storable(asdict(found) | {"groups": found.groups})
