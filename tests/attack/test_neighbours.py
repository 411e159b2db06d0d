"""Several runs of one folder, also in containers and on other machines: each trial is trained once,
and nobody loses what another one is at.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from vaezoo.bench import owners
from vaezoo.bench.claims import SILENT, Claims, holder
from vaezoo.bench.owners import BEAT, beating, is_alive, owner
from vaezoo.bench.sharing import Shared
from vaezoo.bench.store import Store

GONE = 2**22 + 1  # no process has this number
HERE = owner().partition("@")[2]
ELSEWHERE = "7.7@elsewhere.1.1"


@pytest.fixture
def trials(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "trials"
    folder.mkdir(parents=True)
    return folder


def claimed(trials: Path, by: str, what: str = "k", seconds: float = 0.0) -> Path:
    """A claim of a run, which was made so long ago."""
    path = trials / f".claim-{what}"
    path.write_text(by)
    _aged(path, seconds)
    return path


def _aged(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_claim_is_had_once_and_given_back(trials: Path):
    claims = Claims(trials)
    assert claims.take("k")
    assert claims.take("k")
    assert holder(trials / ".claim-k") == owner()
    claims.release("k")
    claims.release("k")
    assert not list(trials.iterdir())


@pytest.mark.parametrize("process", [f"{GONE}.1", f"{os.getpid()}.1"])
def test_a_claim_of_a_dead_run_is_taken_over_with_what_it_was_building(trials: Path, process: str):
    """Gone, or its number is another process's by now."""
    dead = f"{process}@{HERE}"
    claimed(trials, dead)
    building = trials / f".building-k-{dead}"
    building.mkdir()
    assert Claims(trials).take("k")
    assert holder(trials / ".claim-k") == owner()
    assert not building.exists()
    assert [path.name for path in trials.iterdir()] == [".claim-k"]


def test_a_claim_of_a_living_run_stays_however_old_it_is(trials: Path):
    parent = os.getppid()
    start = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    claimed(trials, f"{parent}.{start}@{HERE}", seconds=10 * SILENT)
    assert not Claims(trials).take("k")


