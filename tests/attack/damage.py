"""Kinds of damage that a folder of results may have, by accident or by intent: name -> function of
the folder. None of them may end a report with a traceback, hang it, let it read or write outside of
the folder, or put the number `FORGED` into a table.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from vaezoo.bench.manifest import MANIFEST, manifest
from vaezoo.bench.records import Ingredients

FORGED = 7.654321  # an ELBO that no trial has
SECRET = "outside"  # a folder beside the results that nobody may read or write
Damage = Callable[[Path], None]
FILES = ("trial.json", "MANIFEST.sha256", "rows.safetensors", "history.csv", "figures.safetensors")


def trial_of(out: Path, i: int = 0) -> Path:
    """The folder of one trial."""
    return sorted(path for path in (out / "trials").iterdir() if path.is_dir())[i]


def sealed(folder: Path) -> None:
    """The manifest of what the folder has now: what a careful forger writes."""
    gone(folder / MANIFEST)
    (folder / MANIFEST).write_text(manifest(folder), encoding="utf-8")


def facts_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "trial.json").read_bytes())


def stored(folder: Path, facts: dict[str, Any], *, seal: bool = True) -> None:
    (folder / "trial.json").write_text(json.dumps(facts), encoding="utf-8")
    if seal:
        sealed(folder)


def put(facts: dict[str, Any], where: str, value: Any) -> None:
    *path, last = where.split(".")
    for step in path:
        facts = facts[step]
    facts[last] = value


def change(out: Path, where: str, value: Any) -> None:
    """A field of one trial, and an ELBO that nobody may see; the manifest fits."""
    folder = trial_of(out)
    facts = facts_of(folder)
    facts["metrics"]["elbo"] = FORGED
    put(facts, where, value)
    stored(folder, facts)


def rekey(out: Path, where: str, value: Any) -> Path:
    """An ingredient of one trial changed, and the key with it."""
    folder = next(
        one
        for one in sorted((out / "trials").iterdir())
        if facts_of(one)["ingredients"].get(where) != value
    )
    facts = facts_of(folder)
    put(facts["ingredients"], where, value)
    facts["key"] = Ingredients.from_json(facts["ingredients"]).key
    stored(folder, facts)
    return folder.rename(folder.with_name(facts["key"]))


def nested(depth: int) -> Any:
    found: Any = 0
    for _ in range(depth):
        found = [found]
    return found


# field of trial.json -> what somebody wrote there; the key is not computed anew
FIELDS: list[tuple[str, Any]] = [
    ("key", "0" * 64),
    ("key", "../../../etc"),
    ("key", None),
    ("variant", 3),
    ("variant", ""),
    ("variant", "two\nlines"),
    ("variant", "\x1b[31mred"),
    ("variant", "a\u202eb"),
    ("variant", "\ud800"),
    ("variant", "v" * 5000),
    ("dataset", None),
    ("dataset", ["digits"]),
    ("status", "splendid"),
    ("status", ["done"]),
    ("status", {}),
    ("reason", {}),
    ("controls", f"../{SECRET}/secret.json"),
    ("controls", f"controls/../../{SECRET}/secret.json"),
    ("controls", "/etc/passwd"),
    ("controls", 3),
    ("controls", "controls/"),
    ("controls", "controls/" + "c" * 300 + ".json"),
    ("metrics", None),
    ("metrics", []),
    ("metrics.elbo", "-20"),
    ("metrics.elbo", True),
    ("metrics.elbo", float("nan")),
    ("metrics.elbo", float("inf")),
    ("metrics.elbo", 10**400),
    ("metrics.elbo", 1e250),
    ("metrics.elbo", [FORGED]),
    ("metrics.a/b", 1.0),
    ("metrics.\x1b]0;title\x07", 1.0),
    ("metrics.=1+1", 1.0),
    ("reasons.nll", 5),
    ("reasons", []),
    ("refused", "no"),
    ("settings.K", [1]),
    ("settings.K", {"a": nested(5)}),
    ("settings", [1]),
    ("samplers", []),
    ("samplers", {"gaussian": 1}),
    ("best_epoch", "3"),
    ("best_epoch", -1),
    ("best_epoch", 10**400),
    ("best_epoch", 1.5),
    ("epochs", "3"),
    ("epochs", 10**400),
    ("machine", 3),
    ("machine.torch", 2),
    ("measures", ["likelihood"]),
    ("resources", "many"),
    ("total_seconds", "long"),
    ("evaluation_seconds", []),
    ("prior", "\x9b31m"),
    ("columns", {}),
    ("columns", 7),
    ("columns", [{}]),
    ("columns", [7]),
    ("columns", [{"name": "../elbo", "unit": "", "better": "", "table": "elbo"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "../elbo"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "../../X"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "t" * 300}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "a\\b"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "CON\x00"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "sideways"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "digits": 10**9}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "rests_on": "everything"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "low": 10**400}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "lead": 10**400}]),
    ("columns", [{"name": "e" * 300, "unit": "", "better": "", "table": "elbo"}]),
    ("tables", [{"name": "/tmp/elbo"}]),
    ("tables", [{"name": "../../X"}]),
    ("tables", [{"name": "elbo", "order": 10**400}]),
    ("tables", [{"name": "elbo", "order": "first"}]),
    ("tables", [{"name": "elbo", "title": ["a"]}]),
    ("ingredients", []),
    ("ingredients", None),
    ("ingredients.seed", 1_000),
    ("ingredients.seed", "0"),
    ("ingredients.seed", -1),
    ("ingredients.seed", True),
    ("ingredients.name", "../vae"),
    ("ingredients.hyperparameters", {"weight": 9.0}),
    ("ingredients.budget.epochs", 10_000),
    ("ingredients.device", "cuda"),
    ("ingredients.plugin", None),
    ("ingredients.plugin.source_hash", "0" * 64),
    ("ingredients.spec.likelihood", 7),
    ("ingredients.samplers", [3]),
    ("ingredients.data", "digits"),
    ("ingredients.data.hashes", {"train": 3}),
    ("ingredients.protocol", 1),
    ("ingredients.budget", {"deep": nested(300)}),
    ("ingredients.budget", {"text": "\ud800"}),
]

# what a file may hold in the place of what it should
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[]",
    "null": b"null",
    "a number": b"3",
    "a text": b'"done"',
    "100,000 brackets": b"[" * 100_000,
    "900 brackets": b"[" * 900 + b"]" * 900,
    "100,000 objects": b'{"a":' * 100_000,
    "NaN": b'{"key": NaN}',
    "1e999": b'{"key": 1e999}',
    "a number of 10,000 digits": b'{"key": ' + b"9" * 10_000 + b"}",
    "no UTF-8": b'{"key": "\xff\xfe"}',
    "UTF-16": '{"key": "a"}'.encode("utf-16"),
    "zeros": b"\0" * 4096,
    "a sentence": b"the dog ate it",
    "HTML": b"<html><script>alert(1)</script></html>",
    "escapes": b"\x1b[2J\x1b]0;owned\x07",
    "a huge header": (2**62).to_bytes(8, "little") + b"{}",
    "another page": b"epoch,validation_loss\n1,a\n",
    "too many cells": b"epoch,validation_loss\n1,2,3\n",
    "no epoch": b"validation_loss\n1\n",
    "huge epochs": b"epoch,validation_loss\n1e308,1e308\n1e307,-1e308\n",
}


def hold(out: Path, name: str, content: bytes) -> None:
    """The file has this content; a file of a trial, with a manifest that fits."""
    path = place(out, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if path.parent.parent.name == "trials" and path.name != MANIFEST:
        sealed(path.parent)


def place(out: Path, name: str) -> Path:
    if name in FILES:
        return trial_of(out) / name
    return next((out / "controls").iterdir()) if name == "controls/*" else out / name


def gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("a", encoding="utf-8")


def _link_out(path: Path) -> None:
    path.symlink_to(path.parents[-1] / _outside(path) / "secret.json")


def _link_to_folder(path: Path) -> None:
    path.symlink_to(_outside(path))


def _outside(path: Path) -> Path:
    return next(parent / SECRET for parent in path.parents if (parent / SECRET).is_dir())


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket has 100 letters at most
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _vast(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**41)


KINDS: dict[str, Damage] = {
    "is a folder": _folder,
    "is a FIFO": os.mkfifo,
    "is a socket": _socket,
    "is a link that leads out": _link_out,
    "is a link to a folder": _link_to_folder,
    "is a link without end": lambda path: path.symlink_to("/dev/zero"),
    "is a link to nothing": lambda path: path.symlink_to("nothing"),
    "is a link to itself": lambda path: path.symlink_to(path.name),
    "has 2 TB": _vast,
    "is missing": lambda path: None,
}


def replace_by(out: Path, name: str, make: Damage) -> None:
    path = place(out, name)
    gone(path)
    make(path)


def moved_out(out: Path, name: str) -> None:
    """A folder of the results that is a link to one outside."""
    there = out.parent / SECRET / "moved"
    path = trial_of(out) if name == "trial" else out / name
    path.mkdir(exist_ok=True)
    shutil.move(path, there)
    path.symlink_to(there)


def _edited(out: Path) -> None:
    folder = trial_of(out)
    facts = facts_of(folder)
    facts["metrics"]["elbo"] = FORGED
    stored(folder, facts, seal=False)


def _without_manifest(out: Path) -> None:
    _edited(out)
    (trial_of(out) / MANIFEST).unlink()


def _against_its_rows(out: Path) -> None:
    _edited(out)
    sealed(trial_of(out))


def _published_and_forged(out: Path) -> None:
    """Every trial as it is published, without a manifest; one number is not what its rows say."""
    for i in range(len(list((out / "trials").iterdir()))):
        for path in trial_of(out, i).iterdir():
            if path.name not in ("trial.json", "rows.safetensors"):
                path.unlink()
    _edited(out)


def _copied(out: Path) -> None:
    shutil.copytree(trial_of(out), out / "trials" / ("f" * 64))


def _bad_name(out: Path, name: str) -> None:
    shutil.copytree(trial_of(out), out / "trials" / name)


def _manifest_line(out: Path, line: str) -> None:
    folder = trial_of(out)
    (folder / MANIFEST).write_text(line, encoding="utf-8")


def _foreign_file(out: Path) -> None:
    (out / "trials" / "notes.txt").write_text("a", encoding="utf-8")


def _swapped(out: Path) -> None:
    first, second = trial_of(out), trial_of(out, 1)
    text = (first / "trial.json").read_bytes()
    (first / "trial.json").write_bytes((second / "trial.json").read_bytes())
    (second / "trial.json").write_bytes(text)
    sealed(first)
    sealed(second)


def damages() -> dict[str, Damage]:
    """Name -> damage."""
    found: dict[str, Damage] = {}
    for where, value in FIELDS:
        text = repr(value)
        found[f"{where} = {text[:40]} #{len(found)}"] = partial(change, where=where, value=value)
    for name in (*FILES, "run.json", "controls/*"):
        for words, content in CONTENTS.items():
            found[f"{name}: {words}"] = partial(hold, name=name, content=content)
        for words, make in KINDS.items():
            found[f"{name} {words}"] = partial(replace_by, name=name, make=make)
    for name in ("elbo.csv", "elbo.md", "elbo.tex", "controls", "trials", "figures"):
        for words, make in KINDS.items():
            found[f"{name} {words}"] = partial(replace_by, name=name, make=make)
    for name in ("trial", "trials", "controls", "figures"):
        found[f"{name} is a link to a whole folder outside"] = partial(moved_out, name=name)
    return found | {
        "an ELBO is edited": _edited,
        "an ELBO is edited and the manifest deleted": _without_manifest,
        "an ELBO is edited, the manifest fits, its rows do not": _against_its_rows,
        "a published copy is edited": _published_and_forged,
        "a trial is copied under another key": _copied,
        "a trial's folder has another name": partial(_bad_name, name="best"),
        "a trial's folder has control letters": partial(_bad_name, name="\x1b[31m"),
        "a trial's folder has 200 letters": partial(_bad_name, name="a" * 200),
        "the manifest names a file outside": partial(
            _manifest_line, line=f"{'0' * 64}  ../../../{SECRET}/secret.json\n"
        ),
        "the manifest names /dev/zero": partial(_manifest_line, line=f"{'0' * 64}  /dev/zero\n"),
        "the manifest names nothing": partial(_manifest_line, line="\n"),
        "a file lies among the trials": _foreign_file,
        "two trials are swapped": _swapped,
    }


DAMAGED_FOR_MERGE = [
    "an ELBO is edited",
    "an ELBO is edited and the manifest deleted",
    "an ELBO is edited, the manifest fits, its rows do not",
    "trial.json is a FIFO",
    "history.csv is a link that leads out",
    "rows.safetensors has 2 TB",
    "the manifest names a file outside",
    "figures.safetensors: cut off",
]
