"""What a stranger's code wants done as the program ends is taken back: it could end it with another
exit code, or never.
"""

import atexit
import faulthandler
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

NAME = "what is done at the end"
# whose own handlers stay: those of pools and of temporary folders
KNOWN = ("concurrent.", "multiprocessing.", "tempfile", "logging")


class _Endings:
    """What code of a module, of the modules of its package, or of a file registers by `atexit` or
    `weakref`.
    """

    def __init__(self, module: str, file: str) -> None:
        self.package = module.partition(".")[0]
        self.file = file
        self.known = atexit.register
        self.finalize = weakref.finalize.__init__
        self.noted: list[Callable[..., Any]] = []
        self.finalizers: list[weakref.finalize[Any, Any]] = []

    def is_theirs(self, caller: dict[str, Any]) -> bool:
        """Whether these globals are of the code that is watched."""
        package = str(caller.get("__name__")).partition(".")[0]
        is_inside = bool(self.package) and package == self.package
        return is_inside or caller.get("__file__") == self.file

    def watch(self) -> None:
        """From now on what is registered is noted."""

        def initialise(one: Any, *args: Any, **more: Any) -> None:
            self.finalize(one, *args, **more)
            if self.is_theirs(sys._getframe(1).f_globals):
                self.finalizers.append(one)

        vars(atexit)["register"] = self.register
        weakref.finalize.__init__ = initialise  # type: ignore[method-assign, assignment]

    def register(self, function: Any, /, *args: Any, **more: Any) -> Any:
        """In place of `atexit.register`."""
        if not self.is_theirs(sys._getframe(1).f_globals):
            return self.known(function, *args, **more)
        # by an object of ours, for those of strangers may say that they equal anything
        ours = partial(function, *args, **more)
        self.noted.append(ours)
        self.known(ours)
        return function

    def take_back(self) -> bool:
        """Nothing is watched any more, and nothing noted is done; whether there was anything."""
        vars(atexit)["register"] = self.known
        for function in self.noted:
            atexit.unregister(function)
        weakref.finalize.__init__ = self.finalize  # type: ignore[method-assign]
        for one in self.finalizers:
            one.atexit = False
        return bool(self.noted or self.finalizers)


@contextmanager
def no_endings(module: str, file: str) -> Iterator[list[str]]:
    """Inside the block, handlers that this module, or the modules of its package, or the code of
    this file registers by `atexit` or `weakref` are noted; afterwards they are gone, and the list
    says so.
    """
    said: list[str] = []
    endings = _Endings(module, file)
    others = Others()
    endings.watch()
    try:
        yield said
    finally:
        found = [endings.take_back(), others.taken_back()]
        if any(found):
            said.append(NAME)
        # a timer that ends the process, which cannot be asked for
        faulthandler.cancel_dump_traceback_later()


class Others:
    """What is called at the end beside `atexit`: as threads are waited for, by multiprocessing, and
    handlers of logging that are closed.
    """

    def __init__(self) -> None:
        self.known = {id(one) for one, _, _ in _others()}

    def taken_back(self) -> bool:
        """Takes back what has come since then and is not of Python's own ways to work; whether
        there was any.
        """
        new = [one for one in _others() if id(one[0]) not in self.known and not _is_known(one[1])]
        for _, _, take in new:
            take()
        return bool(new)


def _others() -> Iterator[tuple[Any, Any, Callable[[], Any]]]:
    """(an entry, what it calls, how it is taken away), of what Python keeps in lists of its own."""
    of_threads: list[Any] = getattr(threading, "_threading_atexits", [])
    for call in list(of_threads):
        yield call, getattr(call, "func", call), partial(of_threads.remove, call)

    processes = sys.modules.get("multiprocessing.util")
    finalizers: dict[Any, Any] = getattr(processes, "_finalizer_registry", {})
    for key, one in list(finalizers.items()):
        yield one, one._callback, partial(finalizers.pop, key)

    handlers: list[Any] = getattr(logging, "_handlerList", [])
    for reference in list(handlers):
        yield reference, type(reference()), partial(handlers.remove, reference)


def _is_known(call: Any) -> bool:
    """Whether Python's own code is called."""
    home = getattr(call, "__module__", None)
    return call is type(None) or (isinstance(home, str) and home.startswith(KNOWN))
