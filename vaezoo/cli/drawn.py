"""What a terminal shows, laid out by rich: tables whose columns fit, colours where there are some.

A table that is too wide comes in parts, each with the names of its rows. Words fold inside their
column; numbers are never cut. Imported only where stdout is a terminal: rich takes time to load.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..bench.report.typeset import PROSE, Grid, has_numbers, numbered, split_marks
from ..bench.text import as_encoded, on_one_line

GAP = 2  # columns between two cells
WORDS = 18  # letters from which a cell with a space is prose, which may fold
LEAST = 14  # columns that prose is given at least
HEADING = 16  # columns that a heading may widen its numbers to
NAME = 20  # columns that the name of a row may have, however narrow the screen is
WIDE = 120  # columns from which details stand beside what they belong to
GLUE = "\u00a0"  # a space at which no line ends
STYLES = {
    "skipped": "yellow",
    "diverged": "yellow",
    "failed": "red",
    "timeout": "red",
    "oom": "red",
    "cancelled": "red",
    "done": "green",
}
BEST = "bold green"


def console() -> Console:
    """stdout as it is: its width, its letters and its colours (none under NO_COLOR)."""
    width = shutil.get_terminal_size().columns
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def draw_grid(grid: Grid, screen: Console) -> None:
    """The grid with its title, in as many parts as the width asks for, and its notes below."""
    widths = [_width(grid, j, screen) for j in range(len(grid.head))]
    lead = [0, 1] if grid.names[1:2] == ("sampler",) else [0]
    parts = list(_parts(widths, lead, screen.width))
    for i, columns in enumerate(parts, 1):
        which = f" ({i} of {len(parts)})" if len(parts) > 1 else ""
        if grid.title:
            screen.print(_said(f"{grid.title}{which}", screen, "bold"))
        screen.print(_table(grid, _spread(columns, widths, screen.width), screen))
        screen.print()
    notes = ["* not significantly worse than the best"] if grid.bold else []
    notes += [grid.caption] if grid.caption else []
    for note in [*notes, *numbered(grid)]:
        _print_note(note, screen)
    if notes or grid.notes:
        screen.print()


def _print_note(note: str, screen: Console) -> None:
    """Folded; its number, if it has one, stands free on the left."""
    mark = re.match(r"\[\d+\]", note)
    cells = [mark[0], note[mark.end() :].strip()] if mark else [note]
    lines = Table.grid(padding=(0, 1, 0, 0))
    if mark:
        lines.add_column(no_wrap=True)
    lines.add_column(max_width=PROSE)
    lines.add_row(*(_said(text, screen, "dim") for text in cells))
    screen.print(lines)


@dataclass(frozen=True)
class Width:
    """Of a column, in letters: what it needs, and what it can use."""

    least: int
    most: int


def _width(grid: Grid, j: int, screen: Console) -> Width:
    heads = [len(line) for line in _heading(grid.head[j], 1, screen)]
    cells = [len(line) for row in grid.body for line in _lines(row[j], j, screen)]
    marked = [
        len(_text(row[j], screen)) + 1 for i, row in enumerate(grid.body) if (i, j) in grid.bold
    ]
    most = max([0, *cells, *marked])
    least = min(most, LEAST) if _is_prose(grid, j) else most
    whole = len(_text(grid.head[j], screen))
    return Width(max([least, *heads]), max(most, min(whole, HEADING), *heads))


def _parts(widths: Sequence[Width], lead: list[int], room: int) -> Iterator[list[int]]:
    """The columns of each part; those of `lead` stand first in all of them."""
    used = start = sum(widths[j].least + GAP for j in lead)
    part = list(lead)
    for j in range(len(lead), len(widths)):
        if used + widths[j].least > room and len(part) > len(lead):
            yield part
            part = list(lead)
            used = start
        part.append(j)
        used += widths[j].least + GAP
    yield part


def _spread(columns: Sequence[int], widths: Sequence[Width], room: int) -> dict[int, int]:
    """Column -> its width: what it needs, and a share of what is left, the narrowest first."""
    found = {j: min(widths[j].least, room) for j in columns}
    left = room - sum(found.values()) - GAP * (len(columns) - 1)
    for j in sorted(columns, key=lambda j: widths[j].most - widths[j].least):
        more = max(0, min(left, widths[j].most - widths[j].least))
        found[j] += more
        left -= more
    return found


def _is_prose(grid: Grid, j: int) -> bool:
    """Whether its cells are sentences, which may fold. The names of rows are not."""
    texts = (split_marks(row[j])[0] for row in grid.body)
    return j > 0 and any(len(text) > WORDS and " " in text and "±" not in text for text in texts)


def _table(grid: Grid, widths: Mapping[int, int], screen: Console) -> Table:
    """These columns of the grid, each as wide as it says."""
    drawn = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold cyan",
    )
    for j, width in widths.items():
        is_left = j == 0 or _is_prose(grid, j) or not has_numbers(grid, j)
        head = "\n".join(_heading(grid.head[j], width, screen))
        drawn.add_column(
            Text(head), justify="left" if is_left else "right", width=width, overflow="fold"
        )
    for i, row in enumerate(grid.body):
        says = any(row[j] not in ("", "–") for j in widths if j)
        if says or not row[0].startswith("("):
            drawn.add_row(*(_cell(row[j], j, (i, j) in grid.bold, screen) for j in widths))
    return drawn


def _heading(text: str, width: int, screen: Console) -> list[str]:
    """Lines of so many letters, or of as many as a word or a unit with its arrow has."""
    glued = re.sub(r"\(.*", lambda unit: unit[0].replace(" ", GLUE), _text(text, screen))
    lines = textwrap.wrap(glued, max(1, width), break_long_words=False, break_on_hyphens=False)
    return [line.replace(GLUE, " ") for line in lines]


def _cell(text: str, j: int, is_best: bool, screen: Console) -> Text:
    """Its words, in the colour of what they say; marks of footnotes are dim."""
    words, _ = split_marks(text)
    style = BEST if is_best else STYLES.get(re.split(r"[:,]", words)[0].strip(), "")
    if j == 0 and words.startswith("("):
        style = "italic dim"  # a control row
    drawn = Text()
    drawn.append("\n".join(_lines(words, j, screen)), style=style)
    drawn.append(_text(text[len(words) :], screen), style="dim")
    return drawn.append("*", style=BEST) if is_best else drawn


def _lines(text: str, j: int, screen: Console) -> list[str]:
    """The lines of a cell: a long name of a row is broken after its commas."""
    words = _text(text, screen)
    room = max(NAME, screen.width // 5)
    if j > 0 or len(words) <= room:
        return [words]
    lines = [""]
    for piece in re.split(r"(?<=[,+\[; ])", words):
        if lines[-1].strip() and len(lines[-1] + piece.rstrip()) > room:
            lines.append("  ")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def draw_rows(rows: Sequence[Mapping[str, str]], screen: Console) -> None:
    """Rows of one kind: a column each where they fit, else a name and what is said of it."""
    head = list(rows[0])
    if "what" not in head or _natural_width(rows) <= screen.width:
        return draw_grid(Grid("", head, [list(row.values()) for row in rows]), screen)
    is_wide = screen.width >= WIDE
    lines = Table.grid(padding=(0, GAP, 0, 0))
    lines.add_column(no_wrap=True, style="bold")
    for _ in range(1 + is_wide):
        lines.add_column(overflow="fold")
    for row in rows:
        what = _said(row["what"], screen)
        details = _said(_details(row, head[1:]), screen, "dim")
        about = [what, details] if is_wide else [Text("\n").join(filter(None, [what, details]))]
        lines.add_row(_said(row[head[0]], screen), *about)
    screen.print(lines)


def _natural_width(rows: Sequence[Mapping[str, str]]) -> int:
    """Letters that the columns take side by side."""
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]]
    return sum(widths) + GAP * (len(widths) - 1)


def _details(row: Mapping[str, str], names: Sequence[str]) -> str:
    """What a row says under these names, beside what it is."""
    return "; ".join(f"{name}: {row[name]}" for name in names if name != "what" and row[name])


def draw_facts(facts: Iterable[tuple[str, Any]], screen: Console) -> None:
    """Name and value, a line each; a mapping is a list below its name, a text its paragraphs."""
    for name, value in facts:
        if isinstance(value, Mapping):
            screen.print(_said(f"{name}:", screen, "bold cyan"))
            inner = Table.grid(padding=(0, GAP, 0, 0))
            inner.add_column(no_wrap=True, style="cyan")
            inner.add_column(overflow="fold")
            for key, text in value.items():
                inner.add_row(_said(str(key), screen), _value(str(text), screen))
            screen.print(Padding(inner, (0, 0, 0, 2), expand=False))
        elif "\n" in str(value) or len(f"{name}: {value}") > screen.width:
            screen.print(_said(f"{name}:", screen, "bold cyan"))
            screen.print(Padding(_value(str(value), screen), (0, 0, 0, 2), expand=False))
        else:
            line = _said(f"{name}: ", screen, "bold cyan")
            screen.print(line.append_text(_value(str(value), screen)))


def _value(text: str, screen: Console) -> Text:
    """Paragraphs whose lines are too long are laid out anew; a status has its colour."""
    paragraphs = text.split("\n\n")
    for i, paragraph in enumerate(paragraphs):
        lines = paragraph.split("\n")
        if len(lines) > 1 and max(map(len, lines)) + GAP > screen.width and _is_flush(lines):
            paragraphs[i] = " ".join(lines)
    style = STYLES.get(text.partition(":")[0], "")
    shown = "\n\n".join("\n".join(map(on_one_line_kept, p.split("\n"))) for p in paragraphs)
    return Text(as_encoded(shown, screen.encoding), style=style, overflow="fold")


def on_one_line_kept(line: str) -> str:
    """The line without letters that a terminal obeys, its indentation kept."""
    inside = line.lstrip(" ")
    return line[: len(line) - len(inside)] + on_one_line(inside)


def _is_flush(lines: Sequence[str]) -> bool:
    """Whether it is prose: no line is set in."""
    return not any(line.startswith((" ", "*", "-")) for line in lines)


def _text(text: str, screen: Console) -> str:
    """What this screen can show of it."""
    return as_encoded("\n".join(map(on_one_line_kept, text.split("\n"))), screen.encoding)


def _said(text: str, screen: Console, style: str = "") -> Text:
    return Text(_text(text, screen), style=style)
