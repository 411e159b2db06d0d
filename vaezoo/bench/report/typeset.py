"""A grid of text as Markdown and as plain text; see `latex` for LaTeX, `cli.drawn` for screens."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..text import in_markdown, on_one_line

MARKS = re.compile(r"(?: \[\d+\])+$")
PROSE = 120  # columns that a line of text may have


@dataclass(frozen=True)
class Grid:
    """Cells of text; the first column is the row's name. `bold` holds (row, column); a place that
    the body has not is no cell.
    """

    title: str
    head: Sequence[str]
    body: Sequence[Sequence[str]]
    bold: frozenset[tuple[int, int]] | set[tuple[int, int]] = frozenset()
    caption: str = ""
    notes: tuple[str, ...] = ()
    is_marked_up: bool = False  # caption and notes are Markdown already
    names: tuple[str, ...] = ()  # of its columns, where these are a table's


def split_marks(text: str) -> tuple[str, tuple[int, ...]]:
    """A cell such as "23.1 ± 0.2 [3]" as its text and the numbers of its footnotes."""
    marks = MARKS.search(text) if text.endswith("]") else None
    if marks is None:
        return text, ()
    return text[: marks.start()], tuple(map(int, re.findall(r"\d+", marks[0])))


def grid_markdown(grid: Grid) -> str:
    """A pipe table with a heading, its caption and its footnotes."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(in_markdown, cells)) + " |"

    body = _marked(grid, "**{}**")
    rule = "|" + "|".join(["---", *(["---:"] * (len(grid.head) - 1))]) + "|"
    words = [grid.caption, *numbered(grid)]
    parts = [
        f"## {in_markdown(grid.title)}",
        "\n".join([line(grid.head), rule, *map(line, body)]),
        *(words if grid.is_marked_up else map(in_markdown, words)),
    ]
    return "\n\n".join(part for part in parts if part)


def grid_text(grid: Grid) -> str:
    """Aligned columns, whole, however wide; "*" after a bold cell."""
    body = _marked(grid, "{}*")
    table = [list(map(on_one_line, row)) for row in [list(grid.head), *body]]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    words = [j == 0 or not has_numbers(grid, j) for j in range(len(widths))]
    lines = [_aligned(row, widths, words).rstrip() for row in table]
    rule = "-" * max(map(len, lines))

    # what a reader must know stands below the table
    notes = ["* not significantly worse than the best"] if grid.bold else []
    notes += [grid.caption] if grid.caption else []
    notes += numbered(grid)
    folded = [_folded(note, PROSE) for note in notes]
    return "\n".join([on_one_line(grid.title), rule, lines[0], rule, *lines[1:], rule, *folded])


def _aligned(cells: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> str:
    return "  ".join(
        cell.ljust(width) if is_words else cell.rjust(width)
        for cell, width, is_words in zip(cells, widths, words, strict=True)
    )


def has_numbers(grid: Grid, j: int) -> bool:
    """Whether a cell of the column begins with a digit: such a column stands to the right."""
    return any(re.match(r"[-+−]?\d", row[j]) for row in grid.body)


def _folded(text: str, width: int) -> str:
    import textwrap

    return textwrap.fill(on_one_line(text), width, subsequent_indent="  ")


def numbered(grid: Grid) -> list[str]:
    """Its footnotes, each after its number."""
    return [f"[{i}] {note}" for i, note in enumerate(grid.notes, 1)]


def _marked(grid: Grid, pattern: str) -> list[list[str]]:
    """The body, its bold cells put into the pattern."""
    body = [list(row) for row in grid.body]
    for i, row in enumerate(body):
        for j in range(len(row)):
            if (i, j) in grid.bold:
                row[j] = pattern.format(row[j])
    return body


def brief(value: float) -> str:
    """Four digits, or a dash where there is no number."""
    return f"{value:.4g}" if math.isfinite(value) else "–"
