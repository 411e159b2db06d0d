"""log.txt, what a trial prints: whole, or its head and its tail where it is long."""

import os
import re
from pathlib import Path
from typing import BinaryIO

LOG = "log.txt"
END = 2**18  # bytes that are kept at each end
WHOLE = 2**20  # bytes up to which a log is kept whole
GROWN = 2**23  # and up to which that of a running trial may grow
TRIES = 20  # looks at a log that grows
_CUT = re.compile(rb"\n\[vaezoo: (\d+) bytes are left out here\]\n")


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
