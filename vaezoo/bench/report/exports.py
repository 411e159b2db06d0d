"""The rows and columns that were picked for a paper, in each form that can be asked for."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..text import in_csv
from .html.standalone import standalone
from .latex import WIDTH, grid_tex
from .pick import Part, Picked
from .report import ReportError
from .rows import Row
from .tables import LIMIT
from .typeset import grid_markdown

Numbers = tuple[float | None, float | None, float | None]  # mean, ci95, std


def as_markdown(found: Sequence[Picked]) -> str:
    return "\n\n".join(grid_markdown(one.grid) for one in found) + "\n"


def as_tex(found: Sequence[Picked], width: float = WIDTH) -> str:
    """Tables no wider than so many points."""
    return "\n\n".join(grid_tex(one.grid, "tab", width) for one in found) + "\n"


def as_html(found: Sequence[Picked]) -> str:
    return standalone([one.grid for one in found])


def as_csv(found: Sequence[Picked]) -> str:
    """A line a row × data set, every number in full: its mean, half width and deviation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(part.name for one in found for part in one.parts))
    each = [f"{name}_{part}" for name in names for part in ("mean", "ci95", "std")]
    writer.writerow(["variant", "dataset", "n_seeds", "status", *each])
    for one in found:
        parts = {part.name: part for part in one.parts}
        for row in one.rows:
            cells: list[Any] = [in_csv(row.name), in_csv(one.dataset), len(row.done), row.status]
            for name in names:
                numbers = _numbers(row, parts[name]) if name in parts else (None, None, None)
                cells += ["" if number is None else repr(number) for number in numbers]
            writer.writerow(cells)
    return text.getvalue()


def as_xlsx(found: Sequence[Picked]) -> bytes:
    """A sheet a data set: a number and its half width in two cells, bold as in the table, the
    caption and the footnotes below.

    Raises: ReportError without openpyxl.
    """
    try:
        from openpyxl import Workbook
    except ImportError:
        raise ReportError(
            "--format xlsx needs the package openpyxl: pip install 'vaezoo[xlsx]'"
        ) from None
    book = Workbook()
    book.remove(book.active)
    for one in found:
        _fill(book.create_sheet(_title(one.dataset, book.sheetnames)), one)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _fill(sheet: Any, one: Picked) -> None:
    from openpyxl.styles import Font

    heads = [head for text in one.grid.head[1:] for head in (text, "± 95 %")]
    sheet.append(["variant", *map(in_csv, heads)])
    for i in range(len(one.rows)):
        sheet.append(_cells(one, i))
        _lay_out(sheet, one, i)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for note in ["", one.grid.caption, *(f"[{i}] {n}" for i, n in enumerate(one.grid.notes, 1))]:
        sheet.append([in_csv(note)])
    sheet.freeze_panes = "B2"
    sheet.column_dimensions["A"].width = 2 + max(len(row.name) for row in one.rows)


def _cells(one: Picked, i: int) -> list[Any]:
    """Row i: its name, then mean and half width of each column, or the text that stands there."""
    cells: list[Any] = [in_csv(one.grid.body[i][0])]
    for j, part in enumerate(one.parts, 1):
        (mean, around, _) = _numbers(one.rows[i], part)
        cells += [mean if mean is not None else in_csv(one.grid.body[i][j]), around]
    return cells


def _lay_out(sheet: Any, one: Picked, i: int) -> None:
    """Decimals and bold of row i, which stands below the headings; cells count from 1."""
    from openpyxl.styles import Font

    for j, part in enumerate(one.parts, 1):
        digits = part.column.digits if part.column else 1
        for cell in (sheet.cell(i + 2, 2 * j), sheet.cell(i + 2, 2 * j + 1)):
            cell.number_format = "0." + "0" * digits if digits else "0"
            cell.font = Font(bold=(i, j) in one.grid.bold)


def _title(dataset: str, taken: Sequence[str]) -> str:
    """A name that a sheet may have: 31 letters, some of them not."""
    name = "".join("-" if letter in r"[]:*?/\'" else letter for letter in dataset)[:28] or "table"
    return name if name not in taken else f"{name}-{len(taken)}"


def _numbers(row: Row, part: Part) -> Numbers:
    """Mean, half width and deviation; None where there is none."""
    if part.name == LIMIT:
        return (None if row.cut_short is None else float(row.cut_short), None, None)
    found = row.interval(part.name)
    return _finite(found.mean), _finite(found.ci95), _finite(found.std)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


FORMS: Mapping[str, Callable[[Sequence[Picked]], str | bytes]] = {
    "md": as_markdown,
    "tex": as_tex,
    "csv": as_csv,
    "html": as_html,
    "xlsx": as_xlsx,
}
