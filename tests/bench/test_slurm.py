"""The executor `slurm` without a Slurm: what it makes of squeue's answers and of its files.
tests/cluster/ has the rest.
"""

import json
import time
from dataclasses import replace

import pytest

from vaezoo.bench.runner import run
from vaezoo.bench.store import Store, to_json
from vaezoo.bench.workers.slurm import batch as files, clearing, queue, watching
from vaezoo.bench.workers.slurm.batch import Batch
from vaezoo.bench.workers.slurm.executor import Slurm, slurm as slurm_executor
from vaezoo.bench.workers.slurm.job import SUPERSEDED, _train
from vaezoo.bench.workers.slurm.queue import UNKNOWN, Entry
from vaezoo.bench.workers.slurm.sending import Wishes, _flags
from vaezoo.bench.workers.slurm.watching import AWAY, Watched, judged
from vaezoo.bench.workers.worker import Task
from vaezoo.registry.registry import SelectionError, load_registry

# What squeue 22.05 prints: two tasks of an array were cancelled before they ran, and share a line.
PRINTED = """vaezoo-a|N/A|CANCELLED|2
vaezoo-a|0|RUNNING|2_0
vaezoo-a|1|FAILED|2_1
vaezoo-b|N/A|PENDING|3
"""


def test_a_line_without_an_index_stands_for_all_that_have_none():
    found = queue.read(PRINTED)
    states = [found.of("vaezoo-a", index).state for index in range(4)]
    assert states == ["RUNNING", "FAILED", "CANCELLED", "CANCELLED"]
    assert found.of("vaezoo-b", 0) == Entry("3", "PENDING")
    assert found.of("vaezoo-c", 0) == UNKNOWN
    assert found.active == {"vaezoo-a", "vaezoo-b"}


def test_a_limit_that_the_warning_would_use_up_is_refused():
    """submitit's warning comes up to a minute early, and kills a job that has not begun."""
    with pytest.raises(SelectionError, match=r"slurm\[time=2\] is out of range: time is int ≥ 3"):
        load_registry().choose_executor("slurm[time=2]")
    chosen = load_registry().choose_executor("slurm[time=3,partition=gpu,sbatch='--nice=5']")
    assert chosen.values["partition"] == "gpu"
    assert _flags("--nice=5 --exclusive") == {"nice": "5", "exclusive": True}


