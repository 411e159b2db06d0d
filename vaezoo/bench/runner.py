"""The run: every trial of a plan in a process of its own, a few side by side; what happens to one
costs only that one.

The parent trains nothing. It schedules, reads the small progress files that trials write, and gives
a trial that died a status: failed, timeout or oom. SIGINT and SIGTERM stop the children; what is
finished stays, and a later run goes on.
"""

import hashlib
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ..hooks import Executor
from ..hyperparameters import did_you_mean
from .plan import Plan, PlanError
from .progress import Progress
from .records import Damaged, RunRecord, joined_sweeps
from .store import Json, Store, StoreError, explained, to_json
from .trial import PROTOCOL, Trial
from .workers import worker
from .workers.probe import prepare
from .workers.processes import pool_of, result_of

POLL = 0.05  # seconds between two looks at the running trials


class Stopped(Exception):
    """The run was asked to stop while trials were running: leaving the session stops them."""


@dataclass
class Summary:
    """How a run ended. Exit code 0: every trial is done, or was skipped because its variant is
    `Unsupported` there.
    """

    counts: Counter[str] = field(default_factory=Counter)  # status -> trials
    trained: int = 0  # in this run
    reused: int = 0  # finished in an earlier one
    unmeasured: int = 0  # finished ones whose new metrics could not be measured
    refused: int = 0  # finished ones with numbers that cannot be
    stopped_by: int = 0  # signal
    # one sentence each, what kept the run from going on
    errors: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all well, 1 some trial did not end `done` or has a number that cannot be, 130 or 143
        after a signal.
        """
        if self.stopped_by:
            return 128 + self.stopped_by
        return int(
            bool(self.errors or self.unmeasured or self.refused)
            or any(n for status, n in self.counts.items() if status not in ("done", "skipped"))
        )

    def __str__(self) -> str:
        parts = [f"{n} {status}" for status, n in sorted(self.counts.items()) if n]
        done = ", ".join(parts) or "nothing done"
        ends = f"{done}; {self.trained} run now, {self.reused} found finished"
        return ends + (f"; {self.refused} with numbers that cannot be" if self.refused else "")


def run(
    plan: Plan,
    out: Path | str,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    progress: bool | None = None,
    command: str = "",
    figures: bool = True,
    executor: str = "local",
) -> Summary:
    """Trains what is not finished yet, writes run.json, tables and figures, and says how it went.

    Raises: StoreError, before any training, where the folder cannot be written.
    """
    store = Store(out)
    chosen = _executor(plan, executor)
    store.prepare()
    store.write("run.json", to_json(_run_record(plan, store, command)))
    runner = _Runner(
        plan, store, jobs or _cores(plan), timeout, retries, Progress(progress), chosen
    )
    try:
        with _signals(runner):
            runner.go()
    finally:
        store.clear()
    _report(runner, figures)
    return runner.summary


def _executor(plan: Plan, name: str) -> Executor:
    from ..registry.registry import load_registry

    known = load_registry(plan.source.plugins_dir).executors
    if name not in known:
        near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise PlanError(f"no executor is called {name!r}{near}")
    return known[name]


def _report(runner: "_Runner", figures: bool) -> None:
    from .report.report import report

    try:
        source = runner.plan.source
        report(runner.store.out, figures=figures, plugins_dir=source.plugins_dir)
    except StoreError as error:
        runner.fail(str(error))


class _Runner:
    def __init__(
        self,
        plan: Plan,
        store: Store,
        jobs: int,
        timeout: float | None,
        retries: int,
        progress: Progress,
        executor: Executor,
    ) -> None:
        self.executor = executor
        self.plan = plan
        self.store = store
        self.jobs = jobs
        self.timeout = timeout
        self.retries = retries
        self.progress = progress
        self.summary = Summary()
        self.stop = 0
        self.again: set[str] = set()  # keys of trials that are measured again, not trained

    def go(self) -> None:
        """All trials of the plan, those that are finished taken as they are."""
        finished = {trial.key for trial in self.plan.trials if self.store.is_finished(trial.key)}
        unmeasured = {trial.key for trial in self.plan.trials if self.lacks(trial)} & finished
        self.summary.reused = len(finished - unmeasured)
        self.again = {key for key in unmeasured if self.store.has_weights(key)}
        finished -= unmeasured
        left = [trial for trial in self.plan.trials if trial.key not in finished]
        self.progress.start(len(self.plan.trials), len(finished))
        try:
            for trial in (t for t in left if t.skip):
                self.commit_dead(trial, {"status": "skipped", "error": trial.skip})
            self.prepare_data([trial for trial in left if not trial.skip])
            self.train(deque((trial, 0) for trial in left if not trial.skip))
        except Stopped:
            pass
        except OSError as error:
            self.fail(explained(error, self.store.out))
        finally:
            self.progress.close()
            records = [self.store.read(trial.key) for trial in self.plan.trials]
            self.summary.counts = Counter(one.status if one else "not run" for one in records)
            self.summary.refused = sum(bool(one and one.has_refused) for one in records)
            self.summary.stopped_by = self.stop

    def lacks(self, trial: Trial) -> bool:
        """Whether a trial that is there lacks a metric, or has it by other code."""
        record = self.store.read(trial.key)
        return record is not None and bool(record.lacks(trial.measures))

    def prepare_data(self, trials: list[Trial]) -> None:
        """What trials of one data set share, computed once. A trouble here is a note: trials
        compute it themselves.
        """
        judged = {"samples", "imputation"}  # what control rows stand beside
        first = {
            control_name(trial): trial
            for trial in reversed(trials)
            if judged & set(trial.metrics or judged)
        }
        for name, trial in first.items():
            if self.stop or (self.store.out / name).exists():
                continue
            self.progress.say(f"preparing {trial.dataset}")
            with pool_of(1, threads=trial.threads) as pool:
                answer = self.wait(
                    pool.schedule(prepare, args=[asdict(self.plan.source), asdict(trial)])
                )
            if answer.get("controls"):
                self.store.write(
                    name, to_json({"dataset": trial.dataset, "rows": answer["controls"]})
                )
            elif answer.get("error") and not self.stop:
                self.progress.say(f"{trial.dataset}: no control rows ({answer['error']})")

    def wait(self, future: Any) -> Json:
        while not future.done() and not self.stop:
            time.sleep(POLL)
        return result_of(future) if future.done() else {"error": "stopped"}

    def train(self, left: deque[tuple[Trial, int]]) -> None:
        """`jobs` trials side by side until none is left or the run is stopped."""
        if not left:
            return
        running: dict[Any, tuple[Trial, int]] = {}  # handle of the executor -> trial, attempt
        with self.executor.session(self.jobs, left[0][0].threads):
            while (left or running) and not self.stop and not self.summary.errors:
                while left and len(running) < self.jobs:
                    trial, attempt = left.popleft()
                    running[self.submit(trial)] = trial, attempt
                for handle in list(running):
                    answer = self.executor.poll(handle)
                    if answer is not None:
                        self.finish(*running.pop(handle), dict(answer), left)
                self.show(running.values())
                time.sleep(POLL)
            for handle in running:
                self.executor.cancel(handle)
            if running and self.stop:
                raise Stopped

    def show(self, running: Iterable[tuple[Trial, int]]) -> None:
        """The progress bars, from the small files that trials write."""
        self.progress.show([(trial, self.store.building(trial.key)) for trial, _ in running])

    def submit(self, trial: Trial) -> Any:
        """Hands the trial to the executor, as a file."""
        folder = self.store.building(trial.key)
        shutil.rmtree(folder, ignore_errors=True)
        task = {
            "source": asdict(self.plan.source),
            "trial": asdict(trial),
            "out": str(self.store.out.resolve()),
            "folder": str(folder.resolve()),
            "shared": self.shared(trial),
            "again": trial.key in self.again,
        }
        path = self.store.task(trial.key)
        path.write_text(to_json(task), encoding="utf-8")
        return self.executor.submit(path.resolve(), self.timeout)

    def finish(
        self, trial: Trial, attempt: int, answer: Json, left: deque[tuple[Trial, int]]
    ) -> None:
        """The trial's status: what it wrote itself, else what its process died of."""
        if "full" in answer:
            self.fail(
                f"cannot write in {self.store.out}: {answer['full']}; finished trials are kept, "
                "run it again to go on"
            )
            return
        if "error" in answer and not self.store.is_finished(trial.key):
            if answer["status"] == "timeout":
                answer["error"] = f"ran past its limit of {self.timeout:g} s"
            self.commit_dead(trial, answer)
        record = self.store.read(trial.key)
        if record is not None and record.lacks(trial.measures):
            why = answer.get("error") or f"it ended as {answer['status']}"
            self.progress.say(f"{trial.title}: not measured again ({why}); its old numbers stay")
            self.summary.unmeasured += 1
        if (record is None or record.status == "failed") and attempt < self.retries:
            left.append((trial, attempt + 1))
            return
        self.summary.trained += 1
        self.progress.done(trial, record)

    def commit_dead(self, trial: Trial, answer: Json) -> None:
        """Puts the trial in place from outside: it was skipped, or its process is dead."""
        folder = self.store.building(trial.key)
        folder.mkdir(exist_ok=True)
        record = {
            "status": answer["status"],
            "reason": answer["error"],
            "columns": list(self.plan.columns),
        }
        (folder / "trial.json").write_text(to_json(self.shared(trial) | record), encoding="utf-8")
        self.store.commit(folder, trial.key)

    def shared(self, trial: Trial) -> Json:
        """What trial.json says whatever the trial's end."""
        return {
            "key": trial.key,
            "variant": trial.variant,
            "dataset": trial.dataset,
            "ingredients": trial.ingredients,
            "controls": control_name(trial),
            "columns": list(self.plan.columns),
        }

    def fail(self, sentence: str) -> None:
        self.summary.errors.append(sentence)


