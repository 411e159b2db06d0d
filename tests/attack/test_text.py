"""Text that others wrote, at every border where it leaves."""

import csv
import io
import json
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vaezoo.bench import text as borders
from vaezoo.bench.report.typeset import Grid, grid_markdown, grid_text

LETTERS = "ab 01=+-@<>[]()`|\\\"'$%&#_{}~^*:!\n\r\t,;é↑β"
EVIL = "\x00\x07\x08\x1b\x7f\x85\x9b\u061c\u200e\u202e\u2066\u2028\u2029\ufeff\ud800\U000e0041"
OBEYED = re.compile(f"[{re.escape(EVIL)}\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PIECES = ["\x1b]0;owned\x07", "\x1b[2J", "[a](javascript:x)", "![a](b)", "<script>", "- 3", "+1"]
PIECES += ["\\end{tabular}", "\\input{/etc/passwd}", "[a]: http://b", "=cmd|'/C'!A0"]
PIECES += ["@SUM(A1)", "\r\n"]


def texts(n, seed=0):
    """Words of all that breaks something somewhere."""
    draw = random.Random(seed)
    for _ in range(n):
        parts = [draw.choice([*LETTERS, *EVIL, *PIECES]) for _ in range(draw.randrange(12))]
        yield "".join(parts)


def test_nothing_that_is_obeyed_leaves_by_any_border():
    for text in texts(4000):
        for border in (borders.plain, borders.on_one_line, borders.in_csv, borders.in_markdown):
            assert not OBEYED.search(border(text).replace("\n", "").replace("\t", ""))
        for border in (borders.in_tex, borders.in_svg):
            assert not OBEYED.search(border(text).replace("\n", ""))
            assert borders.LOST not in border(text)
        assert json.loads(borders.in_json([text])) == [text]
        assert not OBEYED.search(borders.in_json([text]))
        ET.fromstring(f"<a>{borders.in_svg(text).replace('&', '').replace('<', '')}</a>")


def test_no_cell_of_a_csv_is_a_formula_and_every_one_is_read_back():
    for text in texts(2000, 1):
        cell = borders.in_csv(text)
        assert not cell.startswith(("=", "+", "-", "@")) or cell.strip() == text.strip()
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerow([cell, "next"])
        assert list(csv.reader(io.StringIO(file.getvalue()))) == [[cell, "next"]]


@pytest.mark.parametrize("number", ["-12.5", "+3", "-1e-17", "-0", "12"])
def test_a_number_stays_a_number(number):
    assert borders.in_csv(number) == number


@pytest.mark.parametrize(
    "formula", ["=1+1", "+a", "-a", "@SUM(A1)", "＝1+1", "  =1", "\t=1", "\r=1", "-inf"]
)
def test_a_formula_has_an_apostrophe(formula):
    assert borders.in_csv(formula).startswith("'")


def cells_of(line):
    """The cells of a line of a pipe table."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


def test_a_row_of_markdown_has_its_cells_and_no_markup():
    for text in texts(2000, 2):
        grid = Grid(text, ["variant", text], [[text, "1"]], caption=text, notes=(text,))
        lines = grid_markdown(grid).splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        assert [len(cells_of(row)) for row in rows] == [2, 2]
        for line in lines:
            bare = re.sub(r"\\.", "·", line)
            assert not re.search(r"[<>`]|\]\(|\]:|!\[", bare)


def test_a_label_of_a_variant_stays_as_it_is():
    for label in (
        "beta[beta=4.0]",
        "vae {epochs=5} [1]",
        "vae + mixture",
        "p(x|z)",
        "5 %, α = 0.05",
    ):
        assert borders.in_markdown(label) == label.replace("|", "\\|")
        assert borders.plain(label) == label


def test_letters_of_latex_are_letters():
    for text in texts(1000, 3):
        words = borders.in_tex(text)
        assert "\n" not in words
        bare = re.sub(r"\\text\w+\{\}|\$[^$]*\$|\\[&%$#_{}]", "", words)
        assert not set(bare) & set("\\&%$#_{}~^")


def test_a_table_of_text_has_a_line_a_row():
    for text in texts(500, 4):
        grid = Grid(text, ["variant", "n"], [[text, "1"], ["vae", "2"]], notes=(text,))
        lines = grid_text(grid).splitlines()
        assert lines[5].startswith("vae ")
        assert not any(OBEYED.search(line) for line in lines)


PRINT = """
import sys
from vaezoo.bench.text import bear_any_console
bear_any_console()
print("elbo ↑ nll ↓ ± – β 語")
print("↑ χ²", file=sys.stderr)
"""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-8"])
def test_a_console_of_few_letters_gets_ascii(encoding):
    ran = subprocess.run(
        [sys.executable, "-c", PRINT],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    said = ran.stdout.decode(encoding)
    assert said.startswith("elbo ↑" if encoding == "utf-8" else "elbo ^ nll v")
    assert ran.stderr.decode(encoding).strip()


def test_verbs_print_by_the_one_function():
    cli = Path(borders.__file__).parent.parent / "cli"
    others = [path.name for path in cli.glob("*.py") if "click.echo(" in path.read_text()]
    assert sorted(others) == ["common.py", "completion.py"]  # the function, and a shell's script
