"""log.txt, what a trial prints: whole, or its head and its tail where it is long."""

import ctypes
import os
import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

LOG = "log.txt"
END = 2**18  # bytes that are kept at each end
WHOLE = 2**20  # bytes up to which a log is kept whole
GROWN = 2**23  # and that the log of a running trial may take of the disk
BLOCK = 512  # bytes of a block, as stat(2) counts them
HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
TRIES = 20  # looks at a log that grows
_CUT = re.compile(rb"\n\[vaezoo: (\d+) bytes are left out here\]\n")


def silence(path: Path) -> None:
    """What this process prints from now on, C libraries included, goes to the file."""
    _flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def tell(path: Path) -> None:
    """Writes how the exception came about that is handled, whatever became of the streams."""
    _flush()
    with suppress(OSError), path.open("ab") as log:
        log.write(traceback.format_exc().encode("utf-8", "backslashreplace"))


def _flush() -> None:
    """What was printed and is still held, by C libraries too, goes where it belongs."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a plugin may have closed it, or put another thing there
            stream.flush()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def free(path: Path, most: int = GROWN) -> None:
    """Takes the middle of a log that is being written in off the disk where it has more bytes than
    this: it becomes a hole, and `settle` leaves it out. Nothing that is written meanwhile is lost.
    Where there are no holes (off Linux, and on some file systems) the log is shortened.
    """
    try:
        state = path.stat()
        gone = state.st_size - 2 * END
        if state.st_blocks * BLOCK <= most or gone <= 0:
            return
        with path.open("r+b") as log:
            is_done = _is_hole(log.fileno(), END, gone)
    except OSError:
        return
    if not is_done:
        shorten(path, most)


def _is_hole(file: int, start: int, size: int) -> bool:
    """Whether these bytes of the file could be made a hole."""
    if sys.platform != "linux":
        return False
    try:
        fallocate = ctypes.CDLL(None).fallocate
    except (OSError, AttributeError):
        return False
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    return bool(fallocate(file, HOLE, start, size) == 0)


def shorten(path: Path, most: int = WHOLE) -> None:
    """Leaves out the middle of a log that has more bytes than this, with a line that says how many.
    Whoever has it open for appending goes on after its end; of what is written in that very moment
    some may be lost.
    """
    try:
        if path.stat().st_size <= most:
            return
        with path.open("r+b") as log:
            cut, tail = _cut_and_tail(log)
            log.truncate(END)
        with path.open("ab") as log:
            log.write(cut + tail)
    except OSError:
        pass  # a log is not worth a trial


def _cut_and_tail(log: BinaryIO) -> tuple[bytes, bytes]:
    """The line that says how much is left out, and the tail; of a log that grows, its last one."""
    before = _CUT.match(log.read(END + 100), END)
    for _ in range(TRIES):
        size = log.seek(-END, os.SEEK_END) + END
        tail = log.read()
        if len(tail) == END == os.fstat(log.fileno()).st_size - size + END:
            break
    gone = size - 2 * END
    if before:
        gone += int(before[1]) - len(before[0])
    return b"\n[vaezoo: %d bytes are left out here]\n" % gone, tail[-END:]


def settle(path: Path) -> None:
    """The log as it stays: not too long, and a file that nobody has open, so that what a trial has
    left running does not write in it after its hash was taken.
    """
    if not path.is_file() or path.is_symlink():
        return
    shorten(path)
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(path.read_bytes())
    aside.replace(path)
