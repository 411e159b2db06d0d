"""The driver's side: what is sent, what is watched, and what became of it.

A driver that dies leaves its jobs, and the same command, given anywhere that sees the folder and
the cluster, watches them in its place. Clocks of several machines are never compared: a driver
watches for a beat that changes, by its own clock.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ....hooks import Executor, ExecutorError, hookimpl
from ....hyperparameters import Count, NonNegative
from ...store import FINAL, Store, age, to_json
from ..worker import Task
from . import batch as files, queue
from .batch import Batch
from .job import SUPERSEDED
from .queue import GONE, PAUSED, RUNNING, STATUS, WAITING, Entry
from .sending import SHORTEST, Wishes, must_be_here, send

LOOK = 2.0  # seconds between two looks at queue and folder
SILENT = 45.0  # without a beat, which comes every 5 s, until a running job counts as lost
SEEN = 15.0  # until other machines see what an ended job wrote
SENDING = 30.0  # that a driver may take between the ticket and the queue
AGAIN = 10.0  # until sbatch is asked again
PATIENCE = 600.0  # that the controller may be away when jobs are to be sent

Minutes = Annotated[int, Field(ge=SHORTEST)]
Answer = dict[str, Any]
AWAY = Entry("", "AWAY")  # the controller does not answer


@dataclass(eq=False)
class Watched:
    """One trial that was handed over."""

    task: Task
    timeout: float | None
    ticket: str  # as this driver last read or wrote it
    batch: Batch | None = None  # None until it is sent
    index: int = 0
    is_known: bool = False  # this driver sent it, or saw it alive
    answer: Answer | None = None
    beat: str = ""
    beat_at: float | None = None  # when it last changed
    ended_at: float | None = None  # when its job was first seen to have ended

    @property
    def key(self) -> str:
        return self.task.trial.key

    @property
    def out(self) -> Path:
        return self.task.out

    def follow(self, batch: Batch, index: int) -> None:
        """From now on this job is the trial's."""
        self.ticket = batch.name
        self.batch = batch
        self.index = index
        self.is_known = False
        self.beat = ""
        self.beat_at = self.ended_at = None

    def find(self) -> None:
        """Follows the job that has the ticket, where it has not said how it ended; else the trial
        is to be sent.
        """
        self.batch = None
        self.ticket = files.ticket(self.out, self.key)
        batch = Batch(self.out, self.ticket)
        index = batch.index_of(self.key) if self.ticket else None
        if index is not None and not batch.answer(self.key).exists():
            self.follow(batch, index)

    def is_silent(self, batch: Batch) -> bool:
        """Whether its job has beaten, and no longer does."""
        now = time.monotonic()
        try:
            beat = batch.beat(self.index).read_text()
        except OSError:
            beat = self.beat
        if beat != self.beat:
            self.beat = beat
            self.beat_at = now
        return self.beat_at is not None and now - self.beat_at > SILENT

    def rest(self, is_paused: bool) -> None:
        """Its job does not run now. One that is paused beats on later; one that is in the queue
        begins anew, and what an earlier life of it left does not count as a beat.
        """
        self.ended_at = None
        self.beat_at = time.monotonic() if is_paused and self.beat_at is not None else None

    def has_ended_for(self, seconds: float) -> bool:
        """Whether its job was first seen to have ended so long ago."""
        self.ended_at = self.ended_at or time.monotonic()
        return time.monotonic() - self.ended_at > seconds

    def is_visible(self) -> bool:
        """Whether the finished trial is seen here. The folder is listed, since a shared file system
        keeps for a while that a file was not there.
        """
        return self.key in os.listdir(self.out / "trials")

    def is_finished(self) -> bool:
        """Whether the trial is in place, with all that it was to be measured for."""
        store = Store(self.out)
        record = store.read(self.key) if self.is_visible() else None
        is_there = record is not None and record.status in FINAL
        return is_there and not store.lacks(self.key, self.task.trial.measures)


