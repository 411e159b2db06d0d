"""The executor `local`: each trial in a process of its own on this machine, a few side by side."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from ...hooks import Executor, hookimpl
from ..owners import is_alive
from ..store import PID
from .processes import end_session, pool_of, result_of

GRACE = 3.0  # seconds that the answer of an ended process may be under way
VANISHED = {
    "status": "failed",
    "error": "the process ended with exit code 0 before the trial was finished",
}


class Running:
    """One trial in a process."""

    def __init__(self, task: Path, future: Any, limit: float | None) -> None:
        self.future = future
        self.limit = limit  # seconds
        self.pid_file = Path(json.loads(task.read_text(encoding="utf-8"))["folder"]) / PID
        self.pid = ""
        self.ended: float | None = None  # when its process was first seen to have ended silently

    def answer(self) -> dict[str, Any]:
        """How it ended."""
        found = result_of(self.future)
        if found.get("status") == "timeout":
            found["error"] = f"ran past its limit of {self.limit:g} s"
        return found

    def look(self) -> None:
        """Notes the process, while its folder is there."""
        with suppress(OSError):
            self.pid = self.pid_file.read_text() or self.pid

    def has_vanished(self) -> bool:
        """Whether its process ended with exit code 0 and no answer, which pebble takes for a normal
        end.
        """
        self.look()
        if not self.pid or is_alive(self.pid):
            self.ended = None
            return False
        self.ended = self.ended or time.monotonic()
        return time.monotonic() - self.ended > GRACE


class Local:
    """A pool of processes, open during a run."""

    def __init__(self) -> None:
        self.pool: ProcessPool | None = None
        self.running: list[Running] = []
        self.ended: set[int] = set()  # processes of trials, whose session is to be ended

    @contextmanager
    def session(self, jobs: int, threads: int) -> Iterator[None]:
        with pool_of(jobs, threads=threads, fresh=True) as self.pool:
            try:
                yield
            except BaseException:
                self.pool.stop()
                raise
            finally:
                self.ended |= {int(one.pid) for one in self.running if one.pid.isdecimal()}
        self.pool = None
        end = time.monotonic() + GRACE
        while self.ended and time.monotonic() < end:
            self._end_sessions()
            time.sleep(0.02)
        self.running.clear()
        self.ended.clear()

    def submit(self, task: Path, timeout: float | None) -> Running:
        """Each trial in a process of its own on this machine, `--jobs` side by side."""
        assert self.pool is not None, "submitted outside of a session"
        future = self.pool.schedule(_in_its_process, args=[str(task)], timeout=timeout)
        running = Running(task, future, timeout)
        self.running.append(running)
        return running

    def _end_sessions(self) -> None:
        self.ended = {pid for pid in self.ended if not end_session(pid)}

    def poll(self, running: Running) -> dict[str, Any] | None:
        self._end_sessions()
        if running.future.done():
            self.running.remove(running)
            if running.pid.isdecimal():
                self.ended.add(int(running.pid))
            return running.answer()
        if running.has_vanished():
            running.future.cancel()
            return VANISHED
        return None

    def cancel(self, running: Running) -> None:
        running.future.cancel()


def _in_its_process(task: str) -> dict[str, Any]:
    """The trial of this file. Who only hands it over does not load torch."""
    from .task import run_task

    return run_task(task)


@hookimpl
def vaezoo_executors() -> list[Executor]:
    local = Local()
    return [Executor("local", local.submit, local.poll, local.cancel, local.session)]
