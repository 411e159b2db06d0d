"""Progress on stderr: one bar for the run and one for each running trial on a terminal, else a line
a finished trial.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .records import Damaged, ProgressRecord, Record, parsed
from .store import PROGRESS
from .trial import Trial

# without tqdm's own time left, which takes all trials for equally long
WHOLE = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


class Progress:
    """Bars where `shown` or where stderr is a terminal; lines elsewhere."""

    def __init__(self, shown: bool | None = None) -> None:
        self.has_bars = sys.stderr.isatty() if shown is None else shown
        self.whole: Any = None
        self.bars: dict[str, Any] = {}
        self.count = self.total = 0
        self.left = ""  # how long the run has still to go, in words; "" where nobody knows

    def start(self, total: int, finished: int) -> None:
        self.total = total
        self.count = finished
        if self.has_bars:
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
        """Each running trial's epoch, loss and time left."""
        if not self.has_bars:
            return
        for trial, folder in running:
            self._update(trial, state_of(folder))
        self.whole.set_postfix_str(self.left, refresh=False)
        self.whole.refresh()

    def _update(self, trial: Trial, state: ProgressRecord) -> None:
        if trial.key not in self.bars:
            total = trial.budget["epochs"]
            self.bars[trial.key] = tqdm(
                total=total,
                desc=f"  {trial.title}"[:48],
                unit="epoch",
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )
        bar = self.bars[trial.key]
        if state.stage:
            bar.set_postfix_str(f"measuring: {state.stage}")
        elif state.epoch:
            bar.set_postfix_str(f"validation loss {state.loss:.4g}", refresh=False)
            bar.update(state.epoch - bar.n)

    def done(self, trial: Trial, record: Record | None) -> None:
        """One trial has ended."""
        self.count += 1
        if trial.key in self.bars:
            self.bars.pop(trial.key).close()
        if self.whole is not None:
            self.whole.update()
        if self.whole is None or record is None or not record.is_done:
            ends = f"; {self.left}" if self.left else ""
            self.say(f"[{self.count}/{self.total}] {trial.title}: {_in_words(record)}{ends}")

    def say(self, line: str) -> None:
        if self.has_bars:
            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside the block something else is printed, and bars are not in its way."""
        if not self.has_bars:
            yield
            return
        with tqdm.external_write_mode(sys.stdout):
            yield

    def close(self) -> None:
        for bar in [*self.bars.values(), self.whole]:
            if bar is not None:
                bar.close()


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
