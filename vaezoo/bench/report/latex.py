r"""A grid as LaTeX that fits a page: booktabs and siunitx, no wider than the text of an article.

Numbers stand by their decimal point, with true minus signs. Where not all columns fit in the
smallest of the usual sizes they go to further tables; where rows are more than a page takes, the
table is a `longtable`. The caption is one line; what a reader must know follows as a note.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..text import in_tex
from .typeset import Grid, split_marks

WIDTH = 345.0  # points: the text of `article` at 10 pt, narrower than those of most journals
SINGLE = 300.0  # points: a narrower text is one of two columns
ROWS = 28  # of a table that floats, so that its note fits below it
SIZES = {"normalsize": 1.0, "small": 0.92, "footnotesize": 0.84}  # widths of letters
GAP = 8.0  # points between two columns
PROSE = 110.0  # points: a column of texts that are wider breaks its lines
NEEDS = r"% needs \usepackage{booktabs,longtable,siunitx}"

# how one writes them
WORDS = "nll|elbo|kl|fid|kid|mse|psnr|ssim|auroc|waic|ess|mig|sap|dci|mmd|iqm|nmi|crps|rmse"
WORD = re.compile(rf"\b(?:{WORDS})\b")
DENSITY = re.compile(r"\b([pq])\(([a-zθ]+)(?:\|([a-zθ, ]+))?\)")
NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?: ± (\d+(?:\.\d+)?))?")
MINUS = re.compile(r"(?<![\w)])-(?=\d)")


def grid_tex(grid: Grid, label: str, width: float = WIDTH) -> str:
    """The tables of a grid, as many as its columns need in so many points."""
    columns = [_column(grid, j) for j in range(len(grid.head))]
    size, panels = _panels(columns, width)
    if width < SINGLE and len(grid.body) > ROWS:  # there is no longtable beside another column
        panels = [part for panel in panels for part in _in_pages(panel)]
    key = f"{label}:{_slug(grid.title)}"
    names = [f"{key}:{i}" if i else key for i in range(len(panels))]
    made = []
    for i, panel in enumerate(panels):
        part = f" ({i + 1} of {len(panels)})" if len(panels) > 1 else ""
        is_last = i == len(panels) - 1
        note = _note(grid) if is_last else rf"The note is below Table~\ref{{{names[-1]}}}."
        caption = rf"\caption{{{worded(grid.title)}{part}}}"
        made.append(_table(panel, size, rf"{caption}\label{{{names[i]}}}", note))
    return "\n\n".join(made)


@dataclass(frozen=True)
class Column:
    """One column of the grid as LaTeX: its specification, its heading and its cells."""

    spec: str
    head: str
    cells: Sequence[str]
    width: float  # points, in the normal size
    spans: int = 1  # a number and what follows ± are two


def _column(grid: Grid, j: int) -> Column:
    texts = [split_marks(row[j]) for row in grid.body]
    found = [NUMBER.fullmatch(text) for text, _ in texts]
    numbers = [number for number in found if number]
    inner = max((_width(text) for text, _ in texts), default=0.0)
    lines = _lines(grid.head[j], inner)
    width = max([inner, *map(_width, lines)]) + _width_of_marks(texts)
    has_bounds = any(number[4] for number in numbers)
    bold = [(i, j) in grid.bold for i in range(len(texts))]
    cells = [
        _cell(text, number, marks, is_bold, has_bounds if numbers and j else None)
        for (text, marks), number, is_bold in zip(texts, found, bold, strict=True)
    ]
    head = _stacked(lines)
    if not numbers or j == 0:
        return _of_words(head, cells, width, is_first=j == 0)
    return _of_numbers(head, cells, width, _format(numbers), has_bounds)


def _width_of_marks(texts: Sequence[tuple[str, Sequence[int]]]) -> float:
    return 4.0 * max((len(marks) for _, marks in texts), default=0)


def _of_numbers(head: str, cells: list[str], width: float, digits: str, has_bounds: bool) -> Column:
    """Aligned at the decimal mark; bounds stand in a column of their own below the same head."""
    spec = f"S[table-format={digits}]"
    if has_bounds:
        return Column(rf"{spec}@{{\,}}l", rf"\multicolumn{{2}}{{c}}{{{head}}}", cells, width, 2)
    return Column(spec, f"{{{head}}}", cells, width)


def _stacked(lines: Sequence[str]) -> str:
    """A heading of one line, or of several above each other."""
    if len(lines) == 1:
        return worded(lines[0])
    return r"\shortstack{" + r"\\".join(map(worded, lines)) + "}"


def _of_words(head: str, cells: Sequence[str], width: float, *, is_first: bool) -> Column:
    """A column without numbers; long texts are broken."""
    if width > PROSE:
        return Column(rf"p{{{PROSE:g}pt}}", head, cells, PROSE / min(SIZES.values()))
    return Column("l" if is_first else "c", head, cells, width)


def _cell(
    text: str,
    number: re.Match[str] | None,
    marks: Sequence[int],
    is_bold: bool,
    has_bounds: bool | None,
) -> str:
    """One cell; `has_bounds` says whether its column is of numbers with ±, None of texts."""
    above = rf"\textsuperscript{{{','.join(map(str, marks))}}}" if marks else ""
    if has_bounds is None:
        plain = in_tex(text) + above
        return rf"\textbf{{{plain}}}" if is_bold else plain
    if number is None:
        plain = worded(text) + above
        return rf"\multicolumn{{2}}{{c}}{{{plain}}}" if has_bounds else f"{{{plain}}}"
    heavy = r"\bfseries " if is_bold else ""
    mean = text.partition(" ")[0]
    after = rf"\rlap{{{above}}}" if above else ""
    if not has_bounds:
        return f"{heavy}{mean}" + (f"{{{after}}}" if after else "")
    bound = rf"\pm {number[4]}" if number[4] else ""
    bound = rf"\mathbf{{{bound}}}" if is_bold and bound else bound
    return f"{heavy}{mean} & " + (f"${bound}$" if bound else "") + after


def _format(numbers: Sequence[re.Match[str]]) -> str:
    """The widest of the numbers, as siunitx wants to know it: "-2.3"."""
    sign = "-" if any(number[1] for number in numbers) else ""
    whole = max(len(number[2]) for number in numbers)
    decimals = max(len(number[3] or "") for number in numbers)
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}.0"


def _panels(columns: Sequence[Column], width: float) -> tuple[str, list[list[Column]]]:
    """The size of letters, and the columns of each table; the first is in all of them."""
    for size, scale in SIZES.items():
        if _total(columns, scale) <= width:
            return size, [list(columns)]
    found = _filled(columns, scale, width)
    # the narrowest that need no further table: else the last has what is left over
    for share in range(1, 10):
        narrower = _filled(columns, scale, width * (1 - share / 20))
        if len(narrower) == len(found):
            found = narrower
    return size, found


def _filled(columns: Sequence[Column], scale: float, width: float) -> list[list[Column]]:
    """The columns in tables no wider than this, where one column alone is not."""
    panels = [[columns[0]]]
    for column in columns[1:]:
        if _total([*panels[-1], column], scale) > width and len(panels[-1]) > 1:
            panels.append([columns[0]])
        panels[-1].append(column)
    return panels


def _in_pages(panel: Sequence[Column]) -> list[list[Column]]:
    """The columns with `ROWS` of their cells at most, page by page."""
    pages = range(0, len(panel[0].cells), ROWS)
    return [
        [replace(column, cells=column.cells[start : start + ROWS]) for column in panel]
        for start in pages
    ]


def _total(columns: Sequence[Column], scale: float) -> float:
    return sum(column.width * scale + GAP for column in columns) - GAP


def _table(columns: Sequence[Column], size: str, caption: str, note: str) -> str:
    rows = [
        " & ".join(cells) + r" \\"
        for cells in zip(*(column.cells for column in columns), strict=True)
    ]
    head = " & ".join(column.head for column in columns) + r" \\"
    spec = "".join(column.spec for column in columns)
    settings = [rf"\{size}", r"\sisetup{detect-weight = true, group-minimum-digits = 5}"]
    settings.append(rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}")
    below = rf"\noindent{{\footnotesize {note}\par}}"
    lines = len(rows) * (2 if "p{" in spec else 1)
    if lines <= ROWS:
        return "\n".join([
            NEEDS, r"\begin{table}", r"\centering", caption, *settings,
            rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule", head, r"\midrule",
            *rows, r"\bottomrule", r"\end{tabular}", r"\par\medskip",
            rf"\begin{{minipage}}{{\linewidth}}{below}\end{{minipage}}", r"\end{table}",
        ])  # fmt: skip
    span = sum(column.spans for column in columns)
    return "\n".join([
        NEEDS, "{", *settings, rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}", rf"{caption}\\",
        r"\toprule", head, r"\midrule", r"\endfirsthead",
        r"\toprule", head, r"\midrule", r"\endhead",
        rf"\midrule \multicolumn{{{span}}}{{r}}{{continued}} \\ \endfoot",
        r"\bottomrule \endlastfoot", *rows, r"\end{longtable}", "}", below,
    ])  # fmt: skip


def _note(grid: Grid) -> str:
    """What a reader must know, then the footnotes."""
    notes = [
        rf"\textsuperscript{{{i}}}\,{worded(note)}{'.' * (not note.endswith('.'))}"
        for i, note in enumerate(grid.notes, 1)
    ]
    return " ".join([worded(grid.caption), *notes])


def _lines(head: str, width: float) -> list[str]:
    """The heading in lines no wider than this, or than its widest word."""
    words = head.split()
    limit = max([width, *map(_width, words)])
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer) <= limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def worded(text: str) -> str:
    """Words as LaTeX: densities as mathematics, NLL and FID as one writes them."""
    pieces: list[str] = []
    end = 0
    for found in DENSITY.finditer(text):
        pieces += [_words(text[end : found.start()]), _density(found)]
        end = found.end()
    return "".join([*pieces, _words(text[end:])])


def _density(found: re.Match[str]) -> str:
    (letter, of, given) = found.groups()
    inside = of + (rf"\mid {given}" if given else "")
    return f"${letter}({inside.replace('θ', chr(92) + 'theta ')})$"


def _words(text: str) -> str:
    known = WORD.sub(lambda found: found[0].upper(), text)
    return in_tex(MINUS.sub("−", known))


def _width(text: str) -> float:
    """About how wide a text is, in points, in Computer Modern at 10 pt."""
    return sum(map(_letter, text))


@lru_cache(maxsize=2**10)  # a table has millions of letters, of few kinds
def _letter(letter: str) -> float:
    if letter in " .,:;()[]il|'":
        return 3.4
    if letter in "±−↑↓×mwMW%":
        return 8.4
    return 7.2 if letter.isupper() else 5.1


def _slug(title: str) -> str:
    return "".join(
        letter if letter.isalnum() and letter.isascii() else "-" for letter in title.lower()
    ).strip("-")
