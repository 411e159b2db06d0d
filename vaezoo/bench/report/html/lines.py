"""The rows of a sheet as HTML. Tables of thousands of trials have a hundred thousand cells, and a
template takes most of its time for them.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from ...text import plain
from .sheets import Cell, Line, Sheet

MARKUP = re.compile("[&<>\"']")  # what `escape` changes


def written(sheet: Sheet, lines: Sequence[Line]) -> Markup:
    """The rows, one a line."""
    return Markup("".join(_line(sheet, line) for line in lines))


def _line(sheet: Sheet, line: Line) -> str:
    first, *others = line.cells
    if line.variant:
        name = f'<a href="#variant-{_safe(line.variant)}">{_safe(first.text)}</a>'
        name += _marks(sheet, first)
    else:
        name = _content(sheet, first)
    numbers = "".join([f"<td>{_content(sheet, cell)}</td>" for cell in others])
    return f'<tr{_filters(line)}><th scope="row">{name}</th>{numbers}</tr>\n'


def _filters(line: Line) -> str:
    """What a row is filtered by; a control row by nothing."""
    if not line.name:
        return ""
    name = _safe(line.name)
    return f' data-name="{name}" data-family="{_safe(line.family)}" data-tags="{_safe(line.tags)}"'


def _content(sheet: Sheet, cell: Cell) -> str:
    text = _safe(cell.text)
    if cell.is_best:
        text = f"<b>{text}</b>"
    return text + _marks(sheet, cell) if cell.notes else text


def _marks(sheet: Sheet, cell: Cell) -> str:
    """The numbers of its footnotes, each a link that says the footnote."""
    return "".join(
        f' <a class="note" href="#note-{_safe(sheet.key)}-{i}" '
        f'title="{_safe(sheet.grid.notes[i - 1])}">[{i}]</a>'
        for i in cell.notes
    )


def _safe(text: str) -> str:
    """The text as it stands on the page: nothing in it is obeyed, by a browser or a reader."""
    return text if text.isprintable() and not MARKUP.search(text) else _escaped(text)


@lru_cache(maxsize=2**12)
def _escaped(text: str) -> str:
    return str(escape(plain(text)))
