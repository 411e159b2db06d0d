"""A grid of text as Markdown and plain text; see `latex` for LaTeX."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..text import in_markdown, on_one_line

MARKS = re.compile(r"(?: \[\d+\])+$")
PROSE = 120  # columns that a line of text may have


@dataclass(frozen=True)
class Grid:
    """Cells of text; the first column is the row's name. `bold` holds (row, column)."""

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
    marks = MARKS.search(text)
    if marks is None:
        return text, ()
    return text[: marks.start()], tuple(map(int, re.findall(r"\d+", marks[0])))


def grid_markdown(grid: Grid) -> str:
    """A pipe table with a heading, its caption and its footnotes."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(in_markdown, cells)) + " |"

    body = _marked(grid, "**{}**")
    rule = "|" + "|".join(["---", *(["---:"] * (len(grid.head) - 1))]) + "|"
    words = [grid.caption, *_numbered(grid)]
    parts = [
        f"## {in_markdown(grid.title)}",
        "\n".join([line(grid.head), rule, *map(line, body)]),
        *(words if grid.is_marked_up else map(in_markdown, words)),
    ]
    return "\n\n".join(part for part in parts if part)


def grid_text(grid: Grid, width: int = 120, wide: bool = False) -> str:
    """Aligned columns, "*" after a bold cell; with `wide`, columns that do not fit are left out
    and named.
    """
    body = _marked(grid, "{}*")
    table = [_wrapped(row, width) for row in [list(grid.head), *body]]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    fit = _fitting(widths, width) if wide else len(widths)
    lines = [_aligned(row[:fit], widths).rstrip()[:width] for row in table]
    rule = "-" * min(width, max(map(len, lines)))

    # what a reader must know stands below the table
    notes = []
    if fit < len(widths):
        notes.append(f"not shown for want of room: {', '.join(grid.head[fit:])}")
    if grid.bold:
        notes.append("* not significantly worse than the best")
    notes += [grid.caption] if grid.caption else []
    notes += _numbered(grid)
    folded = [_folded(note, min(width, PROSE)) for note in notes]
    return "\n".join([on_one_line(grid.title), rule, lines[0], rule, *lines[1:], rule, *folded])


def _wrapped(row: Sequence[str], width: int) -> list[str]:
    texts = map(on_one_line, row)
    return [text if len(text) <= width // 2 else text[: width // 2 - 1] + "…" for text in texts]


def _fitting(widths: Sequence[int], width: int) -> int:
    used = 0
    fit = 0
    for one in widths:
        used += one + 2
        if used - 2 > width:
            break
        fit += 1
    return max(fit, 2)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(widths[j]) if j == 0 else cell.rjust(widths[j]) for j, cell in enumerate(cells)
    )
    return "  ".join([first, *rest])


def _folded(text: str, width: int) -> str:
    import textwrap

    return textwrap.fill(on_one_line(text), width, subsequent_indent="  ")


def _numbered(grid: Grid) -> list[str]:
    return [f"[{i}] {note}" for i, note in enumerate(grid.notes, 1)]


def _marked(grid: Grid, pattern: str) -> list[list[str]]:
    """The body, its bold cells put into the pattern."""
    body = [list(row) for row in grid.body]
    for i, j in grid.bold:
        body[i][j] = pattern.format(body[i][j])
    return body


def brief(value: float) -> str:
    """Four digits, or a dash where there is no number."""
    return f"{value:.4g}" if math.isfinite(value) else "–"
