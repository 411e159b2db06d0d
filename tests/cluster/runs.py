"""What both clusters are tried with: a driver that may be killed, its tables, and who trained what
when.
"""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

TRIALS = (
    "bench", "--variants", "vae,beta,ae,warmup", "--datasets", "digits[rows=200]", "--epochs", "2",
    "--metrics", "likelihood,reconstruction", "--importance-samples", "5", "--no-figures",
)  # fmt: skip
POLL = 0.2


class Drivers:
    """The drivers of a test, each in a session of its own; leaving it kills the last one."""

    def __init__(self, out: Path, environment: dict[str, str], *words: str) -> None:
        self.out = out
        self.environment = environment
        self.command = [sys.executable, "-m", "vaezoo", *TRIALS, "--out", str(out), *words]
        self.now: subprocess.Popen

    def __enter__(self) -> "Drivers":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.now.kill()
        self.now.wait()

    def start(self) -> None:
        """The same command, once more; what it prints is added to OUT.log."""
        with self.out.with_suffix(".log").open("ab") as log:
            self.now = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """The end of what they printed."""
        return self.out.with_suffix(".log").read_text()[-4000:]


def tables(out: Path) -> dict[str, list[list[str]]]:
    """The tables, without how long training took: that differs between any two runs."""
    found = {}
    for path in sorted(out.glob("*.csv")):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        kept = [i for i, name in enumerate(rows[0]) if "seconds" not in name]
        found[path.name] = [[row[i] for i in kept] for row in rows]
    return found


def wait_for(what, seconds: float):
    """What `what()` gives once it gives anything, and after how many seconds.

    Raises: AssertionError where it does not in time.
    """
    began = time.monotonic()
    while not (found := what()):
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(POLL)
    return found, time.monotonic() - began


def processes(setting: str) -> dict[int, tuple[str, str]]:
    """Process -> command line and environment, of those that have this setting in their own
    environment: nobody else's are found.
    """
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = "\0" + (path / "environ").read_text()
            command = (path / "cmdline").read_text()
        except (OSError, UnicodeError):
            continue
        if f"\0{setting}\0" in environment and int(path.name) != os.getpid():
            found[int(path.name)] = command, environment
    return found


def pid_in(path: Path) -> int:
    """The process that the file names; 0 where it has gone meanwhile."""
    try:
        return int(path.read_text() or 0)
    except OSError:
        return 0


def kill(pid: int) -> None:
    """SIGKILL, to what may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Watch:
    """When each trial was first seen in place, and each training of it to begin."""

    def __init__(self, out: Path, lives: str) -> None:
        self.out = out
        self.lives = lives  # a glob for folders called build-<key>-<life>
        self.finished: dict[str, float] = {}
        self.inodes: dict[str, set[int]] = {}
        self.trained: dict[str, tuple[str, float]] = {}  # life -> key, when
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.stop.wait(POLL / 2):
            now = time.monotonic()
            for path in self.out.glob("trials/[!.]*/trial.json"):
                if '"status": "done"' in path.read_text():
                    self.finished.setdefault(path.parent.name, now)
                    self.inodes.setdefault(path.parent.name, set()).add(path.stat().st_ino)
            for folder in self.out.glob(self.lives):
                key = folder.name.split("-")[1]
                self.trained.setdefault(folder.name, (key, now))

    def trained_twice(self) -> list[str]:
        """The keys of trials that a training of began after they were finished."""
        return [
            key for key, when in self.trained.values()
            if key in self.finished and when > self.finished[key]
        ]  # fmt: skip
