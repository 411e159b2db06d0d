"""Variants ranked over data sets, from the trials of their folders."""

import json

import pytest

from tests.bench.test_compare import call, on, run_of


def test_variants_are_ranked_over_the_data_sets_of_several_runs(tmp_path):
    """a before b before c on each of four data sets: χ² = 12 · 8 / (3 · 4) = 8 with 2 degrees."""
    scores = {"a": 1.0, "b": 2.0, "c": 3.0}
    runs = []
    for i in range(4):
        trials = [on(f"set{i}", name, 0, nll + i) for name, nll in scores.items()]
        trials += [on(f"set{i}", "partly", 0, 0.0)] if i == 0 else []
        runs.append(run_of(tmp_path / f"run{i}", trials))
    found = json.loads(call("rank", *runs, "--column", "nll", "--json").stdout)
    assert found["ranks"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert found["datasets"] == ["set0", "set1", "set2", "set3"]
    assert found["left_out"] == ["partly"]
    assert found["statistic"] == pytest.approx(8.0)
    assert found["p"] == pytest.approx(0.0183156, rel=1e-5)  # exp(-4)
    # Demšar 2006, table 5a: q = 2.343 for three classifiers
    assert found["critical_difference"] == pytest.approx(2.343 * (12 / 24) ** 0.5, rel=1e-3)
    text = call("rank", *runs, "--column", "nll").stdout
    assert text.index("\na ") < text.index("\nb ") < text.index("\nc ")
    assert "Without a number on every data set: partly" in text


def test_higher_is_better_where_the_column_says_so(tmp_path):
    """elbo is -nll here: the same ranks, and the column that is ranked by when none is named."""
    trials = [on("digits", name, 0, nll) for name, nll in (("good", 1.0), ("bad", 2.0))]
    found = json.loads(call("rank", run_of(tmp_path / "run", trials), "--json").stdout)
    assert (found["column"], found["ranks"]) == ("elbo", {"good": 1.0, "bad": 2.0})
    assert (found["statistic"], found["p"]) == (None, None)  # two variants, one data set


def test_a_column_without_a_better_direction_cannot_be_ranked_by(tmp_path):
    run = run_of(tmp_path / "run", [on("digits", "vae", 0, 1.0)])
    result = call("rank", run, "--column", "kl")
    assert result.exit_code == 2
    assert "'kl' is no column with a better direction; there are elbo, nll" in result.stderr
