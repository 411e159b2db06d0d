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


def test_what_a_run_on_another_machine_builds_is_left_alone(store):
    """No process here has its number, which says nothing."""
    theirs = built(store, ".building-k-999999999@elsewhere")
    ours = built(store, f".building-k-999999999@{owner().partition('@')[2]}")
    old = built(store, ".building-k-999999999")  # as earlier versions named it
    task = store.trials / ".task-k-999999999@elsewhere.json"
    task.write_text("{}")
    store.prepare()
    assert [theirs.exists(), ours.exists(), old.exists(), task.exists()] == [
        True,
        False,
        False,
        True,
    ]


def test_what_nobody_has_changed_for_a_day_is_dead_wherever_it_was_built(store):
    theirs = built(store, ".building-k-1@elsewhere")
    for path in (*theirs.iterdir(), theirs):
        os.utime(path, (time.time() - DAY - 60,) * 2)
    store.prepare()
    assert not theirs.exists()


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
