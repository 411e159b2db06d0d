"""Two runs side by side: every number that both have, its difference paired by seed.

Rows are paired by name and data set. A pair that was not made alike is refused with the reason.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hooks import Column
from ..records import Record
from ..records.checks import storable
from .alike import unlike
from .catalogue import catalogue_of
from .report import ReportError, read_rows
from .rows import Row
from .statistics import Difference, Sample, difference, gaps, holm, verdict
from .typeset import Grid, brief

Key = tuple[str, str]  # row's name, data set
Pairs = Mapping[Key, tuple[Row, Row]]  # the rows of A and of B
GATES = {
    "worse": "a number that leads a table is significantly worse in B, or B lost it",
    "different": "the same, or one is significantly better or, without a direction, different",
    "changed": "any number is not the same to the last digit, or B lost it",
}


@dataclass(frozen=True)
class Compared:
    """One column of one row that both runs have: a, b and a - b."""

    variant: str
    dataset: str
    column: Column
    a: float
    b: float
    difference: Difference
    # by Holm over all numbers that differ, those of columns that lead a table and the others apart
    p_adjusted: float

    @property
    def is_equal(self) -> bool:
        """Whether every seed that both have gives one number."""
        return self.difference.largest == 0

    @property
    def verdict(self) -> str:
        """Of B: "worse", "better" or, without a better direction, "different"; else as `verdict` of
        the statistics has it.
        """
        found = verdict(self.p_adjusted, self.difference.n)
        if found != "different" or not self.column.better:
            return found
        is_larger = self.difference.mean < 0
        return "worse" if is_larger == (self.column.better == "lower") else "better"


@dataclass(frozen=True)
class Comparison:
    """Every number that two runs share, those of columns that lead a table first; and what they do
    not share.
    """

    shared: list[Compared]
    refused: dict[Key, str]  # row -> why its two are not compared
    lost: list[tuple[Key, Column, str]]  # what A has and B has not, and why
    only_a: list[Key]
    only_b: list[Key]


def compare(a: Path | str, b: Path | str) -> Comparison:
    """Two runs, number by number.

    Raises: ReportError for a folder without trials.
    """
    rows_a = _rows(a)
    rows_b = _rows(b)
    pairs = {}
    refused = {}
    for key in rows_a:
        if key not in rows_b:
            continue
        if why := unlike(rows_a[key].done, rows_b[key].done):
            refused[key] = why
        else:
            pairs[key] = rows_a[key], rows_b[key]

    columns = catalogue_of([row for pair in pairs.values() for row in pair]).by_table
    shared = _tested(list(_cells(pairs, [one for one in columns if one.lead])))
    shared += _tested(list(_cells(pairs, [one for one in columns if not one.lead])))
    only_a = [key for key in rows_a if key not in rows_b]
    only_b = [key for key in rows_b if key not in rows_a]
    return Comparison(shared, refused, list(_lost(pairs, columns)), only_a, only_b)


def _rows(out: Path | str) -> dict[Key, Row]:
    """The rows of a run, those of further samplers among them."""
    return {(one.name, one.dataset): one for row in read_rows(out) for one in row.by_sampler()}


@dataclass(frozen=True)
class _Cell:
    """One number of one row: what both runs say of it."""

    a: Row
    b: Row
    column: Column

    @property
    def samples(self) -> tuple[Sample, Sample]:
        return self.a.sample(self.column.name), self.b.sample(self.column.name)


def _cells(pairs: Pairs, columns: Sequence[Column]) -> Iterator[_Cell]:
    """What both have, by data set, then by column."""
    for dataset in dict.fromkeys(dataset for _, dataset in pairs):
        for column in columns:
            for (_, name), (a, b) in pairs.items():
                cell = _Cell(a, b, column)
                if name == dataset and all(cell.samples):
                    yield cell


def _tested(cells: Sequence[_Cell]) -> list[Compared]:
    """The cells, their p values adjusted over those that differ: of what was made anew to the last
    digit no test can err.
    """
    among = 0
    for cell in cells:
        found_gaps = gaps(*cell.samples)
        among += len(found_gaps) > 1 and any(found_gaps)
    found = [difference(*cell.samples, 10.0**-cell.column.digits, among) for cell in cells]
    adjusted = iter(holm([d.p for d in found if d.is_tested]))

    compared = []
    for cell, d in zip(cells, found, strict=True):
        name = cell.column.name
        p = next(adjusted) if d.is_tested else d.p
        means = cell.a.interval(name).mean, cell.b.interval(name).mean
        compared.append(Compared(cell.a.name, cell.a.dataset, cell.column, *means, d, p))
    return compared


def _lost(pairs: Pairs, columns: Sequence[Column]) -> Iterator[tuple[Key, Column, str]]:
    """What A has and B has not, with the reasons. What B did not measure has none."""
    for key, (a, b) in pairs.items():
        for column in columns:
            missing = set(a.sample(column.name)) - set(b.sample(column.name))
            trials = [trial for trial in b.trials if trial.seed in missing]
            reasons = [b.refused.get(column.name, ""), *(_why(one, column.name) for one in trials)]
            why = "; ".join(dict.fromkeys(filter(None, reasons))) if trials else ""
            if why:
                yield key, column, why


def _why(trial: Record, column: str) -> str:
    return trial.reasons.get(column, "") if trial.is_done else f"{trial.status}: {trial.reason}"


def failures(found: Comparison, gate: str) -> list[str]:
    """A sentence for each number of B by which the gate, a key of `GATES`, is shut.

    Raises: ReportError where no number could have shut it.
    """
    is_any = gate == "changed"
    verdicts = ("worse",) if gate == "worse" else ("worse", "better", "different")
    sentences = []
    is_told = False  # whether some number could have been called different
    for one in found.shared:
        if not (is_any or one.column.lead):
            continue
        is_shut = not one.is_equal if is_any else one.verdict in verdicts
        is_told |= is_any or one.is_equal or one.difference.is_tested
        if is_shut:
            sentences.append(_changed(one))
    for (variant, dataset), column, why in found.lost:
        if is_any or column.lead:
            sentences.append(f"{column.name} of {variant} on {dataset} is lost in B: {why}")
    if not (sentences or is_told):
        raise ReportError(
            "there is nothing to compare: no number that leads a table is there for the same two "
            "seeds of a row in both runs"
        )
    return sentences


def _changed(one: Compared) -> str:
    verdict = one.verdict if one.verdict in ("worse", "better") else "different"
    where = f"{one.column.name} of {one.variant} on {one.dataset} is {verdict} in B"
    p = f", p = {brief(one.p_adjusted)}" if math.isfinite(one.p_adjusted) else ""
    return f"{where}: {brief(one.a)} in A, {brief(one.b)} in B{p}"


def compared_grid(found: Comparison) -> Grid:
    """The comparison as a table: A - B over the seeds that both runs have, where it is not 0."""
    differ = [one for one in found.shared if not one.is_equal]
    head = ["variant", "data set", "column", "A", "B", "A - B", "± 95 %", "n", "p", "verdict"]
    body = []
    for one in differ:
        gap = one.difference
        numbers = [brief(x) for x in (one.a, one.b, gap.mean, gap.ci95)]
        said = f"B {one.verdict}" if one.verdict in ("worse", "better") else one.verdict
        tested = [str(gap.n), brief(one.p_adjusted), said]
        body.append([one.variant, one.dataset, one.column.name, *numbers, *tested])
    caption = ". ".join(_notes(found, len(found.shared) - len(differ)))
    return Grid("A against B, paired by seed", head, body, caption=f"{caption}.")


def _notes(found: Comparison, equal: int) -> Iterator[str]:
    """What a reader must know of the comparison."""
    yield (
        "A - B is the mean difference over the n seeds that both runs have, ± the half width of "
        "its 95 % Student-t interval"
    )
    yield (
        "p is that of a paired sign-flip permutation test, of a t-test where there are too few "
        "seeds for so many numbers, no spread being taken to be smaller than that of numbers "
        "rounded as their column shows; adjusted by Holm over all numbers that differ, those of "
        "columns that lead a table and the others apart"
    )
    yield f"{equal} more numbers are equal in both runs"
    by_reason: dict[str, list[Key]] = {}
    for key, why in found.refused.items():
        by_reason.setdefault(why, []).append(key)
    for why, rows in by_reason.items():
        yield f"Not compared: {_named(rows)} ({why})"
    for (variant, dataset), column, why in found.lost:
        yield f"Lost in B: {column.name} of {variant} on {dataset} ({why})"
    for which, rows in (("A", found.only_a), ("B", found.only_b)):
        if rows:
            yield f"only in {which}: {_named(rows)}"


def _named(rows: Sequence[Key]) -> str:
    return ", ".join(f"{variant} on {dataset}" for variant, dataset in rows)


def compared_facts(found: Comparison) -> dict[str, Any]:
    """The comparison for a program: None where a number cannot be told."""
    shared = []
    for one in found.shared:
        gap = one.difference
        facts: dict[str, Any] = {
            "variant": one.variant,
            "dataset": one.dataset,
            "column": one.column.name,
            "leads": bool(one.column.lead),
        }
        facts |= {"a": one.a, "b": one.b, "a - b": gap.mean, "ci95": gap.ci95, "n": gap.n}
        facts |= {"p": one.p_adjusted, "test": gap.test, "verdict": one.verdict}
        shared.append(storable(facts))
    refused = [[*key, why] for key, why in found.refused.items()]
    lost = [[*key, column.name, why] for key, column, why in found.lost]
    alone = {"only in a": found.only_a, "only in b": found.only_b}
    return {"shared": shared, "refused": refused, "lost in b": lost, **alone}
