"""Trials of earlier code in a report of today's: what cannot be, and what other code measured."""

import json

import pytest

from tests.bench.test_compare import call, on, run_of
from vaezoo.bench.report.report import read_tables

OLD = {"name": "mutual_information", "unit": "nats", "better": "", "table": "representation"}


def with_information(variant, information, **more):
    """Trials of two seeds, whose column has no range of its own."""
    trials = []
    for seed in range(2):
        one = on("digits", variant, seed, 20.0)
        one["metrics"]["mutual_information"] = information + seed / 1000
        one |= {"columns": [OLD], "settings": {"aggregate_rows": 300}} | more
        trials.append(one)
    return trials


@pytest.mark.parametrize(
    ("information", "is_refused"), [(-1.99, True), (-0.04, False), (3.7, False)]
)
def test_a_number_of_earlier_code_is_judged_by_the_range_of_today(
    tmp_path, information, is_refused
):
    run = run_of(tmp_path / "run", with_information("ensemble", information))
    result = call("report", run, "--no-figures")
    text = (run / "representation.md").read_text()
    assert result.exit_code == int(is_refused)
    assert (f"{information:.2f}" in text.replace("is -1.99", "")) != is_refused
    assert ("ensemble †" in text) == is_refused
    said = "ensemble on digits refused in seed 0: mutual_information is -1.99, and its range is 0"
    assert (said in result.stderr) == is_refused


def test_a_bound_of_earlier_code_falls_with_a_kl_that_cannot_be(tmp_path):
    """600 draws of N(0, 10²) once had an ELBO of +31,674,486, bold."""
    one = on("digits", "poincare", 0, -31_674_486.0)
    one["metrics"] |= {"kl": -31_674_500.0, "reconstruction_nll": 14.0}
    run = run_of(tmp_path / "run", [one])
    assert call("report", run, "--no-figures").exit_code == 1
    text = (run / "elbo.md").read_text()
    assert "31674486" not in text
    assert "| 14.00 |" in text


def test_what_is_no_number_was_a_reason_and_is_refused(tmp_path):
    one = on("digits", "vae", 0, 20.0)
    one["metrics"]["kl"] = None
    one["reasons"] = {"kl": "it came out as nan"}
    run = run_of(tmp_path / "run", [one])
    result = call("report", run, "--no-figures")
    assert (result.exit_code, "kl came out as nan" in result.stderr) == (1, True)


def measured(variant, nll, code, seeds=3):
    trials = []
    for seed in range(seeds):
        one = on("digits", variant, seed, nll + seed / 10)
        columns = [{"name": "nll", "unit": "nats", "better": "lower", "table": "elbo"}]
        columns[0]["metric"] = "likelihood"
        trials.append(one | {"columns": columns, "measures": {"likelihood": code * 64}})
    return trials


def test_a_number_by_other_code_has_a_footnote_and_is_not_compared(tmp_path):
    others = [*measured("vae", 25.0, "a"), *measured("iwae", 25.1, "a")]
    run = run_of(tmp_path / "run", [*others, *measured("beta", 20.0, "b")])
    assert call("report", run, "--no-figures").exit_code == 0
    (table, *_) = read_tables(run)
    assert "beta" not in table.best["digits", "nll"].rows
    text = (run / "elbo.md").read_text()
    said = "measured by other code of the metric likelihood than most rows: not compared"
    assert said in text
    assert said in (run / "elbo.csv").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("| beta")]
    assert "20.10 ± 0.25 [1]" in line
    found = json.loads(call("rank", run, "--column", "nll", "--json").stdout)
    assert found["left_out"] == {"beta": f"{said}, on digits"}


def test_by_one_code_nothing_is_said(tmp_path):
    run = run_of(tmp_path / "run", [*measured("vae", 25.0, "a"), *measured("iwae", 30.0, "a")])
    call("report", run, "--no-figures")
    assert "other code" not in (run / "elbo.md").read_text()
    assert read_tables(run)[0].best["digits", "nll"].rows == {"vae"}


def test_two_runs_are_not_compared_where_other_code_measured(tmp_path):
    a = run_of(tmp_path / "a", measured("vae", 25.0, "a"))
    b = run_of(tmp_path / "b", measured("vae", 20.0, "b"))
    found = json.loads(call("compare", a, b, "--json").stdout)
    assert (found["shared"], found["by other code"]) == ([], ["likelihood"])
    assert call("compare", a, b, "--fail-on", "worse").exit_code == 2