class Slurm:
    """The trials that one driver watches."""

    def __init__(self, wishes: Wishes, per_job: int, array: int) -> None:
        self.wishes = wishes
        self.per_job = per_job
        self.array = array
        self.watched = list[Watched]()
        self.looked_at = -LOOK
        self.send_at = 0.0
        self.away_since: float | None = None  # sbatch has failed since then

    @contextmanager
    def session(self, jobs: int, threads: int) -> Iterator[None]:
        must_be_here()
        self.wishes = replace(self.wishes, jobs=jobs, threads=threads)
        yield
        for out in {one.out for one in self.watched}:
            clear(out)

    def submit(self, task: Path, timeout: float | None) -> Watched:
        """Each trial in a job of a Slurm cluster, in arrays."""
        one = Watched(Task.from_json(files.read(task)), timeout, "")
        one.find()
        self.watched.append(one)
        return one

    def poll(self, one: Watched) -> Answer | None:
        if time.monotonic() - self.looked_at > LOOK:
            self.look()
            self.looked_at = time.monotonic()
        return one.answer

    def cancel(self, one: Watched) -> None:
        if one.batch is not None:
            queue.cancel(f"--name={one.batch.job_name}")

    def look(self) -> None:
        """Sends what is to be sent, and asks the queue once for all the others."""
        waiting = [one for one in self.watched if one.answer is None]
        self.send([one for one in waiting if one.batch is None])
        by_batch: dict[Batch, list[Watched]] = {}
        for one in waiting:
            if one.batch is not None:
                by_batch.setdefault(one.batch, []).append(one)
        if not by_batch:
            return
        found = queue.ask(batch.job_name for batch in by_batch)
        for batch, ones in by_batch.items():
            answered = batch.answered()
            for one in ones:
                entry = found.of(batch.job_name, one.index) if found else AWAY
                is_answered = one.key in answered
                one.answer = _answered(one, batch) if is_answered else _judged(one, batch, entry)

    def send(self, waiting: list[Watched]) -> None:
        """Sends the trials that no other driver has sent meanwhile, in arrays."""
        if not waiting or time.monotonic() < self.send_at:
            return
        for one in waiting:
            if files.ticket(one.out, one.key) != one.ticket:
                one.find()
        left = [one for one in waiting if one.batch is None]
        size = self.array * self.per_job
        for start in range(0, len(left), size):
            why = self.send_array(left[start : start + size])
            if why:
                self.wait(why)
                return
        self.away_since = None

    def send_array(self, ones: list[Watched]) -> str:
        """One array; "" or why Slurm could not be asked now."""
        batch = Batch(ones[0].out, uuid.uuid4().hex[:12])
        batch.folder.mkdir(parents=True)
        jobs = [ones[i : i + self.per_job] for i in range(0, len(ones), self.per_job)]
        for one in ones:
            batch.task(one.key).write_text(to_json(one.task.to_json()), encoding="utf-8")
        batch.write([_to_do(job) for job in jobs])

        # The ticket first: a driver that dies here leaves a batch that is in no queue.
        for one in ones:
            files.give_ticket(batch, one.key)
            one.ticket = batch.name
        why = send(batch, len(jobs), self.wishes)
        for index, job in enumerate(jobs if not why else ()):
            for one in job:
                one.follow(batch, index)
                one.is_known = True
        return why

    def wait(self, why: str) -> None:
        """Raises: ExecutorError where the controller has been away for too long."""
        now = time.monotonic()
        self.away_since = self.away_since or now
        self.send_at = now + AGAIN
        if now - self.away_since > PATIENCE:
            raise ExecutorError(f"Slurm's controller has not answered for {PATIENCE:g} s: {why}")


def _to_do(job: list[Watched]) -> list[dict[str, Any]]:
    return [{"key": one.key, "timeout": one.timeout} for one in job]


def _answered(one: Watched, batch: Batch) -> Answer | None:
    """What the job says of the trial, once what it wrote is seen here."""
    answer = files.read(batch.answer(one.key))
    if answer is None:
        return None
    if answer == SUPERSEDED:
        one.find()
        return None
    is_seen = "error" in answer or one.is_visible() or one.has_ended_for(SEEN)
    return answer if is_seen else None


