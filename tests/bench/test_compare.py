"""Two runs side by side, and variants ranked over data sets, from the trials of their folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.bench.conftest import recorded
from tests.bench.test_tables import trial
from vaezoo.bench.report import statistics as S
from vaezoo.bench.report.compare import compare
from vaezoo.bench.report.compared import compared_grid
from vaezoo.bench.trial import PROTOCOL
from vaezoo.cli import vaezoo


def on(dataset: str, variant: str, seed: int, nll: float) -> dict[str, Any]:
    """A finished trial on a data set of this name."""
    facts = trial(variant, seed, nll) | {"dataset": dataset}
    facts["ingredients"] |= {"data": {"name": dataset, "hashes": {}}}
    return facts


def run_of(out: Path, trials: list[dict[str, Any]]) -> Path:
    """The folder of a run with these trials."""
    for facts in trials:
        record = recorded(facts)
        key = record.key
        (out / "trials" / key).mkdir(parents=True)
        made_of = {"key": key, "ingredients": record.ingredients.stored}
        text = json.dumps({"best_epoch": 1} | facts | made_of)
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


NLL = [20.0, 20.3, 19.8, 20.1, 20.2, 19.9]


def two_runs(folder: Path, shift: float, variants: int = 1, seeds: int = 6, **more: Any) -> list:
    """The folders of A and of B, whose nll is larger by about `shift`."""
    noise = [0.02, -0.01, 0.015, 0.0, -0.02, 0.01]
    runs = []
    for name, moved in (("a", 0.0), ("b", 1.0)):
        trials = []
        for i in range(variants):
            for s in range(seeds):
                one = on("digits", f"v{i}", s, NLL[s] + i + moved * (shift + noise[s]))
                one["ingredients"] |= {"protocol": PROTOCOL, "hyperparameters": {"beta": 1.0}}
                one["ingredients"] |= more if moved else {}
                trials.append(one)
        runs.append(run_of(folder / name, trials))
    return runs


@pytest.mark.parametrize(
    ("shift", "gate", "code"),
    [
        (0.5, "worse", 1),
        (-0.5, "worse", 0),
        (-0.5, "different", 1),
        (0.0, "worse", 0),
        (0.0, "different", 0),
        (0.0, "changed", 1),
    ],
)
def test_a_gate_is_shut_where_b_is_worse_different_or_changed(tmp_path, shift, gate, code):
    """By elbo = -nll and nll, as their columns have better directions."""
    result = call("compare", *two_runs(tmp_path, shift), "--fail-on", gate)
    assert result.exit_code == code, result.output
    said = result.stderr.splitlines()
    if gate == "worse" and code:
        assert said[0].startswith("vaezoo: elbo of v0 on digits is worse in B: -20.05 in A, -20.55")
        assert said[1].startswith("vaezoo: nll of v0 on digits is worse in B: 20.05 in A, 20.55")
    assert bool(said) == bool(code)


def test_no_gate_is_shut_by_a_run_beside_itself(tmp_path):
    (a, _) = two_runs(tmp_path, 0.0)
    for gate in ("worse", "different", "changed"):
        assert call("compare", a, a, "--fail-on", gate).exit_code == 0


def test_the_verdict_is_that_of_the_adjusted_p(tmp_path):
    """Six seeds that agree have p = 1/32 by permutation. Of many numbers none could then be
    called different, so that they are compared by t.
    """
    result = call("compare", *two_runs(tmp_path, 0.5, variants=4), "--json")
    rows = json.loads(result.stdout)["shared"]
    assert {row["test"] for row in rows} == {"t"}
    assert {row["verdict"] for row in rows} == {"worse"}
    assert all(row["p"] < 1e-4 for row in rows)


def test_null_comparisons_are_called_different_in_few_cases():
    """Holm over all of them: of 200 comparisons of two runs with 5 rows, 5 % at most."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        found = []
        for d in generator.normal(size=(5, 6)):
            found.append(S.difference(dict(enumerate(d)), dict.fromkeys(range(6), 0.0), 0.01, 5))
        wrong += min(S.holm([one.p for one in found])) <= 0.05
    assert wrong <= 200 * 0.05 + 2 * (200 * 0.05 * 0.95) ** 0.5


def test_what_b_lost_shuts_the_gate_and_what_it_did_not_measure_does_not(tmp_path):
    a, b = two_runs(tmp_path, 0.0)
    path = next(iter(b.glob("trials/*/trial.json")))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"status": "diverged", "reason": "loss was not finite"}))
    result = call("compare", a, b, "--fail-on", "worse")
    assert result.exit_code == 1
    assert "elbo of v0 on digits is lost in B: diverged: loss was not finite" in result.stderr
    assert "Lost in B: elbo of v0 on digits" in " ".join(result.stdout.split())

    refused = facts | {"metrics": {"elbo": -20.0}, "refused": {"nll": "it cannot be"}}
    path.write_text(json.dumps(refused))
    result = call("compare", a, b, "--fail-on", "worse")
    assert "nll of v0 on digits is lost in B: refused in seed" in result.stderr
    path.write_text(json.dumps(facts | {"metrics": {"elbo": facts["metrics"]["elbo"]}}))
    assert call("compare", a, b, "--fail-on", "worse").exit_code == 0


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"protocol": 2}, f"protocol {PROTOCOL} in A, 2 in B"),
        ({"budget": {"epochs": 3}}, "epochs 100 in A, 3 in B"),
        ({"hyperparameters": {"beta": 4.0, "new": 1}}, "beta 1.0 in A, 4.0 in B"),
        ({"spec": {"likelihood": "normal"}}, "likelihood bernoulli in A, normal in B"),
    ],
)
def test_rows_that_were_made_otherwise_are_refused_with_the_reason(tmp_path, differs, words):
    runs = two_runs(tmp_path, 0.5, **differs)
    found = compare(*runs)
    assert found.shared == []
    assert words in found.refused["v0", "digits"]
    result = call("compare", *runs, "--fail-on", "worse")
    assert result.exit_code == 2, "a gate that can see nothing is not open"
    assert "there is nothing to compare" in result.stderr
    assert words in result.stdout


def test_single_seeds_can_shut_the_gate_of_changes_alone(tmp_path):
    runs = two_runs(tmp_path, 0.5, seeds=1)
    assert call("compare", *runs, "--fail-on", "worse").exit_code == 2
    assert call("compare", *runs, "--fail-on", "changed").exit_code == 1
    assert call("compare", runs[0], runs[0], "--fail-on", "worse").exit_code == 0
