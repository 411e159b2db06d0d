"""Some rows and some columns of a run's tables, as one table for a paper.

Cells, footnotes and bold are those of the tables; nothing is compared anew. A column of one table
may stand beside that of another.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ...hooks import Column
from ...hyperparameters import did_you_mean
from ...registry.selection import TAG, Item, read_selection
from .caption import CUT_SHORT, in_words, sentences
from .printed import grids
from .report import ReportError
from .rows import Row
from .tables import LIMIT, ResultTable
from .typeset import Grid, split_marks

LEAD = ("variant", "sampler", "n")
Tags = Callable[[Row], Collection[str]]


@dataclass(frozen=True)
class Choice:
    """What is asked for; "" is everything, in the order of the tables."""

    rows: str = ""  # such as "vae,beta*,tag:flow,not:iaf"
    columns: str = ""  # such as "nll,fid"
    sort: str = ""  # a column: its best row first


@dataclass(frozen=True)
class Part:
    """One column of the choice, and the table and the grid that it is from."""

    table: ResultTable
    grid: Grid
    name: str

    @property
    def at(self) -> int:
        return self.grid.names.index(self.name)

    @property
    def status_at(self) -> int:
        """Where the grid has the status of a row without numbers: in its first number's place."""
        return next(i for i, name in enumerate(self.grid.names) if name not in LEAD)

    @property
    def column(self) -> Column | None:
        """As the metric describes it; None of what a row cost."""
        return next((one for one in self.table.columns if one.name == self.name), None)


@dataclass(frozen=True)
class Picked:
    """The choice on one data set."""

    dataset: str
    grid: Grid
    rows: Sequence[Row]
    parts: Sequence[Part]


@dataclass
class _Notes:
    """Footnotes in the order in which they are met."""

    texts: dict[str, int] = field(default_factory=dict)

    def marked(self, grid: Grid, text: str, numbers: Sequence[int]) -> str:
        """The text with the marks of these footnotes of a grid."""
        for number in numbers:
            note = grid.notes[number - 1]
            text += f" [{self.texts.setdefault(note, len(self.texts) + 1)}]"
        return text


def pick(tables: Sequence[ResultTable], choice: Choice, tags: Tags) -> list[Picked]:
    """The choice, data set by data set; `tags` are those of a row's variant.

    Raises: ReportError for a row or a column that is not there, SelectionError.
    """
    datasets = list(dict.fromkeys(name for table in tables for name in table.datasets))
    names = _named(tables, choice.columns)
    chosen = _matching([row for table in tables for row in table.rows], choice.rows, tags)
    found = []
    for dataset in datasets:
        parts = _parts(tables, dataset, names)
        of_data = [row for part in parts for row in part.table.of(dataset)]
        by_name = {row.name: row for row in reversed(of_data)}  # the first of a name stays
        there = [by_name[name] for name in chosen if name in by_name]
        if there:
            rows = _sorted(tables, there, choice.sort)
            grid = _grid(dataset, rows, parts)
            among = len({row.name for row in of_data})
            found.append(Picked(dataset, _said(grid, len(rows), among), rows, parts))
    return found


def _named(tables: Sequence[ResultTable], text: str) -> list[str]:
    """The columns that the text names, globs among them; without a text those that lead."""
    known = {name: None for table in tables for name in _columns(table)}
    if not text:
        return [one.name for table in tables[:1] for one in table.columns if one.lead]
    found: dict[str, None] = {}
    for pattern in (one.strip() for one in text.split(",")):
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            near = did_you_mean(pattern, known) or f"; there are {', '.join(known)}"
            raise ReportError(f"no column is called {pattern!r}{near}")
        found |= dict.fromkeys(matching)
    return list(found)


def _columns(table: ResultTable) -> list[str]:
    names = dict.fromkeys(name for grid in grids(table) for name in grid.names)
    return [name for name in names if name not in LEAD]


def _matching(rows: Sequence[Row], text: str, tags: Tags) -> list[str]:
    """The names of the rows that the text means, in its order."""
    items = read_selection(text, "row") if text else []
    wanted: dict[str, None] = {}
    unwanted: set[str] = set()
    for item in items:
        names = dict.fromkeys(row.name for row in rows if _is_meant(row, item, tags(row)))
        if not names:
            known = {row.name: None for row in rows}
            near = did_you_mean(item.pattern, known) or f"; there are {', '.join(known)}"
            raise ReportError(f"no row or tag is called {item.pattern!r}{near}")
        if item.excludes:
            unwanted |= set(names)
        else:
            wanted |= names
    if all(item.excludes for item in items):
        wanted = dict.fromkeys(row.name for row in rows)
    return [name for name in wanted if name not in unwanted]


