"""A table for a paper: which rows and columns, in which order, in which form."""

import csv
import io

import pytest

from tests.bench.test_tables import rows_of, trial
from vaezoo.bench.report.exports import FORMS
from vaezoo.bench.report.pick import Choice, pick
from vaezoo.bench.report.report import ReportError
from vaezoo.bench.report.tables import tables_of

FID = {"name": "fid", "unit": "", "better": "lower", "table": "fid", "digits": 3}


def trials():
    """Three variants with three seeds; `cvae` is set apart in its likelihood."""
    made = []
    for name, nll, fid in (("vae", 24.0, 0.5), ("beta", 23.0, 0.9), ("cvae", 20.0, 0.7)):
        for seed in range(3):
            more = {"likelihood_is": "given the label"} if name == "cvae" else {}
            one = trial(name, seed, nll + seed / 100, **more)
            one["metrics"]["fid"] = fid + seed / 1000
            one["columns"] = [FID]
            one["ingredients"]["hyperparameters"] = {"beta": 4.0} if name == "beta" else {}
            made.append(one)
    return made


def picked(rows="", columns="", sort="", made=None):
    def tags(row):
        return {"disentanglement"} if row.variant == "beta" else {"static"}

    return pick(tables_of(rows_of(made or trials())), Choice(rows, columns, sort), tags)


def names(found):
    return [row.name for row in found[0].rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vae,beta", ["vae", "beta"]),
        ("vae,*vae", ["vae", "cvae"]),
        ("tag:static", ["cvae", "vae"]),
        ("disentanglement", ["beta"]),
        ("not:cvae", ["beta", "vae"]),
        ("all,not:tag:static", ["beta"]),
        ("beta[beta=4]", ["beta"]),
        ("", ["beta", "cvae", "vae"]),
    ],
)
def test_rows_are_named_by_name_glob_tag_and_hyperparameter(text, expected):
    assert names(picked(text)) == expected


def test_columns_of_two_tables_stand_side_by_side_with_their_own_bold_and_footnotes():
    (found,) = picked(columns="nll,fid", sort="nll")
    assert names([found]) == ["cvae", "beta", "vae"]
    assert found.grid.head == ["variant", "nll (nats) ↓", "fid ↓"]
    assert found.grid.body[0] == ["cvae [1]", "20.01 ± 0.02", "0.701 ± 0.002"]
    assert found.grid.bold == {(1, 1), (2, 2)}
    assert "given the label" in found.grid.notes[0]
    assert found.grid.title == "nll and fid on digits"


def test_sorting_puts_the_best_first_in_either_direction_and_no_number_last():
    made = trials()
    for one in made:
        if one["variant"] == "cvae":
            del one["metrics"]["elbo"]
    assert names(picked(sort="elbo", made=made)) == ["beta", "vae", "cvae"]
    assert names(picked(sort="fid")) == ["vae", "cvae", "beta"]


def test_rows_that_are_left_out_were_compared_all_the_same_and_the_caption_says_so():
    (found,) = picked("vae,cvae", "nll")
    assert not found.grid.bold
    assert "2 of 3 rows are shown; all were compared." in found.grid.caption


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"rows": "vaee"}, "no row or tag is called 'vaee'; did you mean 'vae'"),
        ({"columns": "nl"}, "no column is called 'nl'; did you mean 'nll'"),
        ({"sort": "fidd"}, "no column is called 'fidd'; did you mean 'fid'"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_near(choice, words):
    with pytest.raises(ReportError, match=words):
        picked(**choice)


def test_a_row_that_failed_says_so_once():
    made = trials()
    failed = {**made[0], "variant": "lost", "status": "failed", "reason": "it crashed"}
    failed["ingredients"] = {**made[0]["ingredients"], "name": "lost"}
    (found,) = picked("lost", "nll,fid", made=[*made, failed])
    assert found.grid.body == [["lost", "failed [1]", "–"]]
    assert found.grid.notes == ("it crashed",)


def test_csv_has_every_number_in_full():
    rows = list(csv.DictReader(io.StringIO(FORMS["csv"](picked(columns="nll,fid")))))
    assert [row["variant"] for row in rows] == ["beta", "cvae", "vae"]
    assert float(rows[2]["nll_mean"]) == pytest.approx(24.01, abs=1e-12)
    assert float(rows[0]["fid_std"]) == pytest.approx(0.001, abs=1e-12)


def test_html_and_markdown_and_latex_have_the_same_cells():
    found = picked(columns="nll")
    assert "| vae | 24.01 ± 0.02 |" in FORMS["md"](found)
    assert r"vae & 24.01 & $\pm 0.02$" in FORMS["tex"](found)
    assert '<th scope="row">vae</th><td>24.01 ± 0.02</td>' in FORMS["html"](found)
    assert "<script" not in FORMS["html"](found)


def test_a_spreadsheet_has_numbers_as_numbers_and_no_formula():
    openpyxl = pytest.importorskip("openpyxl")
    made = trials()
    for one in made:
        if one["variant"] == "vae":
            one["variant"] = "=1+1"
    book = openpyxl.load_workbook(io.BytesIO(FORMS["xlsx"](picked(columns="nll", made=made))))
    sheet = book["digits"]
    assert [cell.value for cell in sheet[1]] == ["variant", "nll (nats) ↓", "± 95 %"]
    assert sheet["A2"].value == "'=1+1"
    assert sheet["B3"].value == pytest.approx(23.01, abs=1e-12)
    assert sheet["B3"].font.bold
    assert not sheet["B2"].font.bold


def test_without_openpyxl_the_sentence_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ReportError, match=r"pip install 'vaezoo\[xlsx\]'"):
        FORMS["xlsx"](picked())
