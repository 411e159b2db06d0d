"""Every trial of a plan in a process of its own, a few side by side; what happens to one costs only
that one.

The parent trains nothing. It schedules, reads the small progress files that trials write, and gives
a trial that died a status: failed, timeout or oom.
"""

import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..hooks import Executor, ExecutorError
from .disk import explained
from .limits import Limits
from .logs.outbox import Outbox
from .plan import Plan
from .preparing import Preparation
from .price import Price
from .progress import Progress, state_of
from .records import Record
from .remaining import TimeLeft
from .sharing import Attempt, Shared
from .stacking import Stacking
from .store import FINAL, Json, Store, to_json
from .summary import Summary
from .trial import Trial
from .workers.memory import gpu_share
from .workers.worker import Task

POLL = 0.05  # seconds between two looks at the running trials


class Stopped(Exception):
    """The run was asked to stop while trials were running: leaving the session stops them."""


class Scheduler:
    """Takes the trials of a plan from planned to in place."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        jobs: int,
        limits: Limits,
        progress: Progress,
        executor: Executor,
        prices: Mapping[str, Price] | None = None,
        show_dataset: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.executor = executor
        self.plan = plan
        self.store = store
        self.jobs = jobs
        self.limits = limits
        self.progress = progress
        self.summary = Summary()
        self.stop = 0
        self.again: set[str] = set()  # keys of trials that are measured again, not trained
        self.prices = dict(prices or {})
        self.left = TimeLeft({}, self.prices, jobs)
        self.told = 0.0  # when the time left was last worked out
        self.outboxes: list[Outbox] = []
        self.show_dataset = show_dataset  # called once its trials are there, of all but the last
        self.shared = Shared(store, self.is_whole)
        self.preparation = Preparation(plan, store, self.shared.claims, progress, lambda: self.stop)
        self.stacking = Stacking(self.shared, self.is_measured_again, executor.queues)
        self.waits = False  # whether it was said that only other runs are at work

    def go(self) -> None:
        """All trials of the plan, those that are finished taken as they are."""
        finished = self.found()
        left = [trial for trial in self.plan.trials if trial.key not in finished]
        self.progress.start(len(self.plan.trials), len(finished))
        self.shared.note(left)
        try:
            skipped = [trial for trial in left if trial.skip]
            for trial in skipped:
                self.commit_dead(trial, {"status": "skipped", "error": trial.skip})
            self.progress.skipped(len(skipped))
            self.preparation.go(self.plan.trials)
            self.train(deque((trial, 0) for trial in left if not trial.skip))
        except Stopped:
            pass
        except OSError as error:
            self.fail(explained(error, self.store.out))
        except ExecutorError as error:
            self.fail(str(error))
        finally:
            self.shared.claims.release_all()
            self.progress.close()
            self.count()

    def count(self) -> None:
        """How the trials of the plan have ended, into the summary."""
        records = [self.store.read(trial.key) for trial in self.plan.trials]
        self.summary.counts = Counter(one.status if one else "not run" for one in records)
        self.summary.refused = sum(bool(one and one.has_refused) for one in records)
        self.summary.stopped_by = self.stop

    def found(self) -> set[str]:
        """The keys of trials that are finished; those that lack a metric are to be measured again,
        without training where their weights are there.
        """
        finished = {trial.key for trial in self.plan.trials if self.store.is_finished(trial.key)}
        unmeasured = {trial.key for trial in self.plan.trials if self.lacks(trial)} & finished
        self.again = {key for key in unmeasured if self.store.has_weights(key)}
        for key in self.again & self.prices.keys():
            self.prices[key] = replace(self.prices[key], epoch=0.0)
        self.summary.reused = len(finished - unmeasured)
        return finished - unmeasured

    def lacks(self, trial: Trial) -> bool:
        """Whether a trial that is there lacks a metric, or has it by other code, or damaged."""
        return bool(self.store.lacks(trial.key, trial.measures))

    def is_whole(self, trial: Trial) -> bool:
        """Whether the trial is there, with all that it is to be measured for."""
        return self.store.is_finished(trial.key) and not self.lacks(trial)

    def train(self, left: deque[Attempt]) -> None:
        """`jobs` trials side by side until none is left or the run is stopped."""
        if self.stop:
            return
        if not left:
            self.executor.tidy(self.store.out)
            return
        self.left.left |= {trial.key: trial for trial, _ in left}
        running: dict[Any, Attempt] = {}  # handle of the executor -> trial, attempt
        with self.executor.session(self.jobs, left[0][0].threads):
            while (left or running) and not self.stop and not self.summary.errors:
                self.begin(left, running)
                self.say_what_is_waited_for(len(left), bool(running))
                self.collect(left, running)
                self.show(running.values())
                for outbox in self.outboxes:
                    outbox.look()
                time.sleep(POLL)

            self.leave(running)

    def begin(self, left: deque[Attempt], running: dict[Any, Attempt]) -> None:
        """As many as there is room for; all of them where the executor is a queue."""
        while self.executor.queues or len(running) < self.jobs:
            one = self.next(left)
            if one is None:
                return
            beside = self.stacking.lead(one[0], left)
            running[self.submit(one[0], beside)] = one

    def collect(self, left: deque[Attempt], running: dict[Any, Attempt]) -> None:
        """Those that have ended since."""
        for handle in list(running):
            answer = self.executor.poll(handle)
            if answer is not None:
                self.finish(*running.pop(handle), dict(answer), left)

    def next(self, left: deque[Attempt]) -> Attempt | None:
        """The next trial that is to be begun. A queue has tickets of its own, and no claims."""
        if self.executor.queues:
            return left.popleft() if left else None
        return self.shared.next(left, self.take_over)

    def take_over(self, trial: Trial) -> None:
        """Another run has ended the trial."""
        self.summary.reused += 1
        self.left.left.pop(trial.key, None)
        self.ended(trial, self.store.read(trial.key))

    def say_what_is_waited_for(self, count: int, is_running: bool) -> None:
        """Once, where only other runs are at work."""
        waits = count > 0 and not is_running
        if waits and not self.waits:
            self.progress.say(f"waiting for other runs in {self.store.out}, which train the rest")
        self.waits = waits

    def leave(self, running: Iterable[Any]) -> None:
        """The run was stopped, or could not write. What still runs is of no use, unless it waits in
        a queue that outlives the run.
        """
        left = list(running)
        if left and self.stop and self.executor.queues:
            self.progress.say(
                f"{len(left)} trials stay with the executor {self.executor.name}; "
                "the same command finds them again"
            )
        else:
            for handle in left:
                self.executor.cancel(handle)
        if left and self.stop:
            raise Stopped

    def show(self, running: Iterable[Attempt]) -> None:
        """The progress bars, from the small files that trials write; none for a queue, which may
        hold thousands.
        """
        if self.executor.queues:
            return
        if self.progress.has_bars and time.monotonic() - self.told > 1.0:
            self.told = time.monotonic()
            self.progress.left = self.time_left()
        states = [(trial, self.store.building(trial.key)) for trial, _ in running]
        self.progress.show(states)

    def time_left(self) -> str:
        """How long the run has still to go, in words; "" for a queue, where nobody knows."""
        if self.executor.queues:
            return ""
        running = self.left.running(lambda key: state_of(self.store.building(key)).epoch)
        return self.left.words(running)

    def submit(self, trial: Trial, beside: tuple[Trial, ...]) -> Any:
        """Hands the trial to the executor, as a file, with those that are trained beside it."""
        folder = self.store.building(trial.key)
        shutil.rmtree(folder, ignore_errors=True)
        task = Task(
            trial,
            self.plan.source,
            self.store.out.resolve(),
            folder.resolve(),
            self.plan.columns,
            self.is_measured_again(trial.key),
            self.limits.memory,
            beside,
            gpu_share(trial.device, self.jobs) if self.executor.name == "local" else 0.0,
        )
        self.left.begun(trial.key)
        for outbox in self.outboxes:
            outbox.began(trial, folder)
        path = self.store.task(trial.key)
        path.write_text(to_json(task.to_json()), encoding="utf-8")
        timeout = self.limits.timeout
        limit = timeout and timeout * (1 + len(beside))
        return self.executor.submit(path.resolve(), limit)

    def is_measured_again(self, key: str) -> bool:
        """Whether the trial is there and lacks a metric alone, this run's or a neighbour's."""
        return key in self.again or (self.store.is_finished(key) and self.store.has_weights(key))

    def finish(self, trial: Trial, attempt: int, answer: Json, left: deque[Attempt]) -> None:
        """The trial's status: what it wrote itself, else what its process died of."""
        if "full" in answer:
            self.fail(
                f"cannot write in {self.store.out}: {answer['full']}; finished trials are kept, "
                "run it again to go on"
            )
            return
        if self.stacking.let_go(trial, left) and answer["status"] not in FINAL:
            self.shared.note([trial])  # what it wrote of the stack is no other run's
            left.append((trial, attempt))  # whichever of them it was, it is by itself now
            return
        if "error" in answer and not self.store.is_finished(trial.key):
            self.commit_dead(trial, answer)

        record = self.store.read(trial.key)
        self.note_unmeasured(trial, answer)
        if (record is None or record.status == "failed") and attempt < self.limits.retries:
            left.append((trial, attempt + 1))
            return
        self.shared.claims.release(trial.key)
        self.summary.trained += 1
        self.left.ended(trial, self.left.since(trial.key), record.epochs if record else 0)
        self.ended(trial, record)

    def ended(self, trial: Trial, record: Record | None) -> None:
        """Says how it went, with the tables of a data set that was waiting for it."""
        self.progress.left = self.time_left()
        self.progress.done(trial, record)
        for outbox in self.outboxes:
            outbox.ended(trial, record, self.store.trials / trial.key)
        others = {one.dataset for one in self.left.left.values()}
        if others and trial.dataset not in others:
            with self.progress.aside():
                self.show_dataset(trial.dataset)

    def note_unmeasured(self, trial: Trial, answer: Json) -> None:
        """Says it where a finished trial still lacks what it was to be measured for."""
        if self.lacks(trial):
            why = answer.get("error") or f"it ended as {answer['status']}"
            self.progress.say(f"{trial.title}: not measured again ({why}); its old numbers stay")
            self.summary.unmeasured += 1

    def commit_dead(self, trial: Trial, answer: Json) -> None:
        """Puts the trial in place from outside: it was skipped, or its process is dead."""
        folder = self.store.building(trial.key)
        folder.mkdir(exist_ok=True)
        held = {"memory": float(answer["memory"])} if "memory" in answer else {}
        record = Record.of(
            trial, answer["status"], self.plan.columns, reason=answer["error"], resources=held
        )
        (folder / "trial.json").write_text(to_json(record.to_json()), encoding="utf-8")
        self.store.commit(folder, trial.key)

    def fail(self, sentence: str) -> None:
        self.summary.errors.append(sentence)
