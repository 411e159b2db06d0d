"""What a running trial says of itself: its learning curve, and how far it is."""

import math
import time
from pathlib import Path

from ...training.budget import EpochLog
from ..records import HistoryRecord, ProgressRecord
from ..store import PROGRESS, to_json


class Reporter:
    """Writes the learning curve as it grows, and a small file that the progress bars read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = list[str]()
        self.last = 0.0

    def __call__(self, epoch: int, epochs: int, row: EpochLog) -> None:
        with (self.folder / "history.csv").open("a", encoding="utf-8") as file:
            if not self.names:
                self.names = list(row)
                file.write(",".join(self.names) + "\n")
            file.write(HistoryRecord.line(self.names, row))
        if time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            loss = row.get("validation_loss", math.nan)
            note(self.folder, ProgressRecord(epoch, loss))


def note(folder: Path, progress: ProgressRecord) -> None:
    """Says how far the trial of this folder is, in one step."""
    aside = folder / f".{PROGRESS}"
    aside.write_text(to_json(progress.to_json()))
    aside.replace(folder / PROGRESS)
