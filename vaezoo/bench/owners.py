"""Whose a file is that a run has not finished, in a folder that several machines and containers may
see.

A run is named `process.start@machine.boot.namespace`. Whether it lives can be asked where all after
the @ is ours: the same kernel, and the same numbers of processes. Elsewhere its heart tells: it
beats in a file beside, and beats are compared by the clock of the file system alone.

A number alone names another process after the next boot, or sooner. The start tells them apart: the
kernel's ticks on Linux, and the second that ps(1) gives elsewhere, where nobody says which boot it
was.
"""

import os
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

DAY = 86400.0  # seconds
BEAT = 5.0  # seconds between two signs of life
HEART = ".run-"  # before the name of a run: the file in which it beats
ZOMBIE = "Z"  # the state of a process that has ended
ON_LINUX = sys.platform == "linux"
PS = 10.0  # seconds that ps may take


def owner() -> str:
    """This run, among those of all machines and containers that see the folder."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{pid}.{_stat('self')[1]}@{_place()}"


@cache
def _place() -> str:
    """Where a number means the same process: machine, boot of its kernel, namespace of numbers."""
    machine = re.sub(r"[^\w.]", "_", platform.node())  # a dash divides names here
    boot = ""
    namespace = ""
    with suppress(OSError):  # Linux alone says them
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    return f"{machine}.{boot}.{namespace}"


def is_left(path: Path, owner: str, silence: float = DAY) -> bool:
    """Whether the run that made this file or folder is dead. One that cannot be asked counts as
    dead once neither it nor its heart has changed for these seconds.
    """
    process, _, place = owner.partition("@")
    if place == _place():
        number, _, start = process.partition(".")
        if not is_alive(number, start):
            return True
        if start and _can_ask():
            return False  # elsewhere a later process may have the number: its heart tells
    if age(path) <= silence:
        return False
    return age(path.with_name(HEART + owner)) > silence


def age(path: Path) -> float:
    """Seconds since the file, or anything in the folder, was written, by the clock of its file
    system, which is no machine's own; of a link since it was made. Infinite where there is none,
    and 0 where nobody can say: a full disk makes nobody old.
    """
    try:
        inside = [] if path.is_symlink() else list(path.glob("*"))
        times = [one.lstat().st_mtime for one in (path, *inside)]
    except FileNotFoundError:
        return 0.0 if path.exists() else float("inf")
    except OSError:
        return 0.0
    probe = path.parent / f".now-{owner()}"
    try:
        probe.write_text("now")
        return probe.stat().st_mtime - max(times)
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def is_alive(pid: str, start: str = "") -> bool:
    """Whether the process runs; with `start`, the one that began then and not a later one of its
    number.
    """
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    # ps is a process of its own, too much for a look at whether a trial still runs
    state, began = _stat(pid) if (_can_ask() if ON_LINUX else start) else ("", "")
    return state != ZOMBIE and not (start and began and start != began)


def _stat(pid: str) -> tuple[str, str]:
    """State and start of a process, in ticks since its kernel began; empty where nobody says."""
    if not ON_LINUX:
        return _told_by_ps(str(os.getpid()) if pid == "self" else pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""


def _told_by_ps(pid: str) -> tuple[str, str]:
    """State and start of a process as ps(1) has it: "S" and "TueDec10241052026"; empty where
    nobody says.
    """
    command = ["ps", "-o", "state=", "-o", "lstart=", "-p", pid]
    alike = os.environ | {"LC_ALL": "C", "TZ": "UTC"}  # whoever asks
    try:
        told = subprocess.run(command, capture_output=True, text=True, env=alike, timeout=PS)
        state, *start = told.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", ""
    return state[0], re.sub(r"\W", "", "".join(start))


def _can_ask() -> bool:
    """Whether a process can be told from a later one of its number."""
    if ON_LINUX:
        return _sees_itself()
    itself, _, _ = owner().partition("@")
    return not itself.endswith(".")  # ps has said when this one began


def _sees_itself() -> bool:
    """Whether /proc numbers processes as this one does: a container may see another's."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Inside the block the file is rewritten every few seconds. It is closed after each, so that
    other machines see it.
    """
    stop = threading.Event()

    def beat() -> None:
        count = 0
        while not stop.wait(BEAT if count else 0):
            count += 1
            with suppress(OSError):  # a disk that is full for a while ends no heart
                path.write_text(f"{platform.node()} {os.getpid()} {count}")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
