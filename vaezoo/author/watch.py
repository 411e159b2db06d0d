"""Which files a piece of code writes, seen by an audit hook of the interpreter."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

# An audit hook cannot be taken off again, so one stays and writes to whoever watches.
_watched: list[list[str]] = []
_audit_installed: list[bool] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or event != "open":
        return
    mode = arguments[1]
    if isinstance(mode, str) and set(mode) & set("wax+"):
        _watched[-1].append(str(arguments[0]))


@contextlib.contextmanager
def written() -> Iterator[list[str]]:
    """The files that are opened for writing inside the block."""
    if not _audit_installed:
        sys.addaudithook(_audit)
        _audit_installed.append(True)
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()
