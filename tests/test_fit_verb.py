"""`vaezoo fit FILE`: the card, a plan, a run, the best, its checkpoint and the report."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import vaezoo
from vaezoo.bench.shortlist import GAPS, IMAGES, SEQUENCES, TABLE, ShortList, short_list
from vaezoo.cli import vaezoo as program
from vaezoo.core import Spec
from vaezoo.registry.registry import load_registry

QUICK = ("--variants", "vae,linear", "--seeds", 1, "--epochs", 1, "--jobs", 1, "--no-figures")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 2] = np.abs(x[:, 2])
    np.savetxt("x.csv", x, delimiter=",", header="a,b,c", comments="")
    return tmp_path


def fit(*words: Any) -> Result:
    return CliRunner().invoke(program, ["fit", *map(str, words)], catch_exceptions=False)


def test_a_file_becomes_its_best_model_a_checkpoint_and_a_report(table: Path):
    found = fit("x.csv", *QUICK)
    assert found.exit_code == 0, found.output
    assert "read: x.csv, a table" in found.stdout
    assert "c: amounts" in found.stdout
    assert "2 trials to train" in found.stdout
    assert "of 2 rows: validation ELBO" in found.stdout
    assert "vaezoo score runs/fit/x/best.safetensors -d x.csv -o scores.csv" in found.stdout
    assert (table / "runs/fit/x/report.html").is_file()
    assert vaezoo.load("runs/fit/x/best.safetensors").recipe.spec.shape == (3,)

    again = fit("x.csv", *QUICK, "--json")
    best = json.loads(again.stdout)["best"]
    assert "2 found finished" in again.stderr
    assert Path(best["checkpoint"]).read_bytes() == Path(best["copy"]).read_bytes()


def test_what_follows_a_fit_runs_as_it_is_printed(table: Path):
    printed = fit("x.csv", *QUICK).stdout
    lines = [line.split()[1:] for line in printed.splitlines() if line.startswith("  vaezoo ")]
    assert [line[0] for line in lines] == ["score", "encode", "sample"]
    for line in lines:
        assert CliRunner().invoke(program, line, catch_exceptions=False).exit_code == 0
    assert len((table / "scores.csv").read_text().splitlines()) == 41


@pytest.mark.parametrize("source", ["holes[of=digits]", "x.npz"])
def test_what_is_printed_runs_where_no_file_is_the_rows(source: str, table: Path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.savez("x.npz", x_train=x[:20], x_test=x[20:])
    printed = fit(source, "--variants", "vae", *QUICK[2:], "--set", "hidden=8").stdout
    lines = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("  vaezoo ")]
    assert [line[0] for line in lines] == ["score", "encode", "sample"]
    for line in lines:
        found = CliRunner().invoke(program, line, catch_exceptions=False)
        assert found.exit_code == 0, (line, found.output)


def test_a_dry_run_shows_the_plan_and_trains_nothing(table: Path):
    assert "2 trials to train" in fit("x.csv", *QUICK, "--dry-run").stdout
    assert not (table / "runs").exists()
    rows = json.loads(fit("x.csv", *QUICK, "--dry-run", "--json").stdout)
    assert [row["variant"] for row in rows] == ["vae", "linear"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone.csv"], "there is no file or folder gone.csv"),
        (["digits,ring"], "names 2 data sets; name one"),
        (["x.csv[label=z]"], "label=z: x.csv has no such column; it has a, b, c"),
        (["x.csv", "--variants", "vee"], "did you mean"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(table: Path, words: list[str], sentence: str):
    found = fit(*words)
    assert found.exit_code == 2
    assert sentence in found.stderr
    assert not (table / "runs").exists()


SPECS = [
    (TABLE, Spec((5,), "normal", 40)),
    (GAPS, Spec((5,), "normal", 40, has_gaps=True)),
    (IMAGES, Spec((3, 8, 8), "normal", 40)),
    (SEQUENCES, Spec((7, 2), "normal", 40, has_gaps=True, network="rnn")),
]


@pytest.mark.parametrize(("listed", "spec"), SPECS, ids=lambda one: getattr(one, "kind", ""))
def test_every_variant_of_a_short_list_takes_data_of_its_kind(listed: ShortList, spec: Spec):
    assert short_list(spec) == listed
    registry = load_registry()
    for one in registry.choose_variants(listed.variants):
        assert one.entry(spec, **one.values).no_density == ""
    assert set(listed.metrics) <= set(registry.metrics)
