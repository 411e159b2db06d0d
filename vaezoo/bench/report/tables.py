"""The tables of a run, as metrics describe them: their rows, their columns, what competes with
what.

A table is rows × columns of samples over seeds. `in_full` writes every number, `printed` the forms
that are read. Nothing in a table depends on the time, or on which trial was finished first.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any

from ...evaluation.yardsticks import BEST, MADE_UP
from ...hooks import Column, Table
from .best import Best, Contest, contest, decided, no_better_than, together
from .catalogue import catalogue_of
from .rows import Row
from .statistics import Sample

LIMIT = "at_limit"  # seeds whose training ended by the limit of epochs
PARTS = ("mean", "ci95", "std")  # of a number over seeds, each a column of the CSV
ROW_SE = "row_se"  # over the test rows, for one model: a further one where some row has it
OTHER_CODE = "measured by other code of the metric {} than most rows: not compared"
REFERENCE = "a reference row, of the results that come with vaezoo: not trained in this run"
Controls = Mapping[str, Mapping[str, float]]  # row -> column -> number


@dataclass(frozen=True, eq=False)
class ResultTable:
    """One table: what its metrics say of it, its rows, and rows of control values by data set."""

    about: Table
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    controls: Mapping[str, Controls] = field(default_factory=dict)  # by data set
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by data set
    set_aside: int = 0  # files that do not fit
    metrics: Mapping[str, str] = field(default_factory=dict)  # column -> what gives it

    @property
    def name(self) -> str:
        """The name of its files."""
        return self.about.name

    @property
    def has_numbers(self) -> bool:
        """Whether a row has a number in it, or one that was refused."""
        return any(says_of(self.rows, column.name) for column in self.columns)

    @property
    def has_samplers(self) -> bool:
        """Whether it has a row for each sampler."""
        return any(column.of == "samples" for column in self.columns)

    @property
    def datasets(self) -> list[str]:
        return list(self._by_dataset)

    def of(self, dataset: str) -> list[Row]:
        return self._by_dataset.get(dataset, [])

    @cached_property
    def _by_dataset(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.dataset, []).append(row)
        return found

    @cached_property
    def _most_seeds(self) -> dict[str, int]:
        """data set -> the seeds of the row that has most."""
        found = {}
        for name, rows in self._by_dataset.items():
            current = [row for row in rows if not row.standing.is_stale] or rows
            found[name] = max(len(row.done) for row in current)
        return found

    @cached_property
    def best(self) -> dict[tuple[str, str], Best]:
        """(data set, column) -> the rows to print bold."""
        places = [(dataset, column) for dataset in self.datasets for column in self.columns]
        groups = [self._contests(*place) for place in places]
        # all at once, for those of as many rows share their draws
        each = iter(decided(list(chain.from_iterable(groups))))
        return {
            (dataset, column.name): together(list(islice(each, len(group))))
            for (dataset, column), group in zip(places, groups, strict=True)
        }

    def _contests(self, dataset: str, column: Column) -> list[Contest | None]:
        """One for each level of what is swept; none where noise wins."""
        if self.is_won_by_noise(dataset, column):
            return []
        limit = self.limit(dataset, column)
        levels: dict[str, dict[str, Sample]] = {}
        for row in self._compared[dataset]:
            if not self.other_code(row, column):
                samples = levels.setdefault(row.standing.level, {})
                sample = row.sample(column.name)
                samples[row.name] = no_better_than(limit, sample, column.better)
        resolution = 10.0**-column.digits
        return [contest(one, column.better, resolution) for one in levels.values()]

    @cached_property
    def _compared(self) -> dict[str, list[Row]]:
        """data set -> its rows that are not `apart`."""
        return {
            name: [row for row in rows if not self.apart(row)]
            for name, rows in self._by_dataset.items()
        }

    def is_won_by_noise(self, dataset: str, column: Column) -> bool:
        """Whether something made up without a model does as well in this column as what no model
        beats, so that a better number says nothing.
        """
        limit = self.limit(dataset, column)
        made_up = self._of_controls(dataset, column, MADE_UP)
        if column.better == "lower":
            return any(number <= limit for number in made_up)
        return any(number >= limit for number in made_up)

    def limit(self, dataset: str, column: Column) -> float:
        """What no model beats: the best control row of real data; NaN where there is none."""
        found = self._of_controls(dataset, column, BEST)
        if not found or not column.better:
            return math.nan
        return min(found) if column.better == "lower" else max(found)

    def _of_controls(self, dataset: str, column: Column, names: Sequence[str]) -> list[float]:
        """The numbers that control rows of these names have in this column."""
        rows = self.controls.get(dataset, {})
        numbers = [rows[name].get(column.name, math.nan) for name in names if name in rows]
        return [number for number in numbers if math.isfinite(number)]

    def apart(self, row: Row) -> str:
        """Why the row is not compared with the others; "" where it is."""
        if id(row) not in self._set_apart:
            self._set_apart[id(row)] = row, self._apart(row)
        return self._set_apart[id(row)][1]

    @cached_property
    def _set_apart(self) -> dict[int, tuple[Row, str]]:
        """id -> the row, and what `apart` says of it; those that were asked for."""
        return {}

    def _apart(self, row: Row) -> str:
        reasons = [row.standing.why_not]
        if self.about.apart and (given := row.setting(self.about.apart)):
            reasons.append(f"{self.about.apart.replace('_', ' ')} {given}")
        reason = "; ".join(filter(None, reasons))
        return f"{reason}: not compared with the other rows" if reason else ""

    def other_code(self, row: Row, column: Column) -> str:
        """Why the row's number in this column is not compared with the others': other code gave it.
        "" where it is.
        """
        return self.by_other_code(row).get(column.name, "")

    def by_other_code(self, row: Row) -> Mapping[str, str]:
        """Column -> what `other_code` says of it, of those of which it says something."""
        if id(row) not in self._other_codes:
            found = {}
            for name, code in self._codes[row.dataset].items():
                metric = self.metrics.get(name, "")
                if row.measured_by(metric) != code and row.has(name):
                    found[name] = OTHER_CODE.format(metric)
            self._other_codes[id(row)] = row, found
        return self._other_codes[id(row)][1]

    @cached_property
    def _other_codes(self) -> dict[int, tuple[Row, Mapping[str, str]]]:
        """id -> the row, and what `by_other_code` says of it; those that were asked for."""
        return {}

    @cached_property
    def _codes(self) -> dict[str, dict[str, frozenset[str]]]:
        """data set -> column -> the code by which most rows were measured that have a number; of
        columns whose metric not all rows were measured for by one code.
        """
        return {name: self._codes_of(rows) for name, rows in self._by_dataset.items()}

    def _codes_of(self, rows: Sequence[Row]) -> dict[str, frozenset[str]]:
        done = [row for row in rows if row.done]
        metrics = {self.metrics.get(column.name, "") for column in self.columns}
        mixed = {metric for metric in metrics if len({row.measured_by(metric) for row in done}) > 1}
        found = {}
        for column in self.columns:
            metric = self.metrics.get(column.name, "")
            if metric in mixed:
                codes = Counter(row.measured_by(metric) for row in done if row.has(column.name))
                found[column.name] = max(codes, key=codes.__getitem__, default=frozenset())
        return found

    @cached_property
    def _has_rows(self) -> set[str]:
        """The columns of which some row knows the numbers of its test rows."""
        return {name for row in self.rows for name in row.by_test_row}

    def parts(self, column: Column) -> tuple[str, ...]:
        """The columns that the CSV has of this one."""
        return (*PARTS, ROW_SE) if column.name in self._has_rows else PARTS

    def few(self, row: Row) -> str:
        """Why the row is not compared although its seeds say the same as others': there are fewer
        of them. "" where there are not.
        """
        most = self._most_seeds[row.dataset]
        return f"fewer seeds than the table's {most}: not compared" if len(row.done) < most else ""

    def controls_of(self, dataset: str) -> dict[str, Mapping[str, float]]:
        """The control rows that have a number in this table."""
        known = {column.name for column in self.columns}
        rows = self.controls.get(dataset, {})
        return {name: row for name, row in rows.items() if known & set(row)}


def controls_of(rows: Sequence[Row]) -> dict[str, Controls]:
    """data set -> its control rows, as the run measured them."""
    return {row.dataset: row.controls for row in rows if not row.is_reference}


def tables_of(rows: Sequence[Row], controls: Mapping[str, Any] | None = None) -> list[ResultTable]:
    """Every table that has a number, and those that are always there."""
    catalogue = catalogue_of(rows)
    apart = {table.apart for table in catalogue.tables.values()}
    settings = _settings(rows, apart)  # what sets a row apart is a footnote of the row
    of_columns = catalogue.metrics

    made = []
    for about in catalogue.in_order():
        columns = tuple(catalogue.of(about))
        table = ResultTable(about, columns, tuple(rows), controls or {}, settings, 0, of_columns)
        if table.has_samplers:
            names = {column.name for column in columns}
            shown = [one for row in rows for one in row.by_sampler() if _belongs(one, names)]
            table = ResultTable(
                about, columns, tuple(shown), controls or {}, settings, 0, of_columns
            )
        if about.always or table.has_numbers:
            made.append(table)
    return made


def to_print(tables: Sequence[ResultTable]) -> list[ResultTable]:
    """The tables that every run has; where one of them is empty, as where other metrics were asked
    for, all that have numbers.
    """
    usual = [table for table in tables if table.about.always]
    if all(table.has_numbers for table in usual):
        return usual
    return [table for table in tables if table.has_numbers] or usual


def says_of(rows: Sequence[Row], column: str) -> bool:
    """Whether a row has a number in this column, or one that was refused."""
    return any(row.has(column) or column in row.refused for row in rows)


def _belongs(row: Row, columns: set[str]) -> bool:
    """Whether a further sampler's row has any of these numbers, or a reason why not."""
    if row.is_own_prior or not row.done:
        return True
    measured = {name for trial in row.done for name in (*trial.metrics, *trial.reasons)}
    return bool(measured & columns)


def _settings(rows: Sequence[Row], apart: set[str]) -> dict[str, dict[str, Any]]:
    """data set -> the settings of its evaluation, such as K = 100."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for trial in row.done:
            for name, value in sorted(trial.settings.items()):
                if name not in apart:
                    found.setdefault(row.dataset, {}).setdefault(name, value)
    return found
