"""What else is read in a folder of results than its tables are made of: claims and states of runs,
a trial that is shown, what trials took, weights by name, rules for Snakemake.
"""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.bench.test_plan import TRIAL
from vaezoo.bench.claims import Claims, holder
from vaezoo.bench.hub.card import card
from vaezoo.bench.named import name_weights
from vaezoo.bench.owners import owner
from vaezoo.bench.price import known_trials
from vaezoo.bench.records import Damaged, Ingredients, Record
from vaezoo.bench.snakemake import RULE, _escaped, _shell
from vaezoo.bench.store import Store, to_json
from vaezoo.bench.sweeping import sweep
from vaezoo.cli import vaezoo
from vaezoo.training.checkpoint import CheckpointError

from .test_results_folder import in_time

Make = Callable[[Path], object]
LONG_AGO = 10.0**9  # seconds since 1970


def _vast(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**41)


KINDS: dict[str, Make] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to a folder": lambda path: path.symlink_to(path.parent.parent / "outside"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "2 TB": _vast,
}
OF_RUNS = (".claim-k", ".run-x", ".task-k-x.json", ".building-k-x", ".building-old.k-x")
TEXTS = {
    "a path": "x/../../outside@y.1.1",
    "no UTF-8": b"\xff\xfe",
    "a megabyte": b"x" * 2**20,
    "escapes": "\x1b[2J@\n",
    "a name of 300 letters": f"7.7@{'9' * 300}",
}


