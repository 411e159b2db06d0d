"""Child processes that do not import the user's main module.

The standard library's fork server runs the parent's main script again in every child, so that a
script without a main guard starts itself in its own children. Ours need nothing of it: what they
run is in vaezoo.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType
from typing import Any

from .server import is_ended, start_server

TRIES = 10  # a server that has just died refuses, until its keeper has ended
PAUSE = 0.1  # seconds between them

_MAIN = "__main__"
_HIDING = threading.Lock()


class MainlessProcess(ForkServerProcess):
    """A process of the fork server that is told of no main module."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # the name that multiprocessing calls
        for _ in range(TRIES - 1):
            if is_ended():
                break
            with suppress(OSError, EOFError):
                return _started(process_obj)
            time.sleep(PAUSE)
        return _started(process_obj)


def _started(process_obj: Any) -> Any:
    start_server()
    with _without_main():
        return ForkServerProcess._Popen(process_obj)


class MainlessContext(ForkServerContext):
    """multiprocessing, with such processes."""

    Process = MainlessProcess


@contextmanager
def _without_main() -> Iterator[None]:
    """Inside the block the main module is an empty one, without a file that could be run."""
    with _HIDING:
        main = sys.modules[_MAIN]
        sys.modules[_MAIN] = ModuleType(_MAIN)
        try:
            yield
        finally:
            sys.modules[_MAIN] = main
