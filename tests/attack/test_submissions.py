"""Submissions: what an honest one is, and twenty forged ones that are refused, with manifests that
fit.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from tests.attack.damage import sealed
from vaezoo.bench.recompute import recomputed_verdict
from vaezoo.bench.records import Ingredients
from vaezoo.bench.store import Store
from vaezoo.bench.submission import MOST, SubmissionError, submit
from vaezoo.bench.verify import verify
from vaezoo.cli import vaezoo

WORDS = "bench --variants vae,iwae --datasets digits --seeds 2 --epochs 2 --jobs 1 --no-figures"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    words = [*WORDS.split(), "--set", "hidden=8", "--metrics", "likelihood,cost", "--quiet"]
    result = CliRunner().invoke(vaezoo, [*words, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def honest(run, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sent") / "sent"
    verdict, sizes = submit(run, out)
    assert verdict.faults == ()
    assert 0 < sizes["digits"] <= MOST
    return out


def test_an_honest_submission_is_well_and_its_weights_give_its_numbers(honest):
    verdict = recomputed_verdict(verify(honest), honest, 4)
    assert verdict.faults == ()
    assert verdict.summary == "all well: 4 trials, 4 of them measured again"


def test_the_verbs_write_it_and_check_it(run, tmp_path):
    said = CliRunner().invoke(vaezoo, ["submit", str(run), "-o", str(tmp_path / "sent")])
    assert said.exit_code == 0, said.output
    said = CliRunner().invoke(vaezoo, ["verify", str(tmp_path / "sent"), "--recompute", "1"])
    assert (said.exit_code, "1 of them measured again" in said.output) == (0, True), said.output


def test_what_has_faults_or_is_there_already_is_not_written(run, tmp_path):
    broken = shutil.copytree(run, tmp_path / "broken")
    next(broken.glob("trials/*/rows.safetensors")).write_bytes(b"")
    with pytest.raises(SubmissionError, match="faults, the first in"):
        submit(broken, tmp_path / "sent")
    (tmp_path / "there").mkdir()
    with pytest.raises(SubmissionError, match="is there already"):
        submit(run, tmp_path / "there")


def trial(out: Path, variant: str, seed: int) -> Path:
    record = next(r for r in Store(out).records()[0] if (r.variant, r.seed) == (variant, seed))
    return out / "trials" / record.key


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The trial with other facts, under the key that fits them, and a manifest that does."""
    facts = json.loads((folder / "trial.json").read_text())
    change(facts)
    key = Ingredients.from_json(facts["ingredients"]).key
    facts["key"] = key
    (folder / "trial.json").write_text(json.dumps(facts))
    run = folder.parent.parent / "run.json"
    run.write_text(run.read_text().replace(folder.name, key))
    moved = folder.with_name(key)
    if moved != folder:
        shutil.rmtree(moved, ignore_errors=True)
        folder.rename(moved)
    sealed(moved)


def metric(name: str, value: Any) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        edit(trial(out, "vae", 0), lambda facts: facts["metrics"].update({name: value}))

    return forge


def gained(name: str, by: float) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        def change(facts: dict[str, Any]) -> None:
            facts["metrics"][name] += by

        edit(trial(out, "vae", 0), change)

    return forge


def ingredient(path: str, value: Any) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        def change(facts: dict[str, Any]) -> None:
            *folders, last = path.split(".")
            inner = facts["ingredients"]
            for name in folders:
                inner = inner[name]
            inner[last] = value

        edit(trial(out, "vae", 0), change)

    return forge


def copied_seed(out: Path) -> None:
    """Seed 1 is seed 0 again: its numbers, its weights, other seconds."""
    shutil.rmtree(trial(out, "vae", 1))
    copy = shutil.copytree(trial(out, "vae", 0), out / "trials" / ("0" * 64))

    def change(facts: dict[str, Any]) -> None:
        facts["ingredients"]["seed"] = 1
        facts["total_seconds"] += 0.123

    edit(copy, change)


def weights_of_another(out: Path) -> None:
    better = trial(out, "iwae", 0) / "model.safetensors"
    shutil.copyfile(better, trial(out, "vae", 0) / "model.safetensors")
    sealed(trial(out, "vae", 0))


def weights(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        path = trial(out, "vae", 0) / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))
        sealed(path.parent)

    return forge


def flipped(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 0x40]) + content[-4:]


def dropped_seed(out: Path) -> None:
    """The seed that did worse is left out of the folder, and not of the plan."""
    shutil.rmtree(trial(out, "vae", 1))


def unsealed_edit(out: Path) -> None:
    path = trial(out, "vae", 0) / "trial.json"
    facts = json.loads(path.read_text())
    facts["metrics"]["elbo"] += 1
    path.write_text(json.dumps(facts))


def unkeyed(out: Path) -> None:
    path = trial(out, "vae", 0) / "trial.json"
    facts = json.loads(path.read_text())
    facts["ingredients"]["budget"]["epochs"] = 1
    path.write_text(json.dumps(facts))
    sealed(path.parent)


def no_manifest(out: Path) -> None:
    unsealed_edit(out)
    (trial_folder := next(out.glob("trials/*/MANIFEST.sha256"))).unlink()
    assert not trial_folder.exists()


def other_split(out: Path) -> None:
    ingredient("data.hashes.test", hashlib.sha256(b"mine").hexdigest())(out)


FORGED = {
    "the bound a nat up": gained("elbo", 1.0),
    "nll a hundredth down": gained("nll", -0.05),
    "kl doubled": gained("kl", 1.0),
    "a metric that is NaN": metric("elbo", None),
    "a bound above log p": metric("elbo", 0.0),
    "a metric that is text": metric("nll", "23"),
    "edited, the manifest not": unsealed_edit,
    "edited, another manifest gone": no_manifest,
    "another budget under the old key": unkeyed,
    "another test split": other_split,
    "another seed": ingredient("seed", 7),
    "a seed copied": copied_seed,
    "a seed dropped": dropped_seed,
    "another protocol": ingredient("protocol", 2),
    "another width": ingredient("spec.hidden", 9),
    "another variant's name": ingredient("name", "beta"),
    "another text of the plugin": ingredient("plugin.source_hash", "0" * 64),
    "weights of another variant": weights_of_another,
    "a bit of the weights flipped": weights(flipped),
    "half of the weights": weights(lambda content: content[: len(content) // 2]),
    "no weights at all": weights(lambda content: b""),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_submission_is_refused(kind, honest, tmp_path):
    out = shutil.copytree(honest, tmp_path / "forged")
    FORGED[kind](out)
    before = verify(out)
    verdict = before if before.faults else recomputed_verdict(before, out, 4)
    assert verdict.faults, "nothing was said"


def test_weights_in_the_folder_are_those_that_were_trained(honest):
    for path in honest.glob("trials/*/model.safetensors"):
        tensors = load_file(path)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
