"""What trials of one data set share, computed once and before them: its control rows, and what they
cache. A trouble here is a note: trials compute it themselves.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..data.words import in_words
from .claims import Claims
from .plan import Plan
from .progress import Progress
from .records import ControlRecord, Damaged
from .store import Json, Store, to_json
from .trial import Trial
from .workers.probe import prepare
from .workers.processes import pool_of, result_of

POLL = 0.05  # seconds between two looks


class Preparation:
    """Of the data sets of a plan, each by the one run that claims it."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        claims: Claims,
        progress: Progress,
        is_stopped: Callable[[], object],
    ) -> None:
        self.plan = plan
        self.store = store
        self.claims = claims
        self.progress = progress
        self.is_stopped = is_stopped

    def go(self, trials: Iterable[Trial]) -> None:
        """Prepares all data sets of these trials."""
        first: dict[str, Trial] = {}
        for trial in trials:
            if not trial.skip:
                first.setdefault(trial.controls, trial)
        for name, trial in first.items():
            claim = f"controls-{Path(name).stem}"
            waits = False
            while self.lacking(name, trial) and not self.is_stopped():
                if self.claims.take(claim):
                    self.prepare(name, trial)
                    self.claims.release(claim)
                    break
                if not waits:
                    waits = True
                    self.progress.say(
                        f"waiting for another run in {self.store.out}, which prepares "
                        f"{trial.dataset}"
                    )
                time.sleep(POLL)

    def lacking(self, name: str, trial: Trial) -> dict[str, str]:
        """The metrics, with their sources, whose control rows are not there."""
        return self.controls(name).lacks(trial.measures, self.plan.judged)

    def prepare(self, name: str, trial: Trial) -> None:
        """The control rows of one data set that are not there yet."""
        lacking = self.lacking(name, trial)
        if not lacking:  # another run has just made them
            return
        self.progress.say(f"preparing {trial.dataset}")
        answer = self.answer(trial, list(lacking))
        if "controls" in answer:
            # Read again: another run may have written while this one measured.
            there = self.controls(name)
            record = there.with_newer(answer["controls"], lacking, trial.dataset)
            self.store.write(name, to_json(record.to_json()))
        elif answer.get("error") and not self.is_stopped():
            self.progress.say(f"{trial.dataset}: no control rows ({answer['error']})")

    def answer(self, trial: Trial, lacking: list[str]) -> Json:
        """What the process says that measures the control rows."""
        try:
            with pool_of(1, threads=trial.threads) as pool:
                future = pool.schedule(prepare, args=[self.plan.source, trial, lacking])
                return self.wait(future)
        except (RuntimeError, EOFError, ConnectionError) as error:
            # the server of processes ended as one was asked of it, by a signal for instance
            return {"error": in_words(error)}

    def controls(self, name: str) -> ControlRecord:
        """The control rows that are there; a damaged file counts as none."""
        try:
            return ControlRecord.from_json(self.store.read_json(name))
        except Damaged:
            return ControlRecord()

    def wait(self, future: Any) -> Json:
        """The answer, or that the run was stopped."""
        while not future.done() and not self.is_stopped():
            time.sleep(POLL)
        return result_of(future) if future.done() else {"error": "stopped"}
