"""Two runs side by side: every number that both have, its difference paired by seed; and variants
ranked over data sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...hooks import Column
from .catalogue import Catalogue, catalogue_of
from .report import ReportError, read_rows
from .rows import Row
from .statistics import (
    Difference,
    critical_difference,
    difference,
    friedman,
    holm,
    mean_ranks,
)
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

    @property
    def is_equal(self) -> bool:
        """Whether every seed that both have gives one number."""
        return self.difference.largest == 0


@dataclass(frozen=True)
class Comparison:
    """Every number that two runs share, by data set and column; and the rows that one of them has
    alone, as (variant, data set).
    """

    shared: list[Compared]
    only_a: list[tuple[str, str]]
    only_b: list[tuple[str, str]]


def compare(a: Path | str, b: Path | str) -> Comparison:
    """Two runs, number by number.

    Raises: ReportError for a folder without trials.
    """
    rows_a = _rows(a)
    rows_b = _rows(b)
    both = [key for key in rows_a if key in rows_b]
    columns = _columns(catalogue_of([rows_a[key] for key in both]))
    shared = []
    for dataset in dict.fromkeys(key[1] for key in both):
        pairs = [(rows_a[key], rows_b[key]) for key in both if key[1] == dataset]
        for column in columns:
            shared += _column(pairs, column.name, column.better)
    only_a = [key for key in rows_a if key not in rows_b]
    only_b = [key for key in rows_b if key not in rows_a]
    return Comparison(shared, only_a, only_b)


def _rows(out: Path | str) -> dict[tuple[str, str], Row]:
    """(row's name, data set) -> row, those of further samplers among them."""
    return {(one.name, one.dataset): one for row in read_rows(out) for one in row.by_sampler()}


def _columns(catalogue: Catalogue) -> list[Column]:
    """Every column as the tables have them, table by table."""
    return [column for table in catalogue.in_order() for column in catalogue.of(table)]


def _column(pairs: Sequence[tuple[Row, Row]], name: str, better: str) -> list[Compared]:
    both = [(a, b) for a, b in pairs if a.sample(name) and b.sample(name)]
    differences = [difference(a.sample(name), b.sample(name)) for a, b in both]
    adjusted = iter(holm([d.p for d in differences if math.isfinite(d.p)]))

    # single seeds have no p value, and are not among those that are adjusted
    found = []
    for (a, b), d in zip(both, differences, strict=True):
        p = next(adjusted) if math.isfinite(d.p) else math.nan
        mean_a = a.interval(name).mean
        mean_b = b.interval(name).mean
        found.append(Compared(a.name, a.dataset, name, better, mean_a, mean_b, d, p))
    return found


def compared_grid(found: Comparison) -> Grid:
    """The comparison as a table: A - B over the seeds that both runs have, where it is not 0."""
    differ = [one for one in found.shared if not one.is_equal]
    head = ["variant", "data set", "column", "A", "B", "A - B", "± 95 %", "n", "p", "verdict"]
    body = []
    for one in differ:
        gap = one.difference
        numbers = [_brief(x) for x in (one.a, one.b, gap.mean, gap.ci95)]
        tested = [str(gap.n), _brief(one.p_adjusted), gap.verdict]
        body.append([one.variant, one.dataset, one.column, *numbers, *tested])

    notes = [
        "A - B is the mean difference over the n seeds that both runs have, ± the half width of "
        "its 95 % Student-t interval",
        "p is that of a paired sign-flip permutation test, of a t-test where there are too few "
        "seeds, adjusted by Holm over the variants of a data set",
        f"{len(found.shared) - len(differ)} more numbers are equal in both runs",
    ]
    for which, rows in (("A", found.only_a), ("B", found.only_b)):
        if rows:
            named = ", ".join(f"{variant} on {dataset}" for variant, dataset in rows)
            notes.append(f"only in {which}: {named}")
    return Grid("A against B, paired by seed", head, body, caption=". ".join(notes) + ".")


def _brief(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def compared_facts(found: Comparison) -> dict[str, Any]:
    """The comparison for a program: None where a number cannot be told."""
    shared = []
    for one in found.shared:
        gap = one.difference
        facts: dict[str, Any] = {
            "variant": one.variant,
            "dataset": one.dataset,
            "column": one.column,
        }
        facts |= {"a": one.a, "b": one.b, "a - b": gap.mean, "ci95": gap.ci95, "n": gap.n}
        facts |= {"p": one.p_adjusted, "test": gap.test, "verdict": gap.verdict}
        shared.append({name: _or_none(value) for name, value in facts.items()})
    return {"shared": shared, "only in a": found.only_a, "only in b": found.only_b}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    directed = {c.name: c for c in _columns(catalogue_of(rows)) if c.better}
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
        f"Friedman's test of equal ranks: χ² = {_brief(found.statistic)}, p = {_brief(found.p)}",
        "Mean ranks differ at α = 0.05 where they are further apart than Nemenyi's critical "
        f"difference {_brief(found.critical_difference)}",
    ]
    if found.left_out:
        notes.append(f"Without a number on every data set: {', '.join(found.left_out)}")
    title = f"Mean ranks by {found.column} over {len(found.datasets)} data sets (1 is best)"
    return Grid(title, ["variant", "mean rank"], body, caption=". ".join(notes) + ".")


def ranking_facts(found: Ranking) -> dict[str, Any]:
    """The ranking for a program: None where a number cannot be told."""
    return {name: _or_none(value) for name, value in asdict(found).items()}
