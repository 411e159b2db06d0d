"""The process of one logger: reads the events of the run, follows the folders of its trials, and
calls the logger. A trial with which the logger fails is left out from there on.

It imports no torch, and of plugins the logger's own file alone: it is there in a moment.
"""

import csv
import importlib.util
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hooks import Logger
from ..text import on_one_line

Json = dict[str, Any]
POLL = 0.2  # seconds between two looks
HISTORY = "history.csv"


@dataclass
class Followed:
    """A trial that the logger was told of."""

    handle: Any
    folder: Path
    told: int = 0  # epochs


class Sender:
    """Hands the trials of a run to one logger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read = 0  # bytes of the events
        self.trials: dict[str, Followed] = {}
        self.is_over = False
        self.has_failed = False
        self.logger: Logger | None = None
        self.out = folder

    def go(self) -> int:
        """Until the run has ended, or is gone. The exit code."""
        parent = os.getppid()
        while not self.is_over and os.getppid() == parent:
            self.take_events()
            for key in list(self.trials):
                self.guarded(key, lambda one: self.follow(one))
            time.sleep(POLL)
        return int(self.has_failed)

    def take_events(self) -> None:
        with (self.folder / "events.jsonl").open("rb") as file:
            file.seek(self.read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # half of it is written
                self.read += len(line)
                event = json.loads(line)
                getattr(self, f"on_{event.pop('event')}")(**event)

    def on_start(self, logger: str, options: Json, out: str, module: str, file: str) -> None:
        self.out = Path(out)
        self.logger = made(logger, options, module, Path(file))

    def on_began(self, trial: Json, folder: str) -> None:
        key = trial["key"]
        if key in self.trials:  # it is tried again
            self.guarded(key, lambda one: self.end(one, "failed", {}))
        self.trials[key] = Followed(None, Path(folder))
        self.guarded(key, lambda one: self.begin(one, trial))

    def begin(self, one: Followed, trial: Json) -> None:
        if self.logger:
            one.handle = self.logger.begin(trial, self.out)

    def on_ended(self, key: str, status: str, metrics: dict[str, float], folder: str) -> None:
        if key in self.trials:
            self.trials[key].folder = Path(folder)
            self.guarded(key, lambda one: self.end(one, status, metrics))
            self.trials.pop(key, None)

    def on_end(self) -> None:
        self.is_over = True

    def end(self, one: Followed, status: str, metrics: dict[str, float]) -> None:
        self.follow(one)
        if self.logger:
            self.logger.end(one.handle, status, metrics)

    def follow(self, one: Followed) -> None:
        """Hands on the epochs that are new."""
        for row in epochs_of(one.folder / HISTORY)[one.told :]:
            one.told += 1
            if self.logger:
                self.logger.epoch(one.handle, row)

    def guarded(self, key: str, act: Callable[[Followed], None]) -> None:
        try:
            act(self.trials[key])
        except Exception as error:
            traceback.print_exc()
            self.trials.pop(key, None)
            self.fail(f"failed: {in_words(error)}")

    def fail(self, sentence: str) -> None:
        self.has_failed = True
        with (self.folder / "failures.txt").open("a", encoding="utf-8") as file:
            file.write(f"{sentence}\n")


def in_words(error: Exception) -> str:
    return on_one_line(f"{type(error).__name__}: {error}")[:500]


def epochs_of(path: Path) -> list[dict[str, float]]:
    """The lines of a learning curve that are whole; none of a file that is not there yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return []
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    rows = [{name: (cell or "").strip("'") for name, cell in line.items()} for line in lines]
    return [{name: float(cell) for name, cell in row.items() if cell} for row in rows]


def made(name: str, options: Json, module: str, file: Path) -> Logger:
    """The logger of this name, from its module alone: a registry would load everything.

    Raises: LookupError where the module does not bring it any more.
    """
    for brought in _module(module, file).vaezoo_loggers():
        if isinstance(brought, Logger):
            if brought.name == name:
                return brought
        elif brought.__name__ == name:
            found: Logger = brought(**options)
            return found
    raise LookupError(f"{module or file} brings no logger {name!r}")


def _module(name: str, file: Path) -> Any:
    if name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise LookupError(f"{file} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    sender = Sender(Path(sys.argv[1]))
    try:
        return sender.go()
    except Exception as error:
        traceback.print_exc()
        sender.fail(f"could not begin: {in_words(error)}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
