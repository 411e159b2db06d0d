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


@contextmanager
def no_endings(module: str, file: str) -> Iterator[list[str]]:
    """Inside the block, handlers that this module, or the modules of its package, or the code of
    this file registers by `atexit` or `weakref` are noted; afterwards they are gone, and the list
    says so.
    """
    known = atexit.register
    finalize = weakref.finalize.__init__
    finalizers: list[weakref.finalize[Any, Any]] = []
    noted: list[Callable[..., Any]] = []
    said: list[str] = []
    package = module.partition(".")[0]

    def is_theirs(caller: dict[str, Any]) -> bool:
        is_inside = package and str(caller.get("__name__")).partition(".")[0] == package
        return bool(is_inside) or caller.get("__file__") == file

    def register(function: Any, *args: Any, **more: Any) -> Any:
        if not is_theirs(sys._getframe(1).f_globals):
            return known(function, *args, **more)
        # by an object of ours, for those of strangers may say that they equal anything
        noted.append(partial(function, *args, **more))
        known(noted[-1])
        return function

    def initialise(one: Any, *args: Any, **more: Any) -> None:
        finalize(one, *args, **more)
        if is_theirs(sys._getframe(1).f_globals):
            finalizers.append(one)

    vars(atexit)["register"] = register
    weakref.finalize.__init__ = initialise  # type: ignore[method-assign, assignment]
    try:
        yield said
    finally:
        vars(atexit)["register"] = known
        for function in noted:
            atexit.unregister(function)
        weakref.finalize.__init__ = finalize  # type: ignore[method-assign]
        for one in finalizers:
            one.atexit = False
        said += [NAME] * bool(noted or finalizers)
        # a timer that ends the process, which cannot be asked for
        faulthandler.cancel_dump_traceback_later()