@pytest.fixture
def trials(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("nobody's")
    folder = tmp_path / "out" / "trials"
    folder.mkdir(parents=True)
    return folder


def made(path: Path, name: str) -> Path:
    if name in KINDS:
        KINDS[name](path)
    else:
        text = TEXTS[name]
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    return path


@pytest.mark.parametrize("name", [*KINDS, *TEXTS])
def test_what_is_no_claim_is_in_nobodys_way(name: str, trials: Path, tmp_path: Path):
    path = made(trials / ".claim-k", name)
    with in_time(memory=False):
        assert holder(path) == ""
        assert Claims(trials).take("k")
    assert holder(path) == owner()
    assert (tmp_path / "outside" / "file").read_text() == "nobody's"


@pytest.mark.parametrize("name", [*KINDS, *TEXTS])
def test_what_is_no_state_of_a_run_is_swept_or_left(name: str, trials: Path, tmp_path: Path):
    for of in (
        ".claim-k",
        f".state-{'a' * 64}",
        f"..state-{'b' * 64}-x",
        ".run-x",
        ".task-k-x.json",
    ):
        made(trials / of, name)
    made(trials / ".building-k-x", name)
    made(trials / ".building-old.k-x", name)
    with in_time(memory=False):
        sweep(trials, lambda key: True)
    assert not list(trials.glob(f".state-{'a' * 64}"))
    assert (tmp_path / "outside" / "file").read_text() == "nobody's"


def shown(folder: Path, *more: str) -> Result:
    with in_time():
        done = CliRunner().invoke(vaezoo, ["show", str(folder), *more])
    assert done.exit_code in (0, 2), done.output
    assert "\x1b" not in done.output
    assert len(done.output) < 10**5
    return done


FACTS = {"key": "a" * 64, "variant": "vae", "ingredients": {"seed": 0, "budget": {"epochs": 3}}}
DAMAGED = {
    "brackets": "[" * 10**5,
    "a list": "[]",
    "ingredients that are a list": json.dumps(FACTS | {"ingredients": [1]}),
    "a budget that is a text": json.dumps(FACTS | {"best_epoch": 2, "ingredients": {"budget": ""}}),
    "ingredients that are null": json.dumps(FACTS | {"ingredients": None}),
    "no key": json.dumps(FACTS | {"key": None}),
    "infinity": json.dumps(FACTS | {"best_epoch": float("inf")}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_trial_is_shown_in_one_sentence(name: str, tmp_path: Path):
    (tmp_path / "trial.json").write_text(DAMAGED[name])
    assert shown(tmp_path).stderr.startswith("vaezoo: ")


@pytest.mark.parametrize("file", ["log.txt", "history.csv", "model.safetensors"])
@pytest.mark.parametrize("name", [*KINDS, *TEXTS])
def test_a_trial_is_shown_whatever_lies_beside_its_facts(file: str, name: str, tmp_path: Path):
    (tmp_path / "trial.json").write_text(json.dumps(FACTS))
    made(tmp_path / file, name)
    assert shown(tmp_path, "--json").exit_code == 0


def kept(out: Path, **changed: object) -> Path:
    """A trial in the folder of a run, which says this of itself; its key fits."""
    record = Record.of(
        TRIAL, "done", (), metrics={"train_seconds": 8.0}, total_seconds=10.0, epochs=5,
        best_epoch=1, evaluation_seconds={"quick": 1.0},
    )  # fmt: skip
    facts = record.to_json() | {name: one for name, one in changed.items() if name != "made_of"}
    facts["ingredients"] = {**facts["ingredients"], **changed.get("made_of", {})}  # type: ignore[dict-item]
    facts["key"] = Ingredients.from_json(facts["ingredients"]).key
    folder = out / "trials" / str(facts["key"])
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(to_json(facts))
    return folder


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results without others near it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vaezoo.bench.price._beside_the_package", lambda: tmp_path / "results")
    return tmp_path / "out"


@pytest.mark.parametrize("resources", [{"memory": None}, {"seconds": None}, {"memory": -1.0}])
def test_a_trial_that_does_not_say_what_it_took_says_nothing_of_others(resources, alone: Path):
    kept(alone, resources=resources)
    assert Store(alone).records()[1] == {}
    assert known_trials(alone).taken == {}


@pytest.mark.parametrize("epochs", ["3", None, [3], {}])
def test_a_trial_whose_limit_is_no_number_says_nothing_of_epochs(epochs, alone: Path):
    kept(alone, made_of={"budget": {"epochs": epochs}})
    assert not known_trials(alone).stopped


@pytest.mark.parametrize(
    "made_of", [{"data": {"name": ["digits"]}}, {"data": {"options": [1]}}, {"data": {"name": 3}}]
)
def test_ingredients_of_other_types_fit_nothing(made_of, tmp_path: Path):
    with pytest.raises(Damaged):
        kept(tmp_path, made_of=made_of)


def test_weights_that_are_a_link_are_not_named(whole: Path, tmp_path: Path):
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    for path in out.glob("trials/*/model.safetensors"):
        path.rename(tmp_path / "w.safetensors")
        path.symlink_to(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="cannot be named: it is a link"):
        name_weights(out)


@pytest.mark.parametrize("name", ["Bob's runs", "a'; touch owned; '", "$(touch owned)", "a\nb"])
def test_no_folder_is_a_command_in_a_rule_of_snakemake(name: str):
    shell = _escaped(_shell("rm", "-rf", f"/x/{name}"))
    rule = RULE.format(number=1, title="t", trial="t.json", threads=1, shell=shell)
    said = rule.partition("shell:\n")[2].strip()
    assert "\n" not in said
    assert shlex.split(eval(said).format()) == ["rm", "-rf", f"/x/{name}"]


def test_a_card_holds_no_markup_of_the_one_who_made_the_weights():
    evil = "`<b>\n# x"
    facts = {
        "variant": evil, "hyperparameters": {evil: evil}, "spec": {evil: evil}, "sha256": "0",
        "bytes": 1, "plugin": {"distribution": evil, "version": evil, "source_hash": evil},
        "trial": {"dataset": evil, "metrics": {"elbo": 1.0}, "seed": evil},
    }  # fmt: skip
    text = card("a/b", facts)
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "\n# x" not in text
