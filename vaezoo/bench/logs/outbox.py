"""What the run tells its loggers: a file of events for each, and a process that reads it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...registry.loading import Plugin
from ..owners import owner
from ..printed_log import LOG, free, settle
from ..records import Record
from ..text import on_one_line
from ..trial import Json, Trial

FOLDER = "loggers"  # in the folder of the run: NAME-RUN/events.jsonl, log.txt, failures.txt
LINGER = 60.0  # seconds that a logger may take for the rest once all trials have ended
POLL = 0.05


class Outbox:
    """One logger of a run. Nothing here waits for it, but for `close`."""

    def __init__(self, plugin: Plugin, name: str, options: Json, out: Path) -> None:
        self.name = name
        self.folder = out / FOLDER / f"{name}-{owner()}"  # another run may log by it too
        self.folder.mkdir(parents=True, exist_ok=True)
        self.events = self.folder / "events.jsonl"
        self.events.unlink(missing_ok=True)
        self.failures = self.folder / "failures.txt"
        self.failures.unlink(missing_ok=True)
        # a loose file is found by its path, a module of a distribution by its name
        module = plugin.module if plugin.distribution else ""
        where = {"out": str(out.resolve()), "module": module, "file": plugin.file}
        self._write("start", logger=name, options=options, **where)
        self.log = self.folder / LOG
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vaezoo.bench.logs.sender", str(self.folder.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run, which lets it finish
            )

    def began(self, trial: Trial, folder: Path) -> None:
        """The trial is being built in this folder."""
        made_of = {"hyperparameters": trial.hyperparameters, "budget": trial.budget}
        names = {"variant": trial.variant, "dataset": trial.dataset, "seed": trial.seed}
        about = {"key": trial.key, **names, **made_of, "spec": trial.spec}
        self._write("began", trial=about, folder=str(folder.resolve()))

    def ended(self, trial: Trial, record: Record | None, folder: Path) -> None:
        """The trial is in place, in this folder, and has this record."""
        status = record.status if record else "failed"
        metrics = dict(record.metrics) if record else {}
        self._write(
            "ended", key=trial.key, status=status, metrics=metrics, folder=str(folder.resolve())
        )

    def _write(self, event: str, **facts: Any) -> None:
        with suppress(OSError), self.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **facts}) + "\n")

    def look(self) -> None:
        """What it prints takes no more of the disk than a trial's log may."""
        free(self.log)

    def finish(self) -> None:
        """All trials have ended."""
        self._write("end")

    def close(self, until: float, linger: float) -> Iterator[str]:
        """Waits for the process until then, ends it, and says what went wrong, in sentences."""
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(POLL)
        if self.process.poll() is None:
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            yield f"was not done {linger:g} s after the last trial, and was stopped"
        elif self.process.returncode:
            yield from self._said() or [f"died with exit code {self.process.returncode}"]
        self.events.unlink(missing_ok=True)
        with suppress(OSError):  # a full disk
            settle(self.log)

    def _said(self) -> list[str]:
        """What the process says went wrong, each sentence once."""
        try:
            lines = self.failures.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [on_one_line(line) for line in dict.fromkeys(lines)]


def closed(outboxes: Sequence[Outbox], is_stopped: bool) -> Iterator[str]:
    """Closes all of them; a sentence for each fault. A run that was stopped waits less."""
    linger = min(LINGER, 5.0) if is_stopped else LINGER
    until = time.monotonic() + linger
    for outbox in outboxes:
        outbox.finish()
    for outbox in outboxes:
        for why in outbox.close(until, linger):
            yield f"the logger {outbox.name} {why}; trials are as they were, see {outbox.log}"
