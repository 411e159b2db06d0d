"""The fork server of this process, below its keeper: started, started again, ended."""

import os
import signal
import threading
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from typing import Any

from .keeper import ASKED

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
PRELOAD = ["vaezoo.bench.workers.preload"]

_starting = threading.Lock()
_server: Any = forkserver._forkserver
_pinned: dict[str, str] = {}
_is_ended = threading.Event()  # no process is started any more, until a pool asks for it anew


def start_server(threads: int = 1, *, anew: bool = False) -> int:
    """The number of the keeper of a server that runs. The libraries' thread pools are pinned, to
    what the first server of this process had: they read these variables once, when they are loaded.

    Raises: ConnectionAbortedError where it was ended, unless it is wanted `anew`.
    """
    if anew:
        _is_ended.clear()
    with _starting:
        if _is_ended.is_set():
            raise ConnectionAbortedError("the fork server was ended")
        if not _pinned:
            _pinned.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        before = {name: os.environ.get(name) for name in (*_pinned, ASKED)}
        os.environ.update(_pinned | {ASKED: str(os.getpid())})
        try:
            forkserver.set_forkserver_preload(PRELOAD)
            # A Ctrl-C that comes while the server begins is for this process alone.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                _start_tracker()
                forkserver.ensure_running()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        return int(_server._forkserver_pid)


def _start_tracker() -> None:
    """The process that multiprocessing keeps account of semaphores with. A terminal that is closed
    tells its whole group: it must not be the first to go, for then a second one takes its place,
    which knows of none, and says so with a traceback.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGQUIT])
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_server() -> None:
    """Ends the server and all that it has forked, at once; the next pool starts another."""
    _is_ended.set()
    with suppress(ProcessLookupError, TypeError):  # gone, or never started
        os.kill(_server._forkserver_pid, signal.SIGTERM)


def is_ended() -> bool:
    """Whether it was ended, and is not wanted again so far."""
    return _is_ended.is_set()
