"""What runs in a Slurm job: some trials, a few of them side by side.

Only the standard library is imported here, and the heart beats before anything else is: torch may
take a minute to load from a file system that many jobs read.
"""

import os
import platform
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...owners import beating
from . import batch as files
from .batch import Batch

POLL = 0.1  # between two looks at the running trials
SUPERSEDED = {"superseded": True}  # the ticket is another batch's


@dataclass(frozen=True)
class Job:
    """The trials of one job of an array. submitit calls it on the node."""

    out: str
    batch: str
    index: int
    at_once: int  # trials side by side
    threads: int  # of each
    minutes: int  # the limit of the job

    def __call__(self) -> None:
        # submitit ignores SIGTERM, and a job that is cancelled would train on for half a minute.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        batch = Batch(Path(self.out), self.batch)
        with beating(batch.beat(self.index)):
            self._run(batch)

    def _run(self, batch: Batch) -> None:
        from submitit.core.utils import UncompletedJobError

        left = batch.jobs()[self.index]
        try:
            _train(batch, left, self.at_once, self.threads)
        except UncompletedJobError:  # submitit raises it where the limit is near for the last time
            limit = {"status": "timeout", "error": f"its job ran past {self.minutes} minutes"}
            for one in left:
                if not batch.answer(one["key"]).exists():
                    files.write(batch.answer(one["key"]), limit)
            raise

    def checkpoint(self) -> Any:
        """What submitit puts back into the queue when the limit is near: the same job, which leaves
        out what has ended.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _train(batch: Batch, trials: list[dict[str, Any]], at_once: int, threads: int) -> None:
    """Every trial that is still to be trained, each in a process of its own."""
    from ..local import Local

    local = Local()
    left = list(trials)
    running: dict[str, Any] = {}
    with local.session(at_once, threads):
        while left or running:
            while left and len(running) < at_once:
                one = left.pop(0)
                # Looked at when its turn comes: hours may have passed.
                if not _is_settled(batch, one["key"]):
                    running[one["key"]] = local.submit(_task(batch, one["key"]), one["timeout"])
            for key, handle in list(running.items()):
                answer = local.poll(handle)
                if answer is not None:
                    del running[key]
                    files.write(batch.answer(key), answer)
            time.sleep(POLL)


def _is_settled(batch: Batch, key: str) -> bool:
    """Whether the trial has its answer without training, which is written where it had none."""
    from ...store import Store

    if batch.answer(key).exists():
        return True
    if files.ticket(batch.out, key) != batch.name:
        files.write(batch.answer(key), SUPERSEDED)
        return True
    measures = files.read(batch.task(key))["trial"]["measures"]
    store = Store(batch.out)
    if not store.is_finished(key) or store.lacks(key, measures):
        return False
    record = store.checked(key)
    files.write(batch.answer(key), {"status": record.status})
    return True


def _task(batch: Batch, key: str) -> Path:
    """The trial's file for this life of the job. It is built in a folder of its own: an earlier
    life, on a node that Slurm has given up, may still be at it.
    """
    life = f"{platform.node()}-{os.getpid()}-{time.time_ns()}"
    path = batch.folder / f"task-{key}-{life}.json"
    folder = batch.folder / f"build-{key}-{life}"
    files.write(path, files.read(batch.task(key)) | {"folder": str(folder)})
    return path