def test_without_slurm_a_run_says_so_and_trains_nothing(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    summary = run(plan("good"), tmp_path / "out", executor="slurm", figures=False)
    assert (summary.exit_code, summary.trained) == (1, 0)
    assert "the executor slurm needs" in summary.errors[0]


@pytest.fixture
def task(plan, tmp_path):
    """A trial that is not trained, as a task."""
    made = plan("good")
    out = tmp_path / "out"
    (out / "trials").mkdir(parents=True)
    return Task(made.trials[0], made.source, out, out / "unused", made.columns)


@pytest.fixture
def batch(task):
    """The batch that has the trial's ticket."""
    batch = Batch(task.out, "a1")
    return given(batch, task)


def given(batch, task):
    batch.folder.mkdir(parents=True)
    batch.task(task.trial.key).write_text(to_json(task.to_json()))
    batch.write([[{"key": task.trial.key, "timeout": None}]])
    files.give_ticket(batch, task.trial.key)
    return batch


def watched(task):
    one = Watched(task, None, "")
    one.find()
    return one


def test_a_job_trains_a_trial_once_and_answers(task, batch):
    key = task.trial.key
    for _ in range(2):
        _train(batch, batch.jobs()[0], 1, 1)
        assert files.read(batch.answer(key)) == {"status": "done"}
        assert len(list(batch.folder.glob(f"task-{key}-*"))) == 1
        batch.answer(key).unlink()  # as if the job had died before it said so, and come back
    assert Store(task.out).is_finished(key)


def test_a_job_leaves_a_trial_whose_ticket_another_batch_has(task, batch):
    other = given(Batch(task.out, "b2"), task)
    one = watched(task)
    assert one.batch == other
    _train(batch, batch.jobs()[0], 1, 1)
    assert files.read(batch.answer(task.trial.key)) == SUPERSEDED
    assert not (task.out / "trials" / task.trial.key).exists()


def test_two_drivers_share_one_job(task, batch):
    """The second one finds the ticket of the first, and sends nothing."""
    path = batch.folder / "handed-over.json"
    path.write_text(to_json(task.to_json()))
    wishes = Wishes(1, 1, "", "", "", 60, 0.0, 0, 1, 0, "", "")
    second = Slurm(wishes, 1, 1000).submit(path, None)
    assert (second.batch, second.index) == (batch, 0)


ENDS = {
    "FAILED": "failed", "NODE_FAIL": "failed", "PREEMPTED": "failed", "CANCELLED": "cancelled",
    "TIMEOUT": "timeout", "OUT_OF_MEMORY": "oom",
}  # fmt: skip


@pytest.mark.parametrize("state", ENDS)
def test_a_job_that_ended_without_an_answer_gives_the_trial_its_status(
    task, batch, state, monkeypatch
):
    one = watched(task)
    assert judged(one, batch, Entry("7", "RUNNING")) is None
    one.is_known = True
    assert judged(one, batch, Entry("7", state)) is None, "what it wrote may still come"
    monkeypatch.setattr(watching, "SEEN", 0.0)
    answer = judged(one, batch, Entry("7", state))
    assert answer["status"] == ENDS[state]
    assert f"its job 7 ended as {state}" in answer["error"]


def test_a_job_that_died_before_this_driver_came_is_sent_again(task, batch, monkeypatch):
    monkeypatch.setattr(watching, "SEEN", 0.0)
    one = watched(task)
    assert judged(one, batch, Entry("7", "CANCELLED")) is None
    assert one.batch is None


def test_a_job_that_no_queue_knows_is_waited_for_while_it_may_be_on_its_way(
    task, batch, monkeypatch
):
    monkeypatch.setattr(watching, "SEEN", 0.0)
    one = watched(task)
    assert judged(one, batch, UNKNOWN) is None
    assert one.batch == batch
    monkeypatch.setattr(watching, "SENDING", -1.0)
    assert judged(one, batch, UNKNOWN) is None
    assert one.batch is None


@pytest.mark.parametrize("entry", [AWAY, UNKNOWN], ids=lambda entry: entry.state)
def test_a_heart_that_beats_is_believed_where_slurm_knows_nothing(task, batch, entry, monkeypatch):
    monkeypatch.setattr(watching, "SEEN", 0.0)
    monkeypatch.setattr(watching, "SENDING", -1.0)
    one = watched(task)
    for count in range(3):
        batch.beat(0).write_text(str(count))
        assert judged(one, batch, entry) is None
    assert one.batch == batch


def test_a_heart_that_stops_is_a_lost_trial_though_slurm_says_running(task, batch, monkeypatch):
    monkeypatch.setattr(watching, "SILENT", 0.05)
    monkeypatch.setattr(queue, "cancel", lambda *numbers: None)
    one = watched(task)
    assert judged(one, batch, Entry("7", "RUNNING")) is None, "it has not begun"
    batch.beat(0).write_text("1")
    assert judged(one, batch, Entry("7", "RUNNING")) is None
    time.sleep(0.1)
    assert judged(one, batch, Entry("7", "SUSPENDED")) is None, "a paused job is silent"
    assert judged(one, batch, Entry("7", "RUNNING")) is None
    time.sleep(0.1)
    answer = judged(one, batch, Entry("7", "RUNNING"))
    assert answer["status"] == "failed"
    assert "no sign of life" in answer["error"]
    assert judged(one, batch, Entry("7", "PENDING")) is None
    time.sleep(0.1)
    assert judged(one, batch, Entry("7", "RUNNING")) is None, "its next life has not begun"


def test_files_of_batches_are_removed_once_their_trials_are_in_place(task, batch):
    clearing.clear(task.out)
    assert batch.folder.is_dir(), "its trial is not there"
    place = task.out / "trials" / task.trial.key
    place.mkdir()
    (place / "trial.json").write_text(to_json(task.record("diverged").to_json()))
    clearing.clear(task.out)
    assert not (task.out / "slurm").exists()


@pytest.fixture
def bare(tmp_path):
    """A batch of which only the folder is there."""
    batch = Batch(tmp_path, "a1")
    batch.folder.mkdir(parents=True)
    return batch


@pytest.mark.parametrize("said", [
    None, 3, "x", {}, [3], [[3]], [[{}]], [[{"key": "../../x", "timeout": None}]],
    [[{"key": "a" * 64, "timeout": "soon"}]], {"key": "a" * 64},
])  # fmt: skip
def test_a_batch_that_is_none_of_ours_has_no_trials(bare, said):
    """Whoever can write in the folder can write this; a key is part of the names of files."""
    (bare.folder / files.BATCH).write_text(json.dumps(said))
    assert bare.jobs() == []
    assert bare.keys() == []
    assert bare.index_of("a" * 64) is None


@pytest.mark.parametrize("said", [None, 3, [], {"status": ["done"]}, {"status": None}, "x"])
def test_an_answer_that_is_none_of_ours_is_none(bare, said):
    bare.answer("a" * 64).write_text(json.dumps(said))
    assert files.answer_of(bare, "a" * 64) is None


@pytest.mark.parametrize("said", [None, 3, [], "../../x", "", "a" * 300, "/etc"])
def test_a_ticket_that_is_none_of_ours_is_nobodys(bare, said):
    (bare.out / "slurm" / ("a" * 64)).write_text(json.dumps(said))
    assert files.ticket(bare.out, "a" * 64) == ""


def test_a_run_that_finds_all_done_removes_what_a_killed_one_has_left(plan, tmp_path, monkeypatch):
    """Its driver died after the last trial was in place, and before it had tidied up."""
    tidied = []
    out = tmp_path / "out"
    run(plan("good"), out, jobs=1, figures=False)
    local = load_registry().choose_executor("local").entry.build()
    spied = replace(local, tidy=tidied.append)
    monkeypatch.setattr("vaezoo.bench.runner._executor", lambda *_: spied)
    run(plan("good"), out, jobs=1, figures=False)
    assert tidied == [out]
    assert slurm_executor().tidy is clearing.clear
