"""One file from an address, into a folder of its own: no more bytes than it may have, no slower
than is worth waiting for, and nothing left behind by a process that was killed.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from .words import cut, in_words

if TYPE_CHECKING:
    import requests

PATIENCE = 30.0  # seconds that an address may take beyond the time of its bytes
SLOWEST = 10_000  # bytes a second
PIECE = 2**16  # bytes
FETCHING = ".fetching-"  # how the name of a folder begins that a file is fetched into


class Stopped(OSError):
    """An address that serves too much, or too slowly."""


@dataclass
class Transfer:
    """A file on its way, in a thread: some steps of a connection cannot be interrupted."""

    url: str
    path: Path
    limit: int  # bytes
    done: int = 0  # bytes
    is_given_up: bool = False
    failed: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        """Writes the file. What goes wrong is in `failed`."""
        try:
            self._receive()
        except Exception as error:  # it is raised in the thread that waits
            self.failed.append(error)

    def _receive(self) -> None:
        with _session() as session, session.get(self.url, stream=True, timeout=PATIENCE) as answer:
            answer.raise_for_status()
            with self.path.open("wb") as file:
                for piece in answer.iter_content(PIECE):
                    self.done += len(piece)
                    if self.done > self.limit:
                        raise Stopped(
                            f"{self.url} serves more than the {self.limit:,} bytes that its "
                            "File(size=…) allows"
                        )
                    if self.is_given_up:
                        return
                    file.write(piece)


def _session() -> "requests.Session":
    """It asks once more where a connection ends before the answer: a server may close the one on
    which it sent us elsewhere just as it is used again.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    once_more = HTTPAdapter(max_retries=Retry(total=2, connect=1, read=1, status=0, other=0))
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, once_more)
    return session


def fetch(url: str, path: Path, limit: int) -> None:
    """Writes what the address serves to the file, `limit` bytes at most.

    Raises: OSError, ValueError, a sentence each.
    """
    transfer = Transfer(url, path, limit)
    thread = threading.Thread(target=transfer.run, daemon=True)
    start = time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        allowed = PATIENCE + transfer.done / SLOWEST
        if thread.is_alive() and time.monotonic() - start > allowed:
            transfer.is_given_up = True
            most = transfer.done + PIECE  # what came since the last whole piece is not seen
            raise Stopped(f"{url} gave less than {most:,} bytes in {allowed:.0f} s")
    for error in transfer.failed:
        if isinstance(error, OSError | ValueError):
            raise error
        # of the dozen libraries below, each has kinds of its own for an answer that is none
        raise Stopped(f"{url} gave no answer that can be read ({cut(in_words(error))})") from None


@contextmanager
def own_folder(cache: Path) -> Iterator[Path]:
    """A new folder to fetch into, inside the cache; those of processes that are dead are removed.

    A lock says who lives: the operating system opens it when its process ends, however it ends.
    """
    cache.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    handle, name = tempfile.mkstemp(prefix=FETCHING, suffix=".lock", dir=cache)
    open(handle, "rb").close()
    lock = Path(name)
    folder = lock.with_suffix("")
    with FileLock(lock):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _sweep(cache: Path) -> None:
    for folder in cache.glob(f"{FETCHING}*"):
        if not folder.is_dir():
            continue
        lock = folder.with_name(f"{folder.name}.lock")
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
        except (Timeout, OSError):  # it is being fetched into, or is not ours to remove
            continue
