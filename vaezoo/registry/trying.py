"""A stranger's plugin is tried in a process of its own before it comes into ours: what ends, hangs
or fills that process costs one line.

That it went well is kept, by the times of its files, so that it is not tried twice. Where a process
cannot be copied (Windows, or one with several threads, as notebooks have) there is no such trial.
"""

import hashlib
import importlib.util
import json
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from ..data.kept import user_cache
from .guard import Source, own_version, waited

ASLEEP = "vaezoo-asleep"  # the name of threads that only wait, as tqdm's TMonitor does
SLACK = 2.0  # seconds
LOOK = 1.0  # seconds after which a copy that says nothing is looked at
MEMORY = 2**32  # bytes that a plugin may take while it is imported
WAY = "3"  # of trying; by another one nothing is known
MOST_KEPT = 500  # plugins that are known to come in well
MOST_FILES = 2000  # of a package, whose times are looked at


class Died(Exception):
    """The process of a trial ended without an answer. Its text is the cause."""


def can_try() -> bool:
    """Whether this process can be copied: no other thread may hold a lock meanwhile."""
    busy = [t for t in threading.enumerate() if t.name != ASLEEP and type(t).__name__ != "TMonitor"]
    return hasattr(os, "fork") and len(busy) == 1


def tried(work: Callable[[], Any], seconds: float) -> Any:
    """What `work` gives, as JSON has it, in a copy of this process. What hangs there should be
    interrupted by itself after these seconds, and say where; a little later it is killed.

    Raises: Died.
    """
    reader, writer = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that are none of Python's
        child = os.fork()
    if child == 0:
        _work_and_end(work, writer)
    os.close(writer)
    try:
        answer = _line(reader, child, seconds + SLACK)
        # what has answered is stopped: threads or handlers of its own may keep it
        status = None if answer else _ended(child, 1.0)
    finally:
        os.close(reader)
        _kill(child)
    if not answer:
        raise Died(_cause(status, seconds))
    return json.loads(answer)


def _work_and_end(work: Callable[[], Any], writer: int) -> NoReturn:
    """What the copy does; it never comes back."""
    code = 1
    try:
        os.setsid()
        _close_descriptors()
        _limit_memory()
        answer = json.dumps(work()).encode() + b"\n"
        while answer:
            answer = answer[os.write(writer, answer) :]
        code = 0
    finally:
        os._exit(code)


def _close_descriptors() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def _limit_memory() -> None:
    import resource  # not on every system, as copies of a process are not

    import torch

    torch.set_num_threads(1)  # its others are not in the copy
    if torch.cuda.is_available():
        return  # CUDA reserves addresses by the terabyte
    with suppress(OSError, ValueError, AttributeError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _line(reader: int, child: int, seconds: float) -> bytes:
    """What the copy wrote; nothing where it ended or took too long, the time left out in which
    others had the processor.
    """
    found = b""
    begin = time.monotonic()
    while not found.endswith(b"\n"):
        left = begin + seconds + waited(child) - time.monotonic()
        if left <= 0:
            return b""
        if not select.select([reader], [], [], min(left, LOOK))[0]:
            continue
        piece = os.read(reader, 2**16)
        if not piece:
            return b""
        found += piece
    return found


def _ended(child: int, seconds: float) -> int | None:
    """How the copy ended; None where it still runs after these seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    return None


def _kill(child: int) -> None:
    """The copy and all that it started."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)


def _cause(status: int | None, seconds: float) -> str:
    if status is None:
        return f"is not done after {seconds:g} s (VAEZOO_PLUGIN_TIMEOUT)"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"ends the process that imports it by signal {signal.Signals(number).name}"
    return f"ends the process that imports it with exit code {os.waitstatus_to_exitcode(status)}"


def is_known(source: Source) -> bool:
    """Whether it was tried as it is now, and went well."""
    with suppress(OSError, ImportError, ValueError):
        return _place(source).is_file()
    return False


def keep(source: Source) -> None:
    """It was tried and went well. A folder that cannot be written to costs time alone."""
    with suppress(OSError, ImportError, ValueError):
        place = _place(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        kept = sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MOST_KEPT]:
            path.unlink(missing_ok=True)


def _place(source: Source) -> Path:
    about = [WAY, source.distribution, source.version, source.file, own_version(), sys.executable]
    for path in _files(source):
        state = path.stat()
        about.append(f"{path} {state.st_mtime_ns} {state.st_size}")
    name = hashlib.sha256("\0".join(about).encode()).hexdigest()[:32]
    return user_cache() / "tried" / name


def _files(source: Source) -> Iterator[Path]:
    """The files that it consists of: a loose one, or those of the package that it is in."""
    path = Path(source.file)
    if not source.distribution or not source.module:
        yield path
        return
    spec = importlib.util.find_spec(source.module.partition(".")[0])
    if spec is None:
        raise ImportError(source.module)
    folders = spec.submodule_search_locations
    if not folders:
        yield Path(spec.origin or path)
        return
    found = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    if len(found) > MOST_FILES:
        raise ImportError(f"{source.module} has too many files to look at")
    yield from found
