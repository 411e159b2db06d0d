"""What Slurm says of jobs, by `squeue`, which answers where `sacct` has no accounting to ask."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LIMIT = 30.0  # seconds that a command of Slurm may take

RUNNING = ("RUNNING", "COMPLETING")
PAUSED = ("SUSPENDED", "STOPPED")
WAITING = (
    *PAUSED, "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "RESIZING", "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "REVOKED",
)  # fmt: skip
GONE = "GONE"  # not a word of Slurm: it knows no such job, or no longer
NO_INDEX = "N/A"

# State of an ended job -> status of a trial that it had not finished.
STATUS = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "OUT_OF_MEMORY": "oom",
}


@dataclass(frozen=True)
class Entry:
    """A job in the queue, or one that Slurm still remembers."""

    number: str  # what scancel takes
    state: str


UNKNOWN = Entry("", GONE)


@dataclass(frozen=True)
class Queue:
    """The jobs at one time."""

    entries: Mapping[tuple[str, str], Entry]  # name of the job, index in its array

    def of(self, name: str, index: int) -> Entry:
        """One job of an array. Those that never ran stand together in one line without an index,
        and so does an array of one.
        """
        whole = self.entries.get((name, NO_INDEX), UNKNOWN)
        return self.entries.get((name, str(index)), whole)

    @property
    def active(self) -> set[str]:
        """The names of arrays that have not ended."""
        alive = (*RUNNING, *WAITING)
        return {name for (name, _), entry in self.entries.items() if entry.state in alive}


def ask(names: Iterable[str]) -> Queue | None:
    """The jobs of these names; None where the controller does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%j|%K|%T|%i"]
    printed = _printed([*command, "--name=" + ",".join(sorted(names))])
    return None if printed is None else read(printed)


def read(text: str) -> Queue:
    """What `squeue` printed, a job a line."""
    entries = {}
    for line in text.splitlines():
        name, index, state, number = line.strip().split("|")
        entries[name, index] = Entry(number, state)
    return Queue(entries)


def cancel(*which: str) -> None:
    """`scancel`, by numbers or by --name; nothing where they are gone."""
    _printed(["scancel", *which])


def _printed(command: list[str]) -> str | None:
    """What the command printed; None where it failed."""
    try:
        # In a session of its own: Ctrl-C is for the driver.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
