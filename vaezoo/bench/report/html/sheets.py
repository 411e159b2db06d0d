"""The grids of the tables as the template writes them: every cell with its footnotes, rows in
groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..families import NONE
from ..rows import Row
from ..tables import ResultTable
from ..typeset import Grid, split_marks
from .source import Source, variant_of

COMPARED = "Rows that are compared"
REFERENCES = "Reference rows: results that come with vaezoo, compared too"
APART = "Rows set apart: not compared with the others"
WITHOUT = "Rows without a number"
CONTROLS = "Control rows: no model"
GROUPS = (COMPARED, REFERENCES, APART, WITHOUT, CONTROLS)


class Cell(NamedTuple):
    """One cell: its text and the numbers of its footnotes."""

    text: str
    notes: tuple[int, ...]
    is_best: bool


@dataclass(frozen=True)
class Line:
    """One row of a table, and what it is filtered by."""

    cells: Sequence[Cell]
    name: str  # "" of a control row, which no filter takes away
    variant: str
    family: str
    tags: str


@dataclass(frozen=True)
class Sheet:
    """One table of one data set."""

    key: str  # its id on the page
    dataset: str
    grid: Grid
    groups: dict[str, list[Line]]


def sheets(source: Source, table: ResultTable, grids: Sequence[Grid]) -> Iterator[Sheet]:
    """A sheet a data set."""
    for dataset, grid in zip(table.datasets, grids, strict=True):
        rows = table.of(dataset)
        groups: dict[str, list[Line]] = {title: [] for title in GROUPS}
        for i, cells in enumerate(grid.body):
            row = rows[i] if i < len(rows) else None
            line = _line(source, row, _cells(grid, i, cells))
            groups[_group(table, row)].append(line)
        named = {title: lines for title, lines in groups.items() if lines}
        yield Sheet(slug(f"{table.name}-{dataset}"), dataset, grid, named)


def _group(table: ResultTable, row: Row | None) -> str:
    if row is None:
        return CONTROLS
    if not row.done:
        return WITHOUT
    if table.apart(row):
        return APART
    return REFERENCES if row.is_reference else COMPARED


def _line(source: Source, row: Row | None, cells: Sequence[Cell]) -> Line:
    if row is None:
        return Line(cells, "", "", NONE.name, "")
    tags = " ".join(source.tags(row))
    return Line(cells, row.name, variant_of(row), source.family(row).name, tags)


def _cells(grid: Grid, i: int, texts: Sequence[str]) -> list[Cell]:
    return [_cell(text, (i, j) in grid.bold) for j, text in enumerate(texts)]


def _cell(text: str, is_best: bool) -> Cell:
    """The cell of a text such as "23.1 ± 0.2 [3]"."""
    return Cell(*split_marks(text), is_best)


def slug(text: str) -> str:
    """The text as an id: letters, digits and lines."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)
