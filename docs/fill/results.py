"""Tables of results/, row by row or whole. A file that is not there fills nothing."""

import re
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

from .blocks import refilled

RESULTS = Path(__file__).parent.parent.parent / "results"
SUITE = "digits"
TABLES = ("elbo.md", "fid.md")
# of their columns, by how their headings begin: what a page has room for; results/ has them all
SHOWN = (
    *("sampler", "elbo", "nll", "kl (", "reconstruction nll", "active units", "bits per dim"),
    *("fid ↓", "kid ↓", "precision", "recall", "density", "coverage", "parameters"),
)
NOTE = re.compile(r"\[(\d+)\]")


def with_results(text: str, family: list[str] | None = None, results: Path = RESULTS) -> str:
    """The page with its tables of results; `family` are the variants that "rows: family" means."""

    def rows(argument: str) -> str:
        names = (family or []) if argument == "family" else argument.split(", ")
        return excerpts(names, results / SUITE)

    def table(argument: str) -> str:
        file, _, columns = argument.partition(": ")
        return whole(results / file, columns.split(", "))

    def across(argument: str) -> str:
        file, _, column = argument.partition(": ")
        return by_data_set(results / file, column)

    text = refilled(refilled(text, "rows", rows), "table", table)
    return refilled(text, "across", across)


def excerpts(names: list[str], folder: Path) -> str:
    """The rows of these variants, a table for each file that is there."""
    files = [folder / name for name in TABLES]
    tables = [excerpt(lines_of(file), names) for file in files if file.is_file()]
    return "\n\n\n".join("\n".join(table) for table in tables)


def excerpt(lines: list[str], names: list[str]) -> list[str]:
    """Heading, rule and the rows of these variants, the columns that are shown, and the notes they
    refer to.
    """
    table = [line for line in lines if line.startswith("|")]
    rows = [line for line in table[2:] if variant_of(line) in names]
    cells = [cells_of(line) for line in (*table[:2], *rows)]
    heading, rule, *body = map(line_of, with_columns(cells, list(SHOWN)))
    marks = set(NOTE.findall(" ".join(body)))
    return [heading, rule.replace(" ", ""), *body, *notes(lines, marks)]


def whole(file: Path, columns: list[str]) -> str:
    """The first table of a file: the first column, n, and those whose headings begin so; all rows,
    control rows too.
    """
    if not file.is_file():
        return ""
    lines = first_section(file)
    rows = [cells_of(line) for line in lines if line.startswith("|")]
    heading, rule, *body = with_columns(rows, columns)
    shown = [line_of(heading), "|" + "|".join(rule) + "|", *map(line_of, body)]
    marks = set(NOTE.findall(" ".join(shown[2:])))
    return "\n".join([*shown, *notes(lines, marks)])


def by_data_set(file: Path, column: str) -> str:
    """One column of all tables of a file: a row for each data set, a column for each variant."""
    if not file.is_file():
        return ""
    found = {title: column_of(lines, column) for title, lines in sections(file)}
    names = list(dict.fromkeys(name for cells in found.values() for name in cells))
    rows = [
        line_of([title, *(cells.get(name, "–") for name in names)])
        for title, cells in found.items()
    ]
    return "\n".join([line_of(["data set", *names]), "|---|" + "---:|" * len(names), *rows])


def column_of(lines: list[str], column: str) -> dict[str, str]:
    """The cells of the column whose heading begins so, by the first cell of their rows."""
    heading, _, *body = [cells_of(line) for line in lines if line.startswith("|")]
    at = next(i for i, head in enumerate(heading) if head.startswith(column))
    return {cells[0]: cells[at] for cells in body}


def with_columns(rows: list[list[str]], columns: list[str]) -> list[list[str]]:
    """The cells of the first column, of n, and of those whose headings begin so."""
    kept = [head == "n" or begins(head, columns) for head in rows[0]]
    return [list(compress(row, [True, *kept[1:]])) for row in rows]


def begins(heading: str, columns: list[str]) -> bool:
    return any(heading.startswith(column) for column in columns)


def notes(lines: list[str], marks: set[str]) -> list[str]:
    """The footnotes with these marks, after a blank line."""
    found = [line for line in lines if (note := NOTE.match(line)) and note[1] in marks]
    return ["", *found] if found else []


def lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def first_section(file: Path) -> list[str]:
    return next(sections(file))[1]


def sections(file: Path) -> Iterator[tuple[str, list[str]]]:
    """The data set of each table of a file, and its lines."""
    for section in file.read_text(encoding="utf-8").split("\n## ")[1:]:
        lines = section.splitlines()
        yield lines[0].partition(": ")[2], lines


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def line_of(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def variant_of(row: str) -> str:
    """ "| **beta[beta=4.0]** | 3 | …" -> "beta"."""
    return re.split(r"[^\w]", row.split("|")[1].strip().strip("*"), maxsplit=1)[0]
