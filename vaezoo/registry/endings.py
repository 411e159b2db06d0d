"""What a stranger's code wants done as the program ends is taken back: it could end it with another
exit code, or never.
"""

import atexit
import faulthandler
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

NAME = "what is done at the end"


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
    endings.watch()
    try:
        yield said
    finally:
        if endings.take_back():
            said.append(NAME)
        # a timer that ends the process, which cannot be asked for
        faulthandler.cancel_dump_traceback_later()
