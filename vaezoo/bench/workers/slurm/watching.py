"""One trial that was handed over, and what became of it.

Clocks of several machines are never compared: a driver watches for a beat that changes, by its own
clock.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...owners import age
from ...store import FINAL, Store
from ..worker import Task
from . import batch as files, queue
from .batch import Batch
from .job import SUPERSEDED
from .queue import GONE, PAUSED, RUNNING, STATUS, WAITING, Entry

SILENT = 45.0  # seconds without a beat, which comes every 5, until a running job counts as lost
SEEN = 15.0  # until other machines see what an ended job wrote
SENDING = 30.0  # that a driver may take between the ticket and the queue

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


def answered(one: Watched, batch: Batch) -> Answer | None:
    """What the job says of the trial, once what it wrote is seen here."""
    answer = files.answer_of(batch, one.key)
    if answer is None:
        return None
    if answer == SUPERSEDED:
        one.find()
        return None
    is_seen = "error" in answer or one.is_visible() or one.has_ended_for(SEEN)
    return answer if is_seen else None


def judged(one: Watched, batch: Batch, entry: Entry) -> Answer | None:
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
