"""When a published cell counts as reproduced.

Ours is within max(2 √(se² + se²), 0.4 % of the value) of it, of three seeds at least and by the
paper's own schedule, and what the table claims of the order of its rows holds in four of five pairs
of seeds. A value from memory, or a short schedule, reproduces nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ...data.published import MEMORY, PublishedRow, PublishedTable

REPRODUCED = "reproduced"
AGREES = "agrees, but the value is from memory"
DEVIATES = "deviates"
SHORT = "not the paper's schedule"
ABSENT = "data absent"
DEAR = "too dear here"
NOT_RUN = "not run"
BESIDE = "stands beside"
STATUSES = (REPRODUCED, AGREES, DEVIATES, SHORT, ABSENT, DEAR, NOT_RUN, BESIDE)

SEEDS = 3  # at least
SHARE = 0.004  # of the value: what implementations of one paper differ by
PAIRS = 0.8  # of the pairs of seeds, in which an order must hold


@dataclass(frozen=True)
class Ours:
    """Our numbers of one cell, as the paper prints them: one a seed."""

    values: tuple[float, ...]
    is_exact: bool = False  # computed from the data alone: one number, without an error

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def error(self) -> float:
        """The standard error over seeds; NaN of a single one."""
        n = len(self.values)
        if self.is_exact:
            return 0.0
        if n < 2:
            return math.nan
        variance = math.fsum((value - self.mean) ** 2 for value in self.values) / (n - 1)
        return math.sqrt(variance / n)


@dataclass(frozen=True)
class Cell:
    """A published cell, what we have, and what that amounts to."""

    row: str
    dataset: str
    published: float
    spread: float | None  # standard error of the published value, where it is printed
    is_remembered: bool
    ours: Ours | None
    status: str
    why: str = ""


def tolerance(value: float, published_error: float, error: float) -> float:
    """How far ours may be from the value."""
    return max(2 * math.hypot(published_error, error), SHARE * abs(value))


def holds(better: Sequence[float], worse: Sequence[float]) -> bool:
    """Whether the first is lower in four of five pairs of seeds."""
    pairs = list(product(better, worse))
    return sum(low < high for low, high in pairs) >= PAIRS * len(pairs)


def cells_of(
    table: PublishedTable, found: Mapping[tuple[str, str], Ours], command: str = ""
) -> list[Cell]:
    """The cells of a table; `found` is (row of the table, data set) -> ours."""
    broken = _broken(table, found)
    cells = []
    for row in table.rows:
        for dataset, value in row.cells.items():
            ours = found.get((row.name, dataset))
            printed = row.spread.get(dataset)
            spread = None if printed is None else printed / math.sqrt(table.runs)
            if ours is None:
                status, why = _without_ours(table, row, command)
            else:
                status, why = _judged(table, row, value, spread or 0.0, ours)
                if status in (REPRODUCED, AGREES) and dataset in broken:
                    status, why = DEVIATES, broken[dataset]
            is_remembered = table.provenance_of(row) == MEMORY
            cell = Cell(row.name, dataset, value, spread, is_remembered, ours, status, why)
            cells.append(cell)
    return cells


def _broken(table: PublishedTable, found: Mapping[tuple[str, str], Ours]) -> dict[str, str]:
    """Data set -> the first claim of the table that does not hold there, in a sentence."""
    broken: dict[str, str] = {}
    datasets = {dataset for _, dataset in found}
    for better, worse in table.claims:
        for dataset in datasets:
            low = found.get((better, dataset))
            high = found.get((worse, dataset))
            if low and high and not holds(low.values, high.values):
                broken.setdefault(dataset, f"{better} is not below {worse}")
    return broken


def _without_ours(table: PublishedTable, row: PublishedRow, command: str) -> tuple[str, str]:
    if table.absent:
        return ABSENT, table.absent
    if table.is_dear:
        return DEAR, (command if row.ours else "") or table.cost
    return (NOT_RUN, command) if row.ours else (BESIDE, "")


def _judged(
    table: PublishedTable, row: PublishedRow, value: float, spread: float, ours: Ours
) -> tuple[str, str]:
    if table.schedule != "paper":
        return SHORT, f"the paper's costs {table.cost}" if table.cost else ""
    if not ours.is_exact and len(ours.values) < SEEDS:
        return NOT_RUN, f"{len(ours.values)} of {SEEDS} seeds"
    allowed = tolerance(value, spread, ours.error)
    gap = ours.mean - value
    if abs(gap) > allowed:
        return DEVIATES, row.why or f"by {gap:+.3g}, where {allowed:.2g} is allowed"
    return (AGREES if table.provenance_of(row) == MEMORY else REPRODUCED), ""
