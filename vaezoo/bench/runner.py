"""The run: plans become trials on disk, tables and figures.

SIGINT, SIGTERM, SIGHUP and SIGQUIT stop the children; what is finished stays, and a later run goes
on.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType

from ..hooks import Executor
from ..registry.loading import Plugin
from .limits import Limits
from .logs.outbox import Outbox, closed
from .owners import beating
from .plan import Plan
from .price import Price
from .progress import AUTO, progress_of
from .records import Damaged, RunRecord, joined_sweeps
from .scheduling import Scheduler
from .signals import ENDS, answered
from .store import Json, Store, StoreError, to_json
from .summary import Summary
from .text import say
from .workers.machine import machine
from .workers.memory import share
from .workers.server import end_server

LOCAL = "local"  # the executor that trains on this machine
PACKAGES = ("vaezoo", "torch", "numpy", "scipy", "scikit-learn")  # whose versions run.json has


def run(
    plan: Plan,
    out: Path | str,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    progress: str = AUTO,
    command: str = "",
    figures: bool = True,
    executor: str = LOCAL,
    loggers: str = "",
    prices: Mapping[str, Price] | None = None,
    show_dataset: Callable[[str], object] = lambda _: None,
    memory: int | None = None,
) -> Summary:
    """Trains what is not finished yet, writes run.json, tables and figures, and says how it went.
    `prices`, by the trials' keys, tell how long it has left; `show_dataset` is called when the
    trials of one data set are there and others are not; `progress` is one of `progress.KINDS`. A
    trial may hold `memory` bytes: unless given, on this machine what is free, divided by `jobs`.
    `loggers` are those of `bench --log`: what goes wrong with them is a sentence on stderr.

    Raises: StoreError, before any training, where the folder cannot be written.
    """
    shown = progress_of(progress)
    chosen = _executor(plan, executor)
    named = _loggers(plan, loggers)
    store = _prepared(plan, out, command)
    side = _side_by_side(plan, chosen, jobs)
    bytes_each = _memory(executor, side) if memory is None else memory
    runner = Scheduler(
        plan,
        store,
        side,
        Limits(timeout, retries, bytes_each),
        shown,
        chosen,
        prices,
        show_dataset,
    )
    runner.outboxes = [Outbox(*logger, store.out) for logger in named]
    _go(runner)
    # of a run that was stopped the next one draws the figures
    _report(runner, figures and not runner.stop)
    return runner.summary


def _prepared(plan: Plan, out: Path | str, command: str) -> Store:
    """The folder, with its run.json."""
    store = Store(out)
    store.prepare()
    store.write("run.json", to_json(_run_record(plan, store, command).to_json()))
    return store


def _side_by_side(plan: Plan, executor: Executor, jobs: int | None) -> int:
    """How many trials run at a time: as many as were asked for, or as there is room for."""
    width = len(plan.trials) if executor.queues else cores(plan)
    return min(jobs or width, max(1, len(plan.trials)))


def _memory(executor: str, side: int) -> int:
    """Bytes that a trial may hold; 0, which is no limit, where it runs elsewhere."""
    return share(side) if executor.partition("[")[0] == LOCAL else 0


def _go(runner: Scheduler) -> None:
    """Runs all trials; however that ends, the folder is tidy and the loggers have all of it."""
    try:
        with _signals(runner), beating(runner.store.heart):
            runner.go()
    finally:
        runner.store.clear()
        for sentence in closed(runner.outboxes, bool(runner.stop)):
            say(sentence)


def _executor(plan: Plan, text: str) -> Executor:
    from ..registry.registry import load_registry

    chosen = load_registry(plan.source.plugins_dir).choose_executor(text)
    return chosen.entry.build(**chosen.values)


def _loggers(plan: Plan, text: str) -> list[tuple[Plugin, str, Json]]:
    """(plugin, name, options) of every logger; each is made once, which says what it lacks.

    Raises: SelectionError, Unsupported.
    """
    from ..registry.registry import load_registry

    if not text:
        return []
    found = load_registry(plan.source.plugins_dir).choose_loggers(text)
    for chosen in found:
        chosen.entry.build(**chosen.values)
    return [(one.entry.plugin, one.entry.name, dict(one.values)) for one in found]


def _report(runner: Scheduler, figures: bool) -> None:
    from .report.report import ReportError, report

    try:
        source = runner.plan.source
        report(runner.store.out, figures=figures, plugins_dir=source.plugins_dir)
    except StoreError as error:
        runner.fail(str(error))
    except ReportError:
        # else these say why there is no trial
        if not runner.summary.errors and not runner.summary.stopped_by:
            raise


def cores(plan: Plan) -> int:
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


def _run_record(plan: Plan, store: Store, command: str) -> RunRecord:
    from importlib.metadata import version

    before = _run_before(store)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return RunRecord(
        trials=tuple(trial.key for trial in plan.trials),
        first_started=before.first_started or now,
        last_started=now,
        command=command,
        request=plan.request,
        sweeps=joined_sweeps(before.sweeps, plan.request["set"]),
        columns={column["name"]: column for column in plan.columns},
        versions={name: version(name) for name in PACKAGES},
        machine=machine(plan.trials[0].device if plan.trials else "cpu"),
    )


def _signals(runner: Scheduler) -> AbstractContextManager[None]:
    """SIGINT and what else ends a program ask the run to stop; a second one stops it at once."""

    def ask(number: int, _frame: FrameType | None) -> None:
        if runner.stop:
            raise KeyboardInterrupt
        runner.stop = number
        end_server()  # its trials are of no use, and it may be loading for seconds

    return answered(("SIGINT", *ENDS), ask)