def test_a_run_that_cannot_be_asked_lives_while_its_heart_beats(trials: Path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock that is decades behind
    claimed(trials, ELSEWHERE, seconds=SILENT + 60)
    heart = trials / f".run-{ELSEWHERE}"
    heart.write_text("")
    building = trials / f".building-k-{ELSEWHERE}"
    building.mkdir()
    assert not Claims(trials).take("k")
    _aged(heart, SILENT + 60)
    assert Claims(trials).take("k")
    assert building.exists(), "it may wake up, and finish what it began"


def test_a_claim_that_is_being_written_is_nobodys_to_take(trials: Path):
    claimed(trials, "")
    assert not Claims(trials).take("k")


def test_a_claim_that_a_third_run_took_over_first_is_put_back(trials: Path, monkeypatch):
    """Between the look at the dead run's name and the rename."""
    path = claimed(trials, f"{GONE}.1@{HERE}")
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if self == path:
            path.write_text(ELSEWHERE)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert not Claims(trials).take("k")
    assert holder(path) == ELSEWHERE
    assert [one.name for one in trials.iterdir()] == [".claim-k"]


def test_a_heart_beats_and_is_written_again_where_it_was_deleted(trials: Path, monkeypatch):
    monkeypatch.setattr("vaezoo.bench.owners.BEAT", 0.05)
    heart = trials / "heart"
    assert BEAT < SILENT / 20
    with beating(heart):
        for _ in range(2):
            end = time.monotonic() + 5
            while not heart.exists() and time.monotonic() < end:
                time.sleep(0.01)
            heart.unlink()


def test_a_process_that_has_ended_and_was_not_asked_about_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    end = time.monotonic() + 20
    while is_alive(str(child.pid)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(str(child.pid))
    assert child.wait() == 0


def test_a_full_disk_makes_nobody_old(trials: Path, monkeypatch):
    claimed(trials, ELSEWHERE)
    building = trials / f".building-k-{ELSEWHERE}"
    building.mkdir()
    write = Path.write_text

    def full(path: Path, *args: object, **named: object) -> int:
        if path.name.startswith(".now-"):
            raise OSError(28, "No space left on device")
        return write(path, *args, **named)

    monkeypatch.setattr(Path, "write_text", full)
    Store(trials.parent).sweep()
    assert building.exists()
    assert holder(trials / ".claim-k") == ELSEWHERE
    assert not Claims(trials).take("k")


def test_a_claim_that_cannot_be_written_is_in_nobodys_way(trials: Path, monkeypatch):
    monkeypatch.setattr("vaezoo.bench.claims.owner", lambda: "\udcff")  # which no file takes
    with pytest.raises(UnicodeEncodeError):
        Claims(trials).take("k")
    monkeypatch.undo()

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *why):
            raise OSError(28, "No space left on device")

        def write(self, text):
            return None

    opened = Path.open

    def full(path: Path, mode: str = "r", **named: object):
        file = opened(path, mode, **named)
        return Full() if mode == "x" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space"):
            Claims(trials).take("j")
    assert Claims(trials).take("j")


def test_a_claim_that_was_lost_in_sleep_stays_with_who_has_it(trials: Path):
    claims = Claims(trials)
    assert claims.take("k")
    claimed(trials, ELSEWHERE)
    claims.release("k")
    assert holder(trials / ".claim-k") == ELSEWHERE


def test_where_starts_are_not_told_the_heart_tells(trials: Path, monkeypatch):
    """A number may be a daemon's by now, as after the reboot of a machine without /proc."""
    monkeypatch.setattr("vaezoo.bench.owners._sees_itself", lambda: False)
    path = claimed(trials, f"{os.getpid()}.@{HERE}", seconds=2 * SILENT)
    assert Claims(trials).take("k")
    path.unlink()
    claimed(trials, f"{os.getpid()}.@{HERE}", what="j")
    assert not Claims(trials).take("j")


@pytest.mark.skipif(not shutil.which("ps"), reason="has no ps")
def test_after_a_reboot_off_linux_a_number_is_no_longer_the_run_s(trials: Path, monkeypatch):
    """The dead run may have had our own number, or that of a process which lives now."""
    monkeypatch.setattr(owners, "ON_LINUX", False)
    monkeypatch.setattr(owners, "_place", lambda: "mac..")
    owners._named.cache_clear()
    try:
        assert re.fullmatch(r"\d+\.\w{17,18}@mac\.\.", owner())
        for what, number in {"own": os.getpid(), "other": os.getppid()}.items():
            dead = f"{number}.MonJan500000001970@mac.."
            claimed(trials, dead, what)
            (trials / f".building-{what}-{dead}").mkdir()
            assert Claims(trials).take(what)
            assert holder(trials / f".claim-{what}") == owner()
        assert sorted(path.name for path in trials.iterdir()) == [".claim-other", ".claim-own"]

        lives = str(os.getppid())
        _, start = owners._stat(lives)
        claimed(trials, f"{lives}.{start}@mac..", "k", seconds=10 * SILENT)
        assert not Claims(trials).take("k")
    finally:
        owners._named.cache_clear()


def test_what_another_run_has_measured_less_of_is_measured_again(plan, tmp_path: Path):
    made = plan("good", "1")
    store = Store(tmp_path / "out")
    store.prepare()
    (trial,) = made.trials
    shared = Shared(store, lambda trial: False)
    shared.note(made.trials)
    (store.trials / trial.key).mkdir()
    (store.trials / trial.key / "trial.json").write_text("{}")
    store.is_finished = lambda key: True  # it lacks a metric alone
    assert shared.next(deque([(trial, 0)]), lambda trial: None) == (trial, 0)


def test_what_another_run_has_ended_is_taken_as_it_is(plan, tmp_path: Path):
    made = plan("good,other", "2")
    store = Store(tmp_path / "out")
    store.prepare()
    whole, failed, busy, free = made.trials
    shared = Shared(store, lambda trial: trial is whole)
    shared.note(made.trials)
    claimed(store.trials, ELSEWHERE, busy.key)
    (store.trials / failed.key).mkdir()
    (store.trials / failed.key / "trial.json").write_text("{}")  # of this minute

    ended = []
    left = deque((trial, 0) for trial in made.trials)
    assert shared.next(left, ended.append) == (free, 0)
    assert ended == [whole, failed]
    assert list(left) == [(busy, 0)]
    assert shared.next(left, ended.append) is None
    assert list(left) == [(busy, 0)]

    again = deque([(failed, 1)])  # what this run tried itself it tries again
    assert shared.next(again, ended.append) == (failed, 1)


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
has_namespaces = (
    shutil.which("unshare") is not None
    and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
)


@pytest.mark.skipif(not has_namespaces, reason="needs namespaces of processes")
@pytest.mark.parametrize("more", [["--mount-proc"], []])
def test_a_container_leaves_what_this_run_builds(trials: Path, more: list[str]):
    store = Store(trials.parent)
    building = store.building("k")
    building.mkdir()
    assert Claims(trials).take("k")
    look = (
        "import sys; from vaezoo.bench.store import Store; from vaezoo.bench.claims import Claims; "
        "s = Store(sys.argv[1]); s.prepare(); s.clear(); print(Claims(s.trials).take('k'))"
    )
    command = ["unshare", "--pid", "--fork", *more, sys.executable, "-c", look, str(store.out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    assert building.exists()


RUN = """
import sys
from vaezoo import registry
from vaezoo.bench.plan import Request, make_plan
from vaezoo.bench.runner import run
from vaezoo.bench.workers.probe import InProcess
from vaezoo.bench.workers.processes import Places

plugins, out = sys.argv[1:]
asked = Request("noted,fails", "tiny", "3", metrics=("quick", "looks"))
known = registry.load_registry(plugins)
plan = make_plan(known, asked, source=Places(plugins), probe=InProcess())
sys.exit(run(plan, out, jobs=1, figures=False).exit_code)
"""


@pytest.mark.slow
def test_three_runs_of_one_plan_train_every_trial_once(plugins, write_variant, tmp_path: Path):
    log = tmp_path / "log"
    note = f"progress == 0.0 and model.training and open({str(log)!r}, 'a').write('x')"
    write_variant("noted", step=note)
    write_variant("fails", step=f"{note}; 1 / 0")
    script = tmp_path / "script.py"
    script.write_text(RUN)

    def started(out: Path) -> subprocess.Popen:
        command = [sys.executable, str(script), str(plugins), str(out)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert started(alone).communicate(timeout=300)[1]
    once = len(log.read_text())
    log.unlink()
    runs = [started(shared) for _ in range(3)]
    said = [one.communicate(timeout=300)[1] for one in runs]
    assert [one.returncode for one in runs] == [1, 1, 1], said
    assert len(log.read_text()) == once
    assert not list(shared.rglob(".*"))
    for name in ("reconstruction.csv", "fid.csv", "fid.md"):
        assert _without_seconds(shared / name) == _without_seconds(alone / name)


def _without_seconds(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    if path.suffix != ".csv":
        return lines
    at = lines[0].split(",").index("train_seconds")
    return [",".join(line.split(",")[:at]) for line in lines]
