"""The executor `local`: each trial in a process of its own on this machine, a few side by side.

A trial may kill the server that all are forked from, and its neighbours with it. Those that ran are
tried again, one at a time: the one that does it again is the one that did it.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from ...hooks import Executor, hookimpl
from .processes import end_session, pool_of
from .running import CULPRIT, GRACE, VANISHED, Running
from .server import is_ended, start_server


class Local:
    """A pool of processes, open during a run."""

    def __init__(self) -> None:
        self.pools = ExitStack()
        self.pool: ProcessPool | None = None
        self.size = (1, 1)  # jobs, threads
        self.waiting: deque[Running] = deque()
        self.running: list[Running] = []
        self.ended: set[int] = set()  # processes of trials, whose session is to be ended

    @contextmanager
    def session(self, jobs: int, threads: int) -> Iterator[None]:
        self.size = (jobs, threads)
        with self.pools:
            try:
                yield
            finally:
                self.ended |= {int(one.pid) for one in self.running if one.pid.isdecimal()}
                self.pool = None
                self.waiting.clear()
                self.running.clear()
        end = time.monotonic() + GRACE
        while self.ended and time.monotonic() < end:
            self._end_sessions()
            time.sleep(0.02)
        self.ended.clear()

    def submit(self, task: Path, timeout: float | None) -> Running:
        """Each trial in a process of its own on this machine, `--jobs` side by side."""
        one = Running(task, timeout)
        self.waiting.append(one)
        self._begin()
        return one

    def poll(self, one: Running) -> dict[str, Any] | None:
        self._end_sessions()
        if one.future is None:
            self._begin()
        if one.future is None or is_ended():  # what was ended on purpose has no answer
            return None
        if not one.is_done:
            one.look()
            if not one.has_vanished():
                return None
            one.verdict = one.verdict or dict(VANISHED)
            one.future.cancel()
        elif one.is_lost and not one.verdict:
            return self._of_dead_server(one)
        self._leave(one)
        return one.answer()

    def cancel(self, one: Running) -> None:
        if one.future is None:
            with suppress(ValueError):
                self.waiting.remove(one)
        else:
            one.future.cancel()

    def _begin(self) -> None:
        """Begins what waits; a suspect alone."""
        while self.waiting and not is_ended():
            is_alone = self.waiting[0].is_suspect or any(one.is_suspect for one in self.running)
            if is_alone and self.running:
                return
            one = self.waiting.popleft()
            self.running.append(one)
            try:
                self._start(one)
            except (BrokenProcessPool, RuntimeError, OSError):
                # The server died while it was asked, and the pool with it.
                self._renew()
                if not is_ended():
                    self._start(one)

    def _start(self, one: Running) -> None:
        if self.pool is None:
            jobs, threads = self.size
            self.pool = self.pools.enter_context(pool_of(jobs, threads=threads, fresh=True))
        one.server = start_server()
        one.future = self.pool.schedule(_in_its_process, args=[str(one.task)], timeout=one.limit)

    def _renew(self) -> None:
        """Another pool: of one whose processes were killed nothing can be said."""
        if self.pool is not None:
            self.pool.stop()
            self.pool = None
        self.pools.close()

    def _of_dead_server(self, one: Running) -> dict[str, Any] | None:
        """The answer where it is known that this trial did it; else all that ran are suspects, and
        wait to be tried again.
        """
        victims = [other for other in self.running if other.is_lost or not other.is_done]
        self._renew()
        if one.is_suspect:
            self._leave(one)
            return dict(CULPRIT)
        for other in reversed(victims):
            self.running.remove(other)
            other.is_suspect = bool(other.pid)  # one that had not begun is none
            other.again()
            self.waiting.appendleft(other)
        self._begin()
        return None

    def _leave(self, one: Running) -> None:
        self.running.remove(one)
        if one.pid.isdecimal():
            self.ended.add(int(one.pid))

    def _end_sessions(self) -> None:
        self.ended = {pid for pid in self.ended if not end_session(pid)}


def _in_its_process(task: str) -> dict[str, Any]:
    """The trial of this file. Who only hands it over does not load torch."""
    from .task import run_task

    return run_task(task)


@hookimpl
def vaezoo_executors() -> list[Executor]:
    local = Local()
    return [Executor("local", local.submit, local.poll, local.cancel, local.session)]
