"""The board in words: a table for each published one, and how many cells have come to what."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ...data.published import PublishedTable
from ..report.typeset import Grid
from .ours import Results
from .verdict import STATUSES, Cell, cells_of

HEAD = ("row", "data set", "published", "ours", "status")
REMEMBERED = "*"  # after a value from memory

Board = dict[str, tuple[PublishedTable, list[Cell]]]


def board_of(tables: Mapping[str, PublishedTable], results: Results) -> Board:
    """Every table with its cells."""
    return {
        name: (table, cells_of(table, results.of(table), command_of(table)))
        for name, table in tables.items()
    }


def command_of(table: PublishedTable) -> str:
    """What would make our numbers."""
    options = f" {table.options}" if table.options else ""
    commands = [f"vaezoo bench --suite {one}{options} --out results/{one}" for one in table.suites]
    return ", ".join(f"`{command}`" for command in commands)


def grids(board: Board) -> list[Grid]:
    """A grid for each table."""
    return [_grid(table, cells) for table, cells in board.values()]


def _grid(table: PublishedTable, cells: Iterable[Cell]) -> Grid:
    notes: list[str] = []
    body = [_line(cell, notes) for cell in cells]
    known = f"Values {table.provenance}." if table.provenance != "memory" else "Values from memory."
    cost = f" Cost: {table.cost}." if table.cost else ""
    says = f"{_begun(table.paper)}. {_begun(table.setting)}. {known}{cost} In {table.unit}."
    return Grid(table.title, HEAD, body, caption=says, notes=tuple(notes), is_marked_up=True)


def _begun(text: str) -> str:
    """With a capital."""
    return text[:1].upper() + text[1:]


def _line(cell: Cell, notes: list[str]) -> list[str]:
    """A line of the table; what is to be said of its status goes to the notes, once."""
    spread = f" ± {cell.spread:.2g}" if cell.spread else ""
    published = f"{_printed(cell.published)}{REMEMBERED * cell.is_remembered}{spread}"
    status = cell.status
    if cell.why:
        if cell.why not in notes:
            notes.append(cell.why)
        status += f" [{notes.index(cell.why) + 1}]"
    return [cell.row, cell.dataset, published, _ours(cell), status]


def _printed(value: float) -> str:
    """With two decimals at least, or as a whole number."""
    return f"{value:.2f}" if value % 1 and round(value, 2) == value else f"{value:g}"


def _ours(cell: Cell) -> str:
    if cell.ours is None:
        return "–"
    if cell.ours.is_exact:
        return f"{cell.ours.mean:.3f}"
    return f"{cell.ours.mean:.3f} ± {cell.ours.error:.2g} [{len(cell.ours.values)}]"


def summary(board: Board) -> str:
    """How many cells have come to what, in a sentence."""
    counts = Counter(cell.status for _, cells in board.values() for cell in cells)
    said = [f"{status} {counts[status]}" for status in STATUSES if counts[status]]
    return f"{counts.total()} cells in {len(board)} tables: {'; '.join(said)}."


def facts(board: Board) -> list[dict[str, Any]]:
    """The cells, as JSON has them."""
    return [{"table": name} | asdict(cell) for name, (_, cells) in board.items() for cell in cells]
