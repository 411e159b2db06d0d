"""Two runs side by side: every number that both have, its difference paired by seed or by test row.

Rows are paired by name and data set, or every row with one. A pair that was not made alike is
refused with the reason.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...hooks import Column, Table
from ...hyperparameters import did_you_mean
from ..records import Record
from .alike import unlike
from .by_row import averaged, why_no_rows
from .catalogue import Catalogue, catalogue_of
from .report import ReportError, read_rows
from .rows import Row
from .statistics import Difference, Sample, difference, gaps, holm, verdict
from .typeset import brief

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
        """Whether every seed, or test row, that both have gives one number."""
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
    other_code: list[str]  # metrics whose code differs for some row, so that it is not compared
    lost: list[tuple[Key, Column, str]]  # what A has and B has not, and why
    only_a: list[Key]
    only_b: list[Key]
    by_row: bool = False  # paired by test row
    against: str = ""  # the row of B that every row of A is compared with


def compare(a: Path | str, b: Path | str, *, by_row: bool = False, against: str = "") -> Comparison:
    """Two runs, number by number: paired by seed, or `by_row` by test row, each one's numbers
    averaged over the seeds that both have. With `against`, every row of A and that row of B.

    Raises: ReportError for a folder without trials, and where B has no such row.
    """
    rows_a = _rows(a, by_row)
    rows_b = _rows(b, by_row)
    if against:
        rows_b = _against(against, rows_a, rows_b)
    pairs, refused = _paired(rows_a, rows_b, by_row, bool(against))

    catalogue = catalogue_of([row for pair in pairs.values() for row in pair])
    every = list(_cells(pairs, catalogue, by_row))
    set_apart = {cell.key: cell.apart for cell in reversed(every) if cell.apart}
    cells = [cell for cell in every if not cell.apart]
    return Comparison(
        _shared(cells),
        refused | set_apart,
        other_code=list(dict.fromkeys(cell.metric for cell in cells if not cell.is_alike)),
        lost=[] if against else list(_lost(pairs, catalogue)),
        only_a=[key for key in rows_a if key not in rows_b],
        only_b=[key for key in rows_b if key not in rows_a],
        by_row=by_row,
        against=against,
    )


def _paired(
    rows_a: Mapping[Key, Row], rows_b: Mapping[Key, Row], by_row: bool, is_other: bool
) -> tuple[dict[Key, tuple[Row, Row]], dict[Key, str]]:
    """The rows that both have, and why others that both have are not compared; `is_other` where the
    two are rows of different variants.
    """
    pairs = {}
    refused = {}
    for key in (key for key in rows_a if key in rows_b):
        pair = rows_a[key], rows_b[key]
        why = unlike(*(row.done for row in pair), is_one_variant=not is_other)
        if why := why or (why_no_rows(*pair) if by_row else ""):
            refused[key] = why
        else:
            pairs[key] = pair
    return pairs, refused


def _rows(out: Path | str, by_row: bool) -> dict[Key, Row]:
    """The rows of a run. Those of further samplers have no numbers of test rows."""
    rows = read_rows(out)
    if not by_row:
        rows = [one for row in rows for one in row.by_sampler()]
    return {(row.name, row.dataset): row for row in rows}


def _against(name: str, rows_a: Mapping[Key, Row], rows_b: Mapping[Key, Row]) -> dict[Key, Row]:
    """Row of A -> the row of B of this name, on its data set.

    Raises: ReportError where there is none.
    """
    names = list(dict.fromkeys(variant for variant, _ in rows_b))
    if name not in names:
        near = did_you_mean(name, names)
        raise ReportError(f"B has no row {name!r}{near}; it has {', '.join(names)}")
    return {key: rows_b[name, key[1]] for key in rows_a if (name, key[1]) in rows_b}


@dataclass(frozen=True)
class _Cell:
    """One number of one row: what both runs say of it."""

    a: Row
    b: Row
    column: Column
    metric: str  # that gives it
    table: Table
    by_row: bool

    @property
    def key(self) -> Key:
        return self.a.name, self.a.dataset

    @property
    def apart(self) -> str:
        """Why the two numbers are of other questions, such as of log p(x) and of log p(x|label)."""
        facts = self.table.apart
        if not facts or self.a.setting(facts) == self.b.setting(facts):
            return ""
        told = self.a.setting(facts) or self.b.setting(facts)
        return f"the {facts.replace('_', ' ')} of one alone is {told}"

    @property
    def is_alike(self) -> bool:
        """Whether both were measured by the same code."""
        return self.a.measured_by(self.metric) == self.b.measured_by(self.metric)

    @cached_property
    def samples(self) -> tuple[Sample, Sample]:
        if self.by_row:
            return averaged(self.a, self.b, self.column.name)
        return self.a.sample(self.column.name), self.b.sample(self.column.name)


def _cells(pairs: Pairs, catalogue: Catalogue, by_row: bool) -> Iterator[_Cell]:
    """What both have, by data set, then by column."""
    for dataset in dict.fromkeys(dataset for _, dataset in pairs):
        for column in catalogue.by_table:
            for (_, name), (a, b) in pairs.items():
                metric = catalogue.metrics.get(column.name, "")
                table = catalogue.tables.get(column.table) or Table(column.table)
                cell = _Cell(a, b, column, metric, table, by_row)
                if name == dataset and all(cell.samples):
                    yield cell


def _shared(cells: Sequence[_Cell]) -> list[Compared]:
    """Those measured by the same code; numbers that lead a table are a family of tests of their
    own.
    """
    alike = [cell for cell in cells if cell.is_alike]
    leading = [cell for cell in alike if cell.column.lead]
    others = [cell for cell in alike if not cell.column.lead]
    return _tested(leading) + _tested(others)


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


def _lost(pairs: Pairs, catalogue: Catalogue) -> Iterator[tuple[Key, Column, str]]:
    """What A has and B has not, with the reasons. What B did not measure has none."""
    for key, (a, b) in pairs.items():
        for column in catalogue.by_table:
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