def control_name(trial: Trial) -> str:
    """The file with the control rows of the trial's data set, by the content of all its splits."""
    hashes = trial.data["hashes"]
    content = hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode())
    return f"controls/{content.hexdigest()[:12]}-{slug(trial.spec['likelihood'])}.json"


def slug(text: str) -> str:
    """Letters, digits, dots and dashes alone, for a file's name."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def _cores(plan: Plan) -> int:
    """Trials side by side: one a core on the CPU, one on a GPU."""
    trial = plan.trials[0] if plan.trials else None
    if trial and trial.device != "cpu":
        return 1
    # others do not say
    mine = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, mine // (trial.threads if trial else 1))


def _run_before(store: Store) -> RunRecord:
    """run.json of an earlier run into this folder; a damaged one counts as none."""
    try:
        return RunRecord.from_json(store.read_json("run.json"))
    except Damaged:
        return RunRecord()


def _run_record(plan: Plan, store: Store, command: str) -> Json:
    from importlib.metadata import version

    before = _run_before(store)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    columns = {column["name"]: column for column in plan.columns}
    return {
        "protocol": PROTOCOL,
        "command": command or " ".join(["vaezoo", *sys.argv[1:]]),
        "request": plan.request,
        "sweeps": joined_sweeps(before.sweeps, plan.request["set"]),
        "columns": columns,
        "trials": [trial.key for trial in plan.trials],
        "versions": {
            name: version(name) for name in ("vaezoo", "torch", "numpy", "scipy", "scikit-learn")
        },
        "machine": worker.machine(plan.trials[0].device if plan.trials else "cpu"),
        "timestamps": {"first_started": before.first_started or now, "last_started": now},
    }


@contextmanager
def _signals(runner: _Runner) -> Iterator[None]:
    """SIGINT and SIGTERM ask the run to stop; a second one stops it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if runner.stop:
            raise KeyboardInterrupt
        runner.stop = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
