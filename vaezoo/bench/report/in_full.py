"""A table as CSV: every column in full precision."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...hooks import Column
from ..text import as_value, in_csv
from .by_row import row_error
from .rows import COST, PAID, Row
from .tables import LIMIT, ROW_SE, ResultTable, says_of

# the columns that hold words, even where a word looks like a number
TEXTS = ("variant", "dataset", "status", "likelihood", "settings", "sampler", "reason")


def records(text: str) -> list[dict[str, Any]]:
    """The lines of such a CSV, numbers as numbers; None where a cell is empty."""
    lines = csv.DictReader(io.StringIO(text, newline=""))
    return [
        {name: cell if name in TEXTS else as_value(cell) for name, cell in line.items()}
        for line in lines
    ]


def as_csv(table: ResultTable) -> str:
    """One row a variant × data set, then the control rows, every number in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["variant", "dataset", "n_seeds", "status", "likelihood", "settings"]
    if table.has_samplers:
        head.append("sampler")
    numbers = [f"{column.name}_{part}" for column in table.columns for part in table.parts(column)]
    costs = _costs(table)
    writer.writerow([in_csv(name) for name in (*head, *numbers, *costs, LIMIT, "reason")])
    for dataset in table.datasets:
        for row in table.of(dataset):
            writer.writerow(_csv_row(table, row, costs))
        for name, values in table.controls_of(dataset).items():
            writer.writerow(_csv_control(table, name, dataset, values, costs))
    return text.getvalue()


def _costs(table: ResultTable) -> list[str]:
    """The columns of what training cost: those of all tables, and what a row says besides."""
    return [name for name in PAID if name in COST or says_of(table.rows, name)]


def _csv_row(table: ResultTable, row: Row, paid: Sequence[str]) -> list[str]:
    """Words as `in_csv` has them; a number is no formula."""
    likelihood = row.trials[0].ingredients.likelihood
    status = "reference" if row.is_reference else row.status
    head = [row.variant, row.dataset, len(row.done), status, likelihood, row.settings]
    if table.has_samplers:
        head.append(row.sampler_in_words)

    numbers = [text for column in table.columns for text in _csv_cells(table, row, column)]
    costs = [*(_number(row.interval(name).mean) for name in paid), _number(row.cut_short)]
    reasons = [row.reason, table.apart(row), table.few(row)]
    remarks = row.remarks
    others = table.by_other_code(row)
    for column in table.columns:
        reasons += [remarks.get(column.name, ""), others.get(column.name, "")]
    reason = "; ".join(dict.fromkeys(filter(None, reasons)))
    return [*(in_csv(str(word)) for word in head), *numbers, *costs, in_csv(reason)]


def _csv_cells(table: ResultTable, row: Row, column: Column) -> list[str]:
    """The numbers of the column's parts."""
    found = row.interval(column.name)
    numbers = [found.mean, found.ci95, found.std]  # as `PARTS` has them
    if ROW_SE in table.parts(column):
        numbers.append(row_error(row, column.name))
    return list(map(_number, numbers))


def _csv_control(
    table: ResultTable,
    name: str,
    dataset: str,
    values: Mapping[str, float],
    paid: Sequence[str],
) -> list[str]:
    """A control row: one number a column, the same for every seed."""
    head = [in_csv(name), in_csv(dataset), "0", "control", "", ""]
    if table.has_samplers:
        head.append("")
    numbers: list[str] = []
    for column in table.columns:
        blanks = [""] * (len(table.parts(column)) - 1)
        numbers += [_number(values.get(column.name)), *blanks]
    return [*head, *numbers, *("" for _ in (*paid, LIMIT, "reason"))]


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return str(int(value)) if value % 1 == 0 and abs(value) < 2**53 else repr(value)
