"""What trials hold of the machine's memory, and what they may.

A limit of the kernel does not serve. RLIMIT_AS counts addresses, of which torch, CUDA and the
allocator reserve gigabytes that nobody touches; RLIMIT_DATA is each process's own, so that a trial
with helpers has several, and where it is met native code aborts instead of saying why. So the
driver looks at what is resident, of a trial and of what it has started, often enough that little
can come between two looks, and ends the trial.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PART = 0.9  # of what is free: the rest is for the driver and the system
LEAST = 10**9  # bytes that a trial may have in any case
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)  # of versions 2 and 1, as a container sees its own
# names of settings in glibc's malloc.h, and what glibc sets them to by itself, at most
TRIM_THRESHOLD = -1, 64 * 2**20
MMAP_THRESHOLD = -3, 32 * 2**20


def keep_what_is_freed() -> None:
    """From now on glibc keeps some freed memory for the next tensor. It gives a tensor of 128 kB
    back to the kernel, until a larger one was freed, and every page of the next is a fault: a
    quarter of the time of an evaluation. Other C libraries are left as they are.
    """
    with suppress(OSError, AttributeError, TypeError):
        settle = ctypes.CDLL(None).mallopt
        for name, number in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            settle(name, number)


def share(jobs: int) -> int:
    """Bytes that each of so many trials may have: what the machine, or the container, has free. 0,
    which is no limit, where nobody says.
    """
    room = [free for free in (_available(), *map(_left_in, CGROUPS)) if free]
    return max(LEAST, int(PART * min(room) / jobs)) if room else 0


def gpu_share(device: str, jobs: int) -> float:
    """Of the memory of a GPU that so many trials share; 0, which is no limit, for one alone."""
    return 1 / jobs if device != "cpu" and jobs > 1 else 0.0


def limit_this_process(most: int) -> None:
    """From now on this process cannot take more than so many bytes beside what it has. For one that
    is only tried, and need not say well what it died of.
    """
    try:
        import resource

        status = Path("/proc/self/status").read_text()
        held = int(status.partition("VmData:")[2].split()[0]) * 1024
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = held + most
        if most and (hard == resource.RLIM_INFINITY or hard >= limit):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    except (ImportError, OSError, ValueError, IndexError, AttributeError):
        pass  # elsewhere there is no such limit


def _available() -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _left_in(cgroup: tuple[str, str]) -> int:
    """What the group may still take; 0 where it has no limit. Pages of files that are not in use
    are free: the kernel gives them back.
    """
    with suppress(OSError, ValueError):
        limit, used = (int(Path(path).read_text()) for path in cgroup)
        used -= _pages_of_files(Path(cgroup[1]).with_name("memory.stat"))
        return max(1, limit - used) if limit < 2**60 else 0
    return 0


def _pages_of_files(stat: Path) -> int:
    with suppress(OSError, ValueError):
        said = dict(line.split() for line in stat.read_text().splitlines())
        return int(said.get("total_inactive_file", said.get("inactive_file", 0)))
    return 0


def resident(pid: int) -> int:
    """Bytes of the process that are in memory; 0 where it is gone."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def resident_with_children(pid: int) -> int:
    """Bytes of the process and of all that it has started, pages that several share divided among
    them; as `resident` where it has started nothing.
    """
    family = list(_family(pid))
    if len(family) < 2:
        return resident(pid)
    return max(resident(pid), sum(_proportional(one) for one in family))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            for child in path.read_text().split():
                yield from _family(int(child))


def _proportional(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def is_below(pid: int, ancestor: int) -> bool:
    """Whether the process is a grandchild of this one, as a trial is of its keeper: a number that a
    file says may be anybody's.
    """
    return pid > 1 and _parent(_parent(pid)) == ancestor


def _parent(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
