"""How a file of a results folder is opened: anyone may have made it, so it is read only where it is
a plain file of a bearable size, and never through a link.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from .parsing import Damaged, parsed_text

MOST = 2**28  # bytes of arrays, curves and lists; the arrays of a trial's figures take some 10⁶
MOST_JSON = 2**25  # a trial takes some 4·10⁴, run.json of 10⁵ trials 7·10⁶
# O_NONBLOCK, for a pipe that nobody writes to would be waited for; not every system has all
NAMES = ("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
FLAGS = sum(getattr(os, name, 0) for name in NAMES)
NO_FILE = "it is no file"


@contextmanager
def opened(path: Path | str, most: int = MOST) -> Iterator[BufferedReader]:
    """The file, to be read.

    Raises: Damaged for a link, a folder, a pipe, or more than `most` bytes; FileNotFoundError.
    """
    try:
        with os.fdopen(os.open(path, FLAGS), "rb") as file:
            _size(file.fileno(), most)
            yield file
    except OSError as error:
        raise _explained(error) from None


def _size(descriptor: int, most: int) -> int:
    """Bytes of the file. Raises: Damaged where it is no plain file, or has more than `most`."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise Damaged(NO_FILE)
    if about.st_size > most:
        raise Damaged(f"it has {about.st_size} bytes, and {most} are the most")
    return about.st_size


def _explained(error: OSError) -> Exception:
    """Damaged with the reason in words; FileNotFoundError where there is no file."""
    if isinstance(error, FileNotFoundError):
        return error
    if isinstance(error, NotADirectoryError):
        return FileNotFoundError(*error.args)
    return Damaged(_why(error))


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a link, and links are not followed"
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return NO_FILE
    return f"it cannot be read: {error.strerror}"


def content_of(path: Path | str, most: int = MOST) -> bytes:
    """What the file holds. Raises: as `opened`."""
    try:
        descriptor = os.open(path, FLAGS)
        try:  # a report reads tens of thousands of them: no buffer, no file object
            size = _size(descriptor, most)
            pieces = [os.read(descriptor, size + 1)]
            while pieces[-1] and sum(map(len, pieces)) != size:
                pieces.append(os.read(descriptor, size + 1))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _explained(error) from None
    return b"".join(pieces)


def parsed(path: Path) -> Any:
    """The JSON in the file.

    Raises: Damaged for what is no JSON, NaN and infinities among it; FileNotFoundError.
    """
    return parsed_text(content_of(path, MOST_JSON))


def arrays_of(content: bytes) -> dict[str, Any]:
    """Name -> array, of what a file .safetensors holds.

    Raises: Damaged where it is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"it is no whole .safetensors file: {error}") from None
