"""Progress on stderr: one bar for the run and one for each running trial on a terminal, else a line
a finished trial; or lines of JSON, or nothing.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .records import Damaged, ProgressRecord, Record, parsed
from .store import PROGRESS
from .text import on_one_line
from .trial import Trial

# without tqdm's own time left, which takes all trials for equally long
WHOLE = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
# of a trial: no rate and no time since, so that its loss has room on 80 columns
EACH = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining} left{postfix}]"
BESIDES = 56  # columns that a bar, its counts and its loss take beside the name of the trial
EVERY = 5.0  # seconds between two lines of JSON on trials that run
AUTO = "auto"  # bars where stderr is a terminal, else plain
KINDS = (AUTO, "bars", "plain", "json", "quiet")


def progress_of(kind: str) -> "Progress":
    """Progress of this kind, one of `KINDS`.

    Raises: ValueError for another word.
    """
    if kind not in KINDS:
        raise ValueError(f"progress is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == AUTO:
        kind = "bars" if sys.stderr.isatty() else "plain"
    return {"bars": Bars, "plain": Progress, "json": JsonLines, "quiet": Quiet}[kind]()


class Progress:
    """A line a finished trial, without carriage returns: what a log file can hold."""

    has_bars = False  # whether running trials are shown, with the time left

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.left = ""  # how long the run has still to go, in words; "" where nobody knows

    def start(self, total: int, finished: int) -> None:
        self.total = total
        self.count = finished

    def show(self, running: list[tuple[Trial, Path]]) -> None:
        """Each running trial's epoch, loss and time left."""

    def skipped(self, trials: int) -> None:
        """So many are not trained, each with a reason that stands in the tables."""
        self.count += trials

    def done(self, trial: Trial, record: Record | None) -> None:
        """One trial has ended."""
        self.count += 1
        ends = f"; {self.left}" if self.left else ""
        self.say(f"[{self.count}/{self.total}] {trial.title}: {_in_words(record)}{ends}")

    def say(self, line: str) -> None:
        print(on_one_line(line), file=sys.stderr, flush=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside the block something else is printed, and what is shown is not in its way."""
        yield

    def close(self) -> None:
        """The run has ended."""


class Quiet(Progress):
    """Nothing."""

    def say(self, line: str) -> None:
        pass


class JsonLines(Progress):
    """A JSON object a line, for a program that watches: each has an "event", one of start, running,
    trial, note, end.
    """

    has_bars = True

    def __init__(self) -> None:
        super().__init__()
        self.told = 0.0

    def start(self, total: int, finished: int) -> None:
        super().start(total, finished)
        self._tell("start", trials=total, finished=finished)

    def show(self, running: list[tuple[Trial, Path]]) -> None:
        if time.monotonic() - self.told < EVERY:
            return
        self.told = time.monotonic()
        states = [(trial, state_of(folder)) for trial, folder in running]
        facts = [
            {
                **_named(trial),
                "epoch": state.epoch,
                "epochs": trial.budget["epochs"],
                "validation_loss": state.loss if state.epoch else None,
                "measuring": state.stage,
            }
            for trial, state in states
        ]
        self._tell("running", trials=facts, left=self.left)

    def done(self, trial: Trial, record: Record | None) -> None:
        self.count += 1
        status = record.status if record else "failed"
        facts: dict[str, Any] = {**_named(trial), "status": status, "done": self.count}
        if record and record.is_done:
            facts |= {"seconds": record.total_seconds, "best_epoch": record.best_epoch}
            column, value = record.leading or ({}, None)
            facts |= {"column": column.get("name", ""), "value": value}
        else:
            facts["reason"] = record.reason if record else "its folder is gone"
        self._tell("trial", **facts, trials=self.total, left=self.left)

    def say(self, line: str) -> None:
        self._tell("note", text=line)

    def close(self) -> None:
        self._tell("end", done=self.count, trials=self.total)

    def _tell(self, event: str, **facts: Any) -> None:
        super().say(json.dumps({"event": event, **facts}, ensure_ascii=False))


def _named(trial: Trial) -> dict[str, Any]:
    names = {"variant": trial.variant, "dataset": trial.dataset, "seed": trial.seed}
    return {"key": trial.key, **names}


class Bars(Progress):
    """For a terminal; only what goes wrong is a line."""

    has_bars = True

    def __init__(self) -> None:
        super().__init__()
        self.whole: Any = None
        self.bars: dict[str, Any] = {}

    def start(self, total: int, finished: int) -> None:
        super().start(total, finished)
        self.whole = tqdm(
            total=total,
            initial=finished,
            desc="trials",
            unit="trial",
            file=sys.stderr,
            dynamic_ncols=True,
            bar_format=WHOLE,
        )

    def show(self, running: list[tuple[Trial, Path]]) -> None:
        for trial, folder in running:
            self._update(trial, state_of(folder))
        self.whole.set_postfix_str(self.left, refresh=False)
        self.whole.refresh()

    def _update(self, trial: Trial, state: ProgressRecord) -> None:
        if trial.key not in self.bars:
            total = trial.budget["epochs"]
            self.bars[trial.key] = tqdm(
                total=total,
                desc=on_one_line(f"  {trial.title}")[: _room()],
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                bar_format=EACH,
            )
        bar = self.bars[trial.key]
        if state.stage:
            bar.set_postfix_str(f"measuring: {state.stage}")
        elif state.epoch:
            bar.set_postfix_str(f"validation loss {state.loss:.4g}", refresh=False)
            bar.update(state.epoch - bar.n)

    def skipped(self, trials: int) -> None:
        super().skipped(trials)
        self.whole.update(trials)

    def done(self, trial: Trial, record: Record | None) -> None:
        if trial.key in self.bars:
            self.bars.pop(trial.key).close()
        self.whole.update()
        if record is not None and record.is_done:
            self.count += 1
        else:
            super().done(trial, record)

    def say(self, line: str) -> None:
        tqdm.write(on_one_line(line), file=sys.stderr)

    @contextmanager
    def aside(self) -> Iterator[None]:
        with tqdm.external_write_mode(sys.stdout):
            yield

    def close(self) -> None:
        for bar in [*self.bars.values(), self.whole]:
            if bar is not None:
                bar.close()


def _room() -> int:
    """Letters of a trial's name that leave room for the rest of its bar."""
    return min(48, max(24, shutil.get_terminal_size().columns - BESIDES))


def _in_words(record: Record | None) -> str:
    if record is None:
        return "failed: its folder is gone"
    if not record.is_done:
        return f"{record.status}: {record.reason}"
    number = ""
    if record.leading:
        column, value = record.leading
        name = column["name"].replace("_", " ")
        number = f", {name} {value:.{column.get('digits', 2)}f} {column['unit']}".rstrip()
    return f"done in {record.total_seconds:.1f} s{number} (best epoch {record.best_epoch})"


def state_of(folder: Path) -> ProgressRecord:
    """How far the trial is; one that has written nothing yet has not begun."""
    try:
        return ProgressRecord.from_json(parsed(folder / PROGRESS))
    except (OSError, Damaged):
        return ProgressRecord()
