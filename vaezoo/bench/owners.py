"""Whose a file is that a run has not finished, in a folder that several machines may see."""

import os
import platform
import re
from pathlib import Path

DAY = 86400.0  # seconds


def owner() -> str:
    """This run, among those of all machines that see the folder: process@machine."""
    return f"{os.getpid()}@{_machine()}"


def _machine() -> str:
    return re.sub(r"[^\w.]", "_", platform.node())  # a dash divides names here


def is_left(path: Path, owner: str) -> bool:
    """Whether the run that made this file or folder is dead. One of another machine cannot be
    asked: it counts as dead once nothing in it has changed for a day, by the clock of its file
    system.
    """
    pid, _, machine = owner.partition("@")
    if machine in ("", _machine()):
        return not is_alive(pid)
    return age(path) > DAY


def age(path: Path) -> float:
    """Seconds since the file, or anything in the folder, was written, by the clock of its file
    system, which is no machine's own. Infinite where there is none.
    """
    probe = path.parent / f".now-{owner()}"
    try:
        probe.write_text("now")
        now = probe.stat().st_mtime
        probe.unlink()
        times = [path.stat().st_mtime, *(one.stat().st_mtime for one in path.glob("*"))]
    except OSError:
        return float("inf")
    return now - max(times)


def is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
