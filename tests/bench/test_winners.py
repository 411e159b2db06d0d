"""`best`: the validation split chooses, and only among rows of one data set and likelihood."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.bench.test_compare import on, run_of
from vaezoo.cli import vaezoo


def judged(dataset: str, variant: str, seed: int, nll: float, validation: float) -> dict[str, Any]:
    facts = on(dataset, variant, seed, nll)
    facts["metrics"] = facts["metrics"] | {"elbo_validation": validation}
    return facts


def best(*words: object) -> Any:
    return CliRunner().invoke(vaezoo, ["best", *map(str, words)])


def test_the_mean_over_seeds_on_validation_chooses_and_not_the_test_split(tmp_path: Path):
    trials = [
        judged("digits", "vae", 0, 10.0, -30.0),  # the best on test
        judged("digits", "vae", 1, 10.0, -20.0),
        judged("digits", "iwae", 0, 15.0, -24.0),
        judged("digits", "iwae", 1, 16.0, -22.0),
        judged("ring", "vae", 0, 1.0, -1.0),
    ]
    out = run_of(tmp_path / "run", trials)
    digits, ring = json.loads(best(out, "--json").stdout)
    assert (digits["variant"], digits["elbo_validation"], digits["seeds"]) == ("iwae", -23.0, 2)
    assert digits["ahead_of_next"] == pytest.approx(2.0)
    assert digits["nll"] == pytest.approx(15.5)
    key = Path(digits["checkpoint"]).parent.name
    chosen = json.loads((out / "trials" / key / "trial.json").read_text())
    assert chosen["metrics"]["elbo_validation"] == -22.0
    assert (ring["variant"], ring["rows"]) == ("vae", 1)
    said = best(out).stdout
    assert "iwae, of 2 rows: validation ELBO -23.00 nats (2 seeds), 2.00 ahead of the next" in said


def test_a_run_without_validation_says_how_to_get_it(tmp_path: Path):
    out = run_of(tmp_path / "run", [on("digits", "vae", 0, 10.0)])
    found = best(out)
    assert found.exit_code == 2
    assert "no trial in" in found.stderr
    assert "--metrics likelihood,generalisation" in found.stderr
    assert best(tmp_path).exit_code == 2
