"""The tables as they are read: Markdown, LaTeX, and the grids that a terminal draws.

Each number is mean ± 95 % half width; bold is what is not significantly worse than the best;
reasons are footnotes.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from ...hooks import Column
from ...training.budget import SKIPPED
from ..text import in_markdown
from .caption import REFUSED, caption, in_words
from .latex import grid_tex
from .rows import PAID, Row
from .statistics import Interval
from .tables import LIMIT, REFERENCE, ResultTable, says_of
from .typeset import Grid, grid_markdown

COST_HEADS = {
    SKIPPED: "skipped updates",
    "parameters": "parameters",
    "train_seconds": "train s",
    LIMIT: "at limit",
}
ARROWS = {"lower": "↓", "higher": "↑", "": ""}
DASH = "–"


def as_markdown(table: ResultTable) -> str:
    """One section a data set."""
    sections = [grid_markdown(grid) for grid in grids(table)]
    return f"# {in_markdown(table.about.heading)}\n\n" + "\n\n".join(sections) + "\n"


def as_tex(table: ResultTable) -> str:
    """One table a data set, as `latex` lays it out; several where its columns do not fit."""
    made = [grid_tex(grid, f"tab:{table.name}") for grid in grids(table)]
    return "\n\n".join(made) + "\n"


@lru_cache(maxsize=16)  # the tables of a run, each written in one form after the other
def grids(table: ResultTable) -> list[Grid]:
    """The table's cells as text, one grid a data set."""
    return [_grid(table, dataset) for dataset in table.datasets]


def _grid(table: ResultTable, dataset: str) -> Grid:
    rows = table.of(dataset)
    shown = [c for c in table.columns if c.lead or says_of(rows, c.name)]
    costs = _costs(rows)
    lead = ["variant", *(["sampler"] if table.has_samplers else []), "n"]
    headings = [_heading(column, table.about.says) for column in shown]
    notes = _Notes()
    body = [_cells(table, row, shown, costs, notes) for row in rows]
    body += _control_cells(table, dataset, shown, costs, blank=len(lead) - 1)

    return Grid(
        title=f"{table.about.heading}: {dataset}",
        head=[*lead, *headings, *(COST_HEADS[name] for name in costs)],
        body=body,
        bold=_bold(table, dataset, shown, len(lead)),
        caption=caption(table, dataset, shown),
        notes=tuple(notes.lines),
        names=(*lead, *(column.name for column in shown), *costs),
    )


def _costs(rows: Sequence[Row]) -> list[str]:
    """The columns of what training cost, of which a row says something."""
    costs = [name for name in PAID if says_of(rows, name)]
    if any(row.cut_short is not None for row in rows):
        costs.append(LIMIT)
    return costs


def _control_cells(
    table: ResultTable, dataset: str, columns: Sequence[Column], costs: Sequence[str], blank: int
) -> list[list[str]]:
    """The control rows, which cost no training; `blank` cells follow the name."""
    found = []
    for name, values in table.controls_of(dataset).items():
        numbers = [_plain(values.get(column.name), column.digits) for column in columns]
        found.append([f"({name})", *[""] * blank, *numbers, *[""] * len(costs)])
    return found


def _bold(
    table: ResultTable, dataset: str, shown: Sequence[Column], before: int
) -> set[tuple[int, int]]:
    """(row, column) of the cells to print bold; `before` columns stand before the numbers."""
    found = set()
    names = [row.name for row in table.of(dataset)]
    for j, column in enumerate(shown):
        best = table.best[dataset, column.name].rows
        found |= {(i, before + j) for i, name in enumerate(names) if name in best}
    return found


def _heading(column: Column, said: str) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{in_words(column.name.removeprefix(said))}{unit} {ARROWS[column.better]}".strip()


def _cells(
    table: ResultTable,
    row: Row,
    columns: Sequence[Column],
    costs: Sequence[str],
    notes: "_Notes",
) -> list[str]:
    sampler = [row.sampler_in_words] if table.has_samplers else []
    if not row.done:
        status = f"{row.status}{notes.mark(row.reason)}"
        others = [DASH] * (len(columns) + len(costs) - 1)
        return [row.name, *sampler, "0", status, *others]

    lost = f"{row.status}: {row.reason}" if len(row.done) < len(row.trials) else ""
    marks = f" {REFUSED}" if any(column.name in row.refused for column in columns) else ""
    marks += notes.mark("; ".join(filter(None, [lost, table.few(row)])))
    marks += notes.mark(REFERENCE if row.is_reference else "")
    marks += notes.mark(table.apart(row))
    numbers = [_cell(table, row, column, notes) for column in columns]
    paid = [_cost(row, name) for name in costs]
    return [f"{row.name}{marks}", *sampler, str(len(row.done)), *numbers, *paid]


def _cost(row: Row, name: str) -> str:
    if name != LIMIT:
        return _plain(row.interval(name).mean, int(name != "parameters"))
    return DASH if row.cut_short is None else f"{row.cut_short}/{len(row.done)}"


def _cell(table: ResultTable, row: Row, column: Column, notes: "_Notes") -> str:
    found = row.interval(column.name)
    if not found.n:
        return f"{DASH}{notes.mark(row.why_missing(column.name))}"
    text = _with_interval(found, column.digits)
    why = row.why_missing(column.name)
    if found.n < len(row.done):
        why = f"over {found.n} of {len(row.done)} seeds{': ' * bool(why)}{why}"
    return text + notes.mark(why) + notes.mark(table.other_code(row, column))


def _with_interval(found: Interval, digits: int) -> str:
    mean = f"{found.mean:.{digits}f}"
    return f"{mean} ± {found.ci95:.{digits}f}" if found.n > 1 else mean


def _plain(value: float | None, digits: int) -> str:
    return DASH if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


class _Notes:
    """Footnotes, numbered as they come, each text once."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def mark(self, text: str) -> str:
        return f" [{self.lines.setdefault(text, len(self.lines) + 1)}]" if text else ""
