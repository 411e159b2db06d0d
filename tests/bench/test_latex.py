"""LaTeX of the tables: what stands in it, and where there is a TeX, that it fits."""

import re
import shutil
import subprocess

import pytest

from vaezoo.bench.report.latex import ROWS, WIDTH, grid_tex, worded
from vaezoo.bench.report.typeset import Grid
from vaezoo.bench.text import in_tex

SETS = ["variant", "nll (nats) ↓", "train s", "at limit"]
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,longtable,siunitx}
\begin{document}
%s
\end{document}
"""


def grid(rows=3, columns=2, **more):
    heads = ["variant", *(f"reconstruction nll number {i} (nats) ↓" for i in range(columns))]
    body = [[f"row_{i}", *[f"{-i}.25 ± 0.50 [1]"] * columns] for i in range(rows)]
    facts = {"caption": "In nll, p(x|z), -1.5.", "notes": ("a note",), "bold": {(0, 1)}, **more}
    return Grid("Likelihood: digits", heads, body, **facts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nll and fid of p(x|z)", r"NLL and FID of $p(x\mid z)$"),
        ("KL(q(z|x) ‖ p(z))", r"KL($q(z\mid x)$ $\|$ $p(z)$)"),
        ("from -3.5 to -1, half-width", "from $-$3.5 to $-$1, half-width"),
        ("β = 4 & 50 % of Σ", r"$\beta$ = 4 \& 50 \% of $\Sigma$"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
    ],
)
def test_words_are_written_as_one_writes_them(text, expected):
    assert worded(text) == expected


def test_a_name_stays_what_it_is():
    assert in_tex("nll_vae[beta=-1]") == r"nll\_vae[beta=-1]"


def test_numbers_stand_in_columns_of_siunitx_and_other_cells_across_them():
    body = [
        ["vae", "-23.49 ± 0.07 [2]", "6.0", "0/6"],
        ["iwae", "3.2 ± 0.10", "17.4", "6/6"],
        ["cb", "skipped [1]", "–", "–"],
        ["(control)", "1.08", "–", ""],
    ]
    text = grid_tex(Grid("t", SETS, body, {(0, 1)}, "c.", ("a", "b")), "tab")
    assert r"\begin{tabular}{@{}lS[table-format=-2.2]@{\,}lS[table-format=2.1]c@{}}" in text
    assert r"\bfseries -23.49 & $\mathbf{\pm 0.07}$\rlap{\textsuperscript{2}} & 6.0 & 0/6" in text
    assert r"cb & \multicolumn{2}{c}{skipped\textsuperscript{1}} & {--} & --" in text
    assert "(control) & 1.08 &  & {--} &" in text


def test_the_caption_is_short_and_the_note_long():
    text = grid_tex(grid(), "tab:elbo")
    assert r"\caption{Likelihood: digits}\label{tab:elbo:likelihood--digits}" in text
    assert r"In NLL, $p(x\mid z)$, $-$1.5. \textsuperscript{1}\,a note." in text


def test_columns_that_do_not_fit_go_to_further_tables_with_the_names_again():
    text = grid_tex(grid(columns=9), "tab")
    parts = re.findall(r"\\caption\{Likelihood: digits \((\d) of (\d)\)\}", text)
    assert len(parts) > 1
    assert len({last for _, last in parts}) == 1
    assert text.count(r"row\_1 &") == len(parts)
    assert text.count(r"\pm 0.50") == 3 * 9
    assert text.count("a note.") == 1


def test_many_rows_are_a_longtable_but_not_in_one_column_of_two():
    assert r"\begin{longtable}" not in grid_tex(grid(ROWS), "tab")
    assert r"\begin{longtable}" in grid_tex(grid(ROWS + 1), "tab")
    narrow = grid_tex(grid(ROWS + 1), "tab", 239.0)
    assert "longtable}" not in narrow.replace("booktabs,longtable", "")
    assert narrow.count(r"\begin{table}") == 2 * len(set(re.findall(r"\((\d+) of", narrow))) / 2


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 2), (3, 9), (60, 5)])
def test_it_fits_the_page_when_it_is_compiled(shape, tmp_path):
    """Without an overfull box."""
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no TeX here")
    (tmp_path / "a.tex").write_text(DOCUMENT % grid_tex(grid(*shape), "tab"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    if "siunitx.sty' not found" in done.stdout:
        pytest.skip("this TeX has no siunitx")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert WIDTH == 345
