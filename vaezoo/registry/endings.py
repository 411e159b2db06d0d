"""What a stranger's code wants done as the program ends is taken back: it could end it with another
exit code, or never.
"""

import atexit
import faulthandler
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

NAME = "what is done at the end"


@contextmanager
def no_endings(module: str, file: str) -> Iterator[list[str]]:
    """Inside the block, handlers that this module, or the modules of its package, or the code of
    this file registers by `atexit` are noted; afterwards they are gone, and the list says so.
    """
    known = atexit.register
    noted: list[Callable[..., Any]] = []
    said: list[str] = []
    package = module.partition(".")[0]

    def register(function: Any, *args: Any, **more: Any) -> Any:
        caller = sys._getframe(1).f_globals
        is_inside = package and str(caller.get("__name__")).partition(".")[0] == package
        if not (is_inside or caller.get("__file__") == file):
            return known(function, *args, **more)
        # by an object of ours, for those of strangers may say that they equal anything
        noted.append(partial(function, *args, **more))
        known(noted[-1])
        return function

    vars(atexit)["register"] = register
    try:
        yield said
    finally:
        vars(atexit)["register"] = known
        for function in noted:
            atexit.unregister(function)
        said += [NAME] * bool(noted)
        # a timer that ends the process, which cannot be asked for
        faulthandler.cancel_dump_traceback_later()
