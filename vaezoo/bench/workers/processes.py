"""Processes for work that may crash or hang: a pebble pool whose workers are forked from a server
that has torch loaded.

Only plain values and frozen dataclasses of ours cross the border between processes.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from pebble import ProcessExpired, ProcessPool

from ...evaluation.failures import one_line
from .keeper import adopt, can_keep, die_with_parent
from .mainless import MainlessContext
from .server import end_server, start_server


@dataclass(frozen=True)
class Places:
    """Where a process finds plugins and data files."""

    plugins_dir: str | None = None
    data_dirs: tuple[str, ...] = ()
    offline: bool = False


@contextmanager
def pool_of(workers: int, *, threads: int = 1, fresh: bool = False) -> Iterator[ProcessPool]:
    """A pool of processes; with `fresh`, each task has a process of its own. Leaving it by an
    exception stops its tasks.
    """
    start_server(threads, anew=True)
    pool = ProcessPool(
        workers,
        max_tasks=int(fresh),
        initializer=_leave_with_parent,
        context=MainlessContext(),
    )
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        end_server()  # it may be loading still, or native code at work, which no request stops
        raise
    finally:
        if pool.active:
            pool.stop()
        pool.join()


def _leave_with_parent() -> None:
    """Ends this process when the runner is gone, however it went: a killed run leaves none, nor
    what this process has started, which is in its session.
    """
    with suppress(AttributeError, OSError):  # Windows has none
        os.setsid()
    adopt()
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        connection.wait([sentinel])
        with suppress(AttributeError, OSError):
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    # the name is that of `registry.trying`, which this process should not load for it
    threading.Thread(target=watch, daemon=True, name="vaezoo-asleep").start()


def end_session(pid: int) -> bool:
    """Ends what a process has left behind that is gone; whether it is gone. On Linux its keeper
    does, which needs no number that a trial has written.
    """
    if can_keep():
        return True
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        os.kill(pid, 0)
        return False  # it still runs, or its number is another's by now
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(pid, signal.SIGKILL)
    return True


def result_of(future: Any) -> dict[str, Any]:
    """What the task returned, or {"error": cause, "status": "failed" | "timeout" | "oom"} where it
    died.
    """
    try:
        # Not `result()`, which would raise here what a plugin has raised there: SystemExit too.
        error = future.exception()
    except CancelledError:
        return {"error": "it was not waited for", "status": "cancelled"}
    if error is None:
        return dict(future.result())
    if isinstance(error, FutureTimeout):
        return {"error": "ran past its time limit", "status": "timeout"}
    if isinstance(error, ProcessExpired):
        return _died(error.exitcode)
    return {"error": one_line(error), "status": "failed"}


def _died(code: int | None) -> dict[str, Any]:
    if code == -9:
        return {
            "error": "the process was killed (SIGKILL), most likely for want of memory",
            "status": "oom",
        }
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return {"error": f"the process ended {how} before the trial was finished", "status": "failed"}
