"""The descriptors of stdout and stderr, held while a stranger's code runs."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

MOST_SAID = 10_000  # bytes of what is printed that are kept


@contextmanager
def descriptors_aside(said: TextIO) -> Iterator[None]:
    """Inside the block, what is written to the descriptors 1 and 2 goes to a file; afterwards 0, 1
    and 2 are what they were, and `said` has it too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: _copy(number) for number in (0, 1, 2)}
    with tempfile.TemporaryFile() as file:
        try:
            for stream in (sys.__stdout__, sys.__stderr__):
                with suppress(Exception):  # it may be closed, or none
                    stream.flush()  # type: ignore[union-attr]
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            for number, copy in kept.items():
                if copy is not None:
                    os.dup2(copy, number)
                    os.close(copy)
            file.seek(0)
            said.write(file.read(MOST_SAID).decode(errors="replace"))


def _copy(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:  # it is closed
        return None
