"""The driver's side: what is sent, and what is watched.

A driver that dies leaves its jobs, and the same command, given anywhere that sees the folder and
the cluster, watches them in its place.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ....hooks import Executor, ExecutorError, hookimpl
from ....hyperparameters import Count, NonNegative
from ...store import to_json
from ..worker import Task
from . import batch as files, queue
from .batch import Batch
from .clearing import clear
from .sending import SHORTEST, Wishes, must_be_here, send
from .watching import AWAY, Answer, Watched, answered, judged

LOOK = 2.0  # seconds between two looks at queue and folder
AGAIN = 10.0  # until sbatch is asked again
PATIENCE = 600.0  # that the controller may be away when jobs are to be sent

Minutes = Annotated[int, Field(ge=SHORTEST)]


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

        # One squeue and one listing a batch, however many trials there are.
        found = queue.ask(batch.job_name for batch in by_batch)
        for batch, ones in by_batch.items():
            has_answer = batch.answered()
            for one in ones:
                entry = found.of(batch.job_name, one.index) if found else AWAY
                is_answered = one.key in has_answer
                one.answer = answered(one, batch) if is_answered else judged(one, batch, entry)

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
    return Executor("slurm", one.submit, one.poll, one.cancel, one.session, queues=True, tidy=clear)


@hookimpl
def vaezoo_executors() -> list[Callable[..., Executor]]:
    return [slurm]
