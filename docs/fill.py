"""Fills the tables of README and docs from results/: `make docs`. Without results the tables stay
empty.

<!-- rows: vae, iwae -->      every row of these variants in digits/elbo.md and digits/fid.md, copied as it stands
<!-- end -->

<!-- table: jsb/elbo.md: elbo per step, kl -->      all rows of that file's first table, control rows too, of these columns
<!-- end -->
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
SUITE = "digits"
TABLES = ("elbo.md", "fid.md")
BLOCK = re.compile(r"(<!-- rows: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
WHOLE = re.compile(r"(<!-- table: (\S+): (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
NOTE = re.compile(r"\[(\d+)\]")


def filled(text: str, results: Path = RESULTS) -> str:
    """The page with every block filled anew."""
    text = BLOCK.sub(
        lambda m: m[1] + "".join(parts(m[2].split(", "), results / SUITE)) + m[3], text
    )
    return WHOLE.sub(lambda m: m[1] + "".join(whole(results / m[2], m[3].split(", "))) + m[4], text)


def parts(names: list[str], results: Path) -> Iterator[str]:
    """One table a file that is there, with a blank line on either side, and the footnotes that its
    rows name.
    """
    for path in (results / name for name in TABLES):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            yield from ("\n", "\n".join(excerpt(lines, names)), "\n\n")


def whole(path: Path, columns: list[str]) -> Iterator[str]:
    """The first table of a file that is there: its first column, n, and those whose headings begin
    so.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").split("\n## ")[1].splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    kept = [
        i
        for i, name in enumerate(cells[0])
        if i == 0 or name == "n" or any(name.startswith(one) for one in columns)
    ]
    rows = [[row[i] for i in kept] for row in cells]
    marks = {mark for row in rows[2:] for cell in row for mark in NOTE.findall(cell)}
    notes = [line for line in lines if (m := NOTE.match(line)) and m[1] in marks]
    table = [
        "| " + " | ".join(row) + " |" if i != 1 else "|" + "|".join(row) + "|"
        for i, row in enumerate(rows)
    ]
    yield from ("\n", "\n".join([*table, *([""] if notes else []), *notes]), "\n\n")


def excerpt(lines: list[str], names: list[str]) -> list[str]:
    """Heading, rule and the rows of these variants, as they stand."""
    table = [line for line in lines if line.startswith("|")]
    rows = [line for line in table[2:] if variant_of(line) in names]
    marks = {mark for row in rows for cell in row.split("|")[2:] for mark in NOTE.findall(cell)}
    notes = [line for line in lines if (m := NOTE.match(line)) and m[1] in marks]
    return [*table[:2], *rows, *([""] if notes else []), *notes]


def variant_of(row: str) -> str:
    """ "| **beta[beta=4.0]** | 3 | …" -> "beta"."""
    return re.split(r"[^\w]", row.split("|")[1].strip().strip("*"), maxsplit=1)[0]


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