def _judged(one: Watched, batch: Batch, entry: Entry) -> Answer | None:
    """What became of a trial that its job has said nothing of yet; None while it may still end."""
    if entry.state in WAITING:
        one.is_known = True
        one.rest(entry.state in PAUSED)
        return None
    if entry.state in RUNNING or entry is AWAY:
        if not one.is_silent(batch):
            one.is_known = one.is_known or one.beat_at is not None
            return None
        queue.cancel(entry.number) if entry.number else None
        return _verdict(one, batch, {"status": "failed", "error": _silence(entry)})

    has_settled = one.has_ended_for(SEEN)
    if entry.state == GONE:
        is_beating = not one.is_silent(batch) and one.beat_at is not None
        if is_beating or age(batch.folder / files.BATCH) < SENDING:
            return None
    error = (
        f"its job {entry.number} ended as {entry.state} before the trial was finished; "
        f"what it printed is in {batch.folder}"
    )
    answer = {"status": STATUS.get(entry.state, "failed"), "error": error}
    return _verdict(one, batch, answer) if has_settled else None


def _silence(entry: Entry) -> str:
    where = f"its job {entry.number} is {entry.state}" if entry.number else "squeue does not answer"
    return f"lost: no sign of life for {SILENT:g} s, and {where}"


def _verdict(one: Watched, batch: Batch, answer: Answer) -> Answer | None:
    """The answer for a trial whose job is dead, unless the trial is there, or another job has it,
    or it died before this driver came: then it is sent again.
    """
    if one.is_finished():
        return {}
    if files.ticket(one.out, one.key) != batch.name:
        one.find()
        return None
    if not one.is_known:
        one.batch = None
        return None
    return answer


def clear(out: Path) -> None:
    """Removes the files of batches whose trials are all in place; the others keep what their jobs
    printed.
    """
    store = Store(out)
    done = []
    for batch in files.batches(out):
        keys = [one["key"] for job in batch.jobs() for one in job]
        records = [store.read(key) for key in keys]
        is_new = not keys and age(batch.folder) < SENDING
        if not is_new and all(record and record.status in FINAL for record in records):
            done.append((batch, keys))
    _let_end([batch for batch, _ in done])
    for batch, keys in done:
        shutil.rmtree(batch.folder, ignore_errors=True)
        for key in keys:
            if files.ticket(out, key) == batch.name:
                (out / "slurm" / key).unlink(missing_ok=True)
    with suppress(OSError):  # something is left in it
        (out / "slurm").rmdir()


def _let_end(batches: list[Batch]) -> None:
    """Waits a while for jobs that have done their work and are about to leave."""
    until = time.monotonic() + SEEN
    while batches and time.monotonic() < until:
        found = queue.ask(batch.job_name for batch in batches)
        if found is None or not found.active:
            return
        time.sleep(1.0)


def slurm(
    partition: str = "",
    account: str = "",
    qos: str = "",
    time: Minutes = 60,
    mem: NonNegative = 0.0,
    gpus: Annotated[int, Field(ge=0)] = 0,
    per_job: Count = 1,
    at_once: Count = 1,
    array: Count = 1000,
    requeue: Annotated[int, Field(ge=0)] = 3,
    setup: str = "",
    sbatch: str = "",
) -> Executor:
    """Each trial in a job of a Slurm cluster, in arrays of which --jobs run side by side.

    `time` is the limit of a job in minutes and `mem` its memory in GB. A job trains `per_job`
    trials, `at_once` of them side by side. It goes back to the queue up to `requeue` times where
    its limit is near, without the trials that have ended. `setup` is a line of shell for before it,
    `sbatch` has further flags such as "--exclude=n1". An array has at most `array` jobs.
    """
    wishes = Wishes(
        jobs=1,
        threads=1,
        partition=partition,
        account=account,
        qos=qos,
        minutes=time,
        memory=mem,
        gpus=gpus,
        at_once=at_once,
        requeue=requeue,
        setup=setup,
        sbatch=sbatch,
    )
    one = Slurm(wishes, per_job, array)
    return Executor("slurm", one.submit, one.poll, one.cancel, one.session, queues=True)


@hookimpl
def vaezoo_executors() -> list[Callable[..., Executor]]:
    return [slurm]
