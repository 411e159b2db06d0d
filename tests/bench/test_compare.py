"""Two runs side by side, and variants ranked over data sets, from the trials of their folders."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.bench.conftest import recorded
from tests.bench.test_tables import trial
from vaezoo.bench.report.compare import compare, compared_grid
from vaezoo.cli import vaezoo


def on(dataset: str, variant: str, seed: int, nll: float) -> dict[str, Any]:
    """A finished trial on a data set of this name."""
    facts = trial(variant, seed, nll) | {"dataset": dataset}
    facts["ingredients"] |= {"data": {"name": dataset, "hashes": {}}}
    return facts


def run_of(out: Path, trials: list[dict[str, Any]]) -> Path:
    """The folder of a run with these trials."""
    for facts in trials:
        key = recorded(facts).key
        (out / "trials" / key).mkdir(parents=True)
        text = json.dumps({"best_epoch": 1} | facts | {"key": key})
        (out / "trials" / key / "trial.json").write_text(text, encoding="utf-8")
    return out


def call(*words: object) -> Any:
    return CliRunner().invoke(vaezoo, [str(word) for word in words])


def test_a_difference_is_a_minus_b_over_the_seeds_that_both_have(tmp_path):
    nll = {"a": [20.0, 21.0, 22.5], "b": [19.0, 20.5, 21.0, 50.0]}
    for run, values in nll.items():
        run_of(tmp_path / run, [on("digits", "vae", s, v) for s, v in enumerate(values)])
    result = call("compare", tmp_path / "a", tmp_path / "b", "--json")
    rows = {row["column"]: row for row in json.loads(result.stdout)["shared"]}
    row = rows["nll"]
    assert (row["n"], row["a - b"]) == (3, pytest.approx((1.0 + 0.5 + 1.5) / 3))
    assert row["ci95"] == pytest.approx(4.302653 * 0.5 / 3**0.5, rel=1e-6)  # t(0.975, 2) s/√n
    assert rows["elbo"]["a - b"] == -row["a - b"]
    text = call("compare", tmp_path / "a", tmp_path / "b").stdout
    assert "A - B" in text
    assert "variant  data set  column" in text


def test_what_is_equal_is_counted_and_what_one_run_has_alone_is_named(tmp_path):
    same = [on("digits", "vae", s, 20.0 + s) for s in range(2)]
    a = run_of(tmp_path / "a", [*same, on("digits", "iwae", 0, 19.0)])
    b = run_of(tmp_path / "b", [*same, on("ring", "vae", 0, 3.0)])
    grid = compared_grid(compare(a, b))
    assert grid.body == []
    assert "2 more numbers are equal in both runs" in grid.caption
    assert "only in A: iwae on digits" in grid.caption
    assert "only in B: vae on ring" in grid.caption


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
