"""One trial in a process of its own: how it is, and how it ended."""

import json
import os
import shutil
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

from pebble import ProcessExpired

from ..owners import is_alive
from ..printed_log import LOG, free
from ..store import PID
from .memory import is_below, resident, resident_with_children
from .processes import result_of

GRACE = 3.0  # seconds that the answer of an ended process may be under way
FAMILY = 1.0  # seconds between two looks at what trials have started
GB = 1e9
LOST = 255  # the exit code of a process whose fork server is gone
VANISHED = {
    "status": "failed",
    "error": "the process ended with exit code 0 before the trial was finished",
}
CULPRIT = {
    "status": "failed",
    "error": "it ended the process that all trials are forked from, and with it its own",
}


class Running:
    """A trial that was handed over, begun or not."""

    def __init__(self, task: Path, limit: float | None) -> None:
        facts = json.loads(task.read_text(encoding="utf-8"))
        self.task = task
        self.limit = limit  # seconds
        self.most = int(facts.get("memory", 0))  # bytes; 0 for no limit
        self.folder = Path(facts["folder"])
        self.future: Any = None  # once it has begun
        self.server = 0  # the keeper of the server that it is forked from
        self.is_suspect = False  # it ran when a server died, and is tried again alone
        self.pid = ""
        self.peak = 0  # bytes
        self.verdict: dict[str, Any] = {}  # why it was ended
        self.ended: float | None = None  # when its process was first seen to have ended silently
        self.family_at = 0.0  # when what it has started was last looked at

    @property
    def is_done(self) -> bool:
        return self.future is not None and self.future.done()

    @property
    def is_lost(self) -> bool:
        """Whether it went with its fork server."""
        if not self.is_done or self.future.cancelled():
            return False
        error = self.future.exception()
        lost = isinstance(error, ProcessExpired) and error.exitcode == LOST
        return lost or isinstance(error, BrokenProcessPool)

    def answer(self) -> dict[str, Any]:
        """How it ended, with the most memory that it was seen to hold."""
        found = self.verdict or result_of(self.future)
        if found.get("status") == "timeout":
            found["error"] = f"ran past its limit of {self.limit:g} s"
        if found.get("status") == "oom" and self.peak:
            found["memory"] = self.peak
        return found

    def look(self) -> None:
        """Notes the process while its folder is there, its memory, and the length of its log."""
        with suppress(OSError, UnicodeError):
            self.pid = (self.folder / PID).read_text()[:20] or self.pid
        free(self.folder / LOG)
        if self.pid.isdecimal() and is_below(int(self.pid), self.server):
            self.weigh(int(self.pid))

    def weigh(self, pid: int) -> None:
        """Ends it where it holds more than it may."""
        held = resident(pid)
        now = time.monotonic()
        if now - self.family_at > FAMILY:
            self.family_at = now
            held = max(held, resident_with_children(pid))
        self.peak = max(self.peak, held)
        if not self.most or held <= self.most or self.verdict:
            return
        self.verdict = {
            "status": "oom",
            "error": f"it held {held / GB:.2f} GB of memory, more than the {self.most / GB:.2f} GB "
            "that a trial may (--memory)",
        }
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

    def has_vanished(self) -> bool:
        """Whether its process ended with exit code 0 and no answer, which pebble takes for a normal
        end.
        """
        if not self.pid or is_alive(self.pid):
            self.ended = None
            return False
        self.ended = self.ended or time.monotonic()
        return time.monotonic() - self.ended > GRACE

    def again(self) -> None:
        """As if it had not begun."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.future = None
        self.pid = ""
        self.ended = None