def _is_meant(row: Row, item: Item, tags: Collection[str]) -> bool:
    """Whether an item means the row: by its name, its variant's, a glob or a tag, and by the
    hyperparameters in brackets.
    """
    made_of = row.trials[0].ingredients
    for key, values in item.sweeps.items():
        if not any(_is_same(made_of.hyperparameters.get(key), value) for value in values):
            return False
    pattern = item.pattern
    if pattern.startswith(TAG):
        return pattern.removeprefix(TAG) in tags
    names = (row.name, row.variant, made_of.name)
    return pattern == "all" or any(fnmatchcase(name, pattern) for name in names) or pattern in tags


def _is_same(value: object, text: str) -> bool:
    """Whether a hyperparameter has the value that the text says."""
    if str(value) == text:
        return True
    try:
        return not isinstance(value, bool) and float(str(value)) == float(text)
    except ValueError:
        return False


def _parts(tables: Sequence[ResultTable], dataset: str, names: Sequence[str]) -> list[Part]:
    """Each column with the first table that has it on this data set."""
    found = []
    for name in names:
        for table in tables:
            if dataset not in table.datasets:
                continue
            grid = grids(table)[table.datasets.index(dataset)]
            if name in grid.names:
                found.append(Part(table, grid, name))
                break
    return found


def _sorted(tables: Sequence[ResultTable], rows: list[Row], name: str) -> list[Row]:
    """The rows by this column, the best first; those without a number last."""
    if not name:
        return rows
    known = {one.name: one for table in tables for one in table.columns}
    if name not in {*known, *(one for table in tables for one in _columns(table))}:
        near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise ReportError(f"no column is called {name!r}{near}")
    sign = -1.0 if name in known and known[name].better == "higher" else 1.0

    def place(row: Row) -> float:
        mean = row.interval(name).mean
        return sign * mean if math.isfinite(mean) else math.inf

    return sorted(rows, key=place)


def _grid(dataset: str, rows: Sequence[Row], parts: Sequence[Part]) -> Grid:
    """The cells of the parts, row by row, with their footnotes numbered anew."""
    notes = _Notes()
    body: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for i, row in enumerate(rows):
        cells = _cells(dataset, row, parts, notes)
        body.append([_name(dataset, row, parts, notes), *cells])
        bold |= {(i, j) for j, part in enumerate(parts, 1) if _is_bold(dataset, row, part)}
    heads = [part.grid.head[part.at] for part in parts]
    title = f"{_listed_in_words(parts)} on {dataset}"
    names = ("variant", *(part.name for part in parts))
    caption = _caption(dataset, parts)
    return Grid(title, ["variant", *heads], body, bold, caption, tuple(notes.texts), names=names)


def _cells(dataset: str, row: Row, parts: Sequence[Part], notes: "_Notes") -> list[str]:
    """A cell a part; of a row without numbers its status stands in the first."""
    cells = []
    for j, part in enumerate(parts):
        line = _line(part, dataset, row)
        at = part.at if row.done else part.status_at * (j == 0)
        cells.append(_copied(part, line, at, notes) if line is not None and at else "–")
    return cells


def _is_bold(dataset: str, row: Row, part: Part) -> bool:
    line = _line(part, dataset, row)
    return line is not None and (line, part.at) in part.grid.bold


def _listed_in_words(parts: Sequence[Part]) -> str:
    """ "nll, kl and fid"."""
    (*others, last) = [in_words(part.name) for part in parts]
    before = f"{', '.join(others)} and " if others else ""
    return f"{before}{last}"


def _said(grid: Grid, shown: int, among: int) -> Grid:
    """The grid, whose caption says where rows were compared with more than are shown."""
    if shown == among:
        return grid
    more = f" {shown} of {among} rows are shown; all were compared."
    return replace(grid, caption=grid.caption + more)


def _line(part: Part, dataset: str, row: Row) -> int | None:
    """The row's place in the grid of the part; None where it is not there."""
    names = [one.name for one in part.table.of(dataset)]
    return names.index(row.name) if row.name in names else None


def _copied(part: Part, line: int, at: int, notes: _Notes) -> str:
    return notes.marked(part.grid, *split_marks(part.grid.body[line][at]))


def _name(dataset: str, row: Row, parts: Sequence[Part], notes: _Notes) -> str:
    """The row's name with what every table of the choice says of it."""
    text = row.name
    seen: set[str] = set()
    for part in parts:
        line = _line(part, dataset, row)
        if line is None or part.table.name in seen:
            continue
        seen.add(part.table.name)
        _, numbers = split_marks(part.grid.body[line][0])
        new = [number for number in numbers if part.grid.notes[number - 1] not in seen]
        text = notes.marked(part.grid, text, new)
        seen |= {part.grid.notes[number - 1] for number in new}
    return text


def _caption(dataset: str, parts: Sequence[Part]) -> str:
    """What the tables of the parts say of these columns, each sentence once."""
    said: dict[str, None] = {}
    for table in dict.fromkeys(part.table for part in parts):
        shown = [part.column for part in parts if part.table is table and part.column]
        said |= dict.fromkeys(sentences(table, dataset, shown))
    if LIMIT not in [part.name for part in parts]:
        said.pop(CUT_SHORT, None)
    return ". ".join(said) + "."
