"""How the program ends: with its own exit code, whatever the objects of strangers do as they go."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn


def end(code: Any) -> NoReturn:
    """Ends the process as Python does, but for its last step: there modules are taken apart, and
    the `__del__` of a plugin's object could end it with another exit code, or never.

    Each step is taken even where the one before was interrupted, as by Ctrl-C.
    """
    number = code if isinstance(code, int) else int(code is not None)
    waits_for_threads = threading._shutdown  # type: ignore[attr-defined]
    for step in (waits_for_threads, atexit._run_exitfuncs, _flush):
        with suppress(BaseException):
            step()
    os._exit(number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
