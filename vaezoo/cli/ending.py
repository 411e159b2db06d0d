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
    """
    number = code if isinstance(code, int) else int(code is not None)
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are to end
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
    finally:
        os._exit(number)
