"""One folder and several machines: what another one builds is left alone, and a file system over a
network may lose an answer.
"""

import os
import time
from pathlib import Path

import pytest

from vaezoo.bench import store as module
from vaezoo.bench.owners import DAY, age, owner
from vaezoo.bench.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    return store


def built(store: Store, name: str) -> Path:
    folder = store.trials / name
    folder.mkdir()
    (folder / "history.csv").write_text("epoch")
    return folder


GONE = 2**22 + 1  # no process has this number


def test_only_what_is_provably_dead_is_removed(store):
    """A number says nothing where another kernel, or another namespace, gave it."""
    machine, boot, namespace = owner().partition("@")[2].rsplit(".", 2)
    itself, _, here = owner().partition("@")
    names = {
        f"{GONE}.1@{here}": False,
        f"{os.getpid()}.1@{here}": False,  # another process had our number
        f"{itself}@{here}": True,
        f"{GONE}.1@elsewhere.{boot}.{namespace}": True,
        f"{GONE}.1@{machine}.00000000.{namespace}": True,  # booted since, or another of this name
        f"{GONE}.1@{machine}.{boot}.1": True,  # in a container
        f"{GONE}@{machine}": True,  # as earlier versions said it
    }
    folders = {built(store, f".building-k-{name}"): stays for name, stays in names.items()}
    for name in names:
        (store.trials / f".task-k-{name}.json").write_text("{}")
        (store.trials / f".run-{name}").write_text("")
    store.prepare()
    assert {folder: folder.exists() for folder in folders} == folders
    for name, stays in names.items():
        assert (store.trials / f".task-k-{name}.json").exists() == stays
        assert (store.trials / f".run-{name}").exists() == stays


def test_tables_that_a_killed_run_was_writing_are_removed_and_nothing_of_others(store, tmp_path):
    itself, _, here = owner().partition("@")
    (store.out / "figures").mkdir()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (store.out / "link").symlink_to(elsewhere)
    names = {
        f".elbo.csv-{GONE}.1@{here}": False,
        f"figures/.a-b.png-{GONE}.1@{here}": False,
        f".elbo.md-{itself}@{here}": True,
        f".elbo.tex-{GONE}.1@another.1.1": True,
        f"link/.elbo.csv-{GONE}.1@{here}": True,
        ".mail-me@home": True,
        ".mail-1@home": True,
    }
    for name in names:
        (store.out / name).write_text("half")
    for name in (".mail-me@home", ".mail-1@home"):
        os.utime(store.out / name, (time.time() - 2 * DAY,) * 2)
    store.prepare()
    assert {name: (store.out / name).exists() for name in names} == names


def test_a_table_whose_writing_is_interrupted_leaves_nothing(store, monkeypatch):
    """As by a second Ctrl-C."""
    write = module.written

    def interrupted(path: Path, content: str | bytes) -> None:
        write(path, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "written", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write("elbo.csv", "whole")
    assert [path.name for path in store.out.iterdir()] == ["trials"]


def test_what_nobody_has_changed_for_a_day_is_dead_wherever_it_was_built(store):
    theirs = built(store, ".building-k-1@elsewhere")
    for path in (*theirs.iterdir(), theirs):
        os.utime(path, (time.time() - DAY - 60,) * 2)
    heart = store.trials / ".run-1@elsewhere"
    heart.write_text("")
    store.prepare()
    assert theirs.exists(), "its heart beats"
    os.utime(heart, (time.time() - DAY - 60,) * 2)
    store.prepare()
    assert not theirs.exists()
    assert not heart.exists()


def test_age_is_told_by_the_clock_of_the_file_system(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock that is decades behind
    assert -1 < age(file) < 60
    os.utime(file, (file.stat().st_mtime - 1000,) * 2)
    assert 999 < age(file) < 1060
    assert age(tmp_path / "none") == float("inf")


def test_a_rename_whose_answer_was_lost_is_done(store, monkeypatch):
    """NFS sends it again, and the second one finds no folder."""
    rename = Path.rename

    def twice(self, target):
        rename(self, target)
        return rename(self, target)

    folder = built(store, ".building-k-1")
    monkeypatch.setattr(module.Path, "rename", twice)
    store.commit(folder, "k")
    assert store.is_whole("k")
    assert not folder.exists()


def test_a_folder_that_is_gone_is_no_trial(store, monkeypatch):
    folder = built(store, ".building-k-1")

    def lost(self, target):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(module.Path, "rename", lost)
    with pytest.raises(FileNotFoundError):
        store.commit(folder, "k")
