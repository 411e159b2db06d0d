"""Which of several runs in one folder trains what: OUT/trials/.claim-<what>, a file that is made
only where there is none, with the name of its run in it.
"""

import re
import time
from pathlib import Path

from .disk import deleted
from .owners import is_left, owner
from .records import Damaged
from .records.opened import content_of

CLAIM = ".claim-"  # before what is claimed: the key of a trial, or the name of a control file
SILENT = 600.0  # seconds without a beat after which a run that cannot be asked loses its claims
LONGEST = 2**12  # bytes of the name of a run
NAME = re.compile(r"[\w.]{1,60}@[\w.]{1,120}")  # it stands in names of files
LOOK = 1.0  # seconds until a claim that another run has is looked at again


class Claims:
    """Those of this run, in its folder of trials."""

    def __init__(self, trials: Path) -> None:
        self.trials = trials
        self.mine: set[str] = set()
        self.looked_at: dict[str, float] = {}  # what -> when another run was seen to have it

    def take(self, what: str) -> bool:
        """Whether this is ours to do, from now until it is released. What a dead run had is."""
        now = time.monotonic()
        if what in self.mine:
            return True
        if now - self.looked_at.get(what, -LOOK) < LOOK:
            return False
        if self._made(what) or (self._removed_from_the_dead(what) and self._made(what)):
            self.mine.add(what)
            return True
        self.looked_at[what] = now
        return False

    def release(self, what: str) -> None:
        """It is done, or given up."""
        if what in self.mine:
            self.mine.remove(what)
            # one that was asleep for long may have lost it
            if holder(self._path(what)) == owner():
                self._path(what).unlink(missing_ok=True)

    def release_all(self) -> None:
        for what in list(self.mine):
            self.release(what)

    def _path(self, what: str) -> Path:
        return self.trials / f"{CLAIM}{what}"

    def _made(self, what: str) -> bool:
        try:
            with self._path(what).open("x", encoding="utf-8") as file:
                file.write(owner())
        except FileExistsError:
            # NFS asks again where an answer was lost, and finds what it has made itself
            return holder(self._path(what)) == owner()
        except OSError:  # a full disk: an empty claim would be nobody's, and in everybody's way
            self._path(what).unlink(missing_ok=True)
            raise
        return True

    def _removed_from_the_dead(self, what: str) -> bool:
        """Whether the claim was a dead run's, and is away now with what that run was building."""
        path = self._path(what)
        dead = holder(path)
        if not is_left(path, dead, SILENT):
            return False
        aside = path.with_name(f"{path.name}-{owner()}")
        try:
            path.rename(aside)
        except FileNotFoundError:  # released, or taken over by a third run
            return True
        if holder(aside) == dead:
            deleted(aside)
        else:  # a third run was faster, and what is aside is its claim
            aside.rename(path)
        building = self.trials / f".building-{what}-{dead}"
        if building.exists() and is_left(building, dead):
            deleted(building)
        return True


def holder(claim: Path) -> str:
    """The name of the run that has it; "" where there is none, it is being written, or what is
    there is no claim.
    """
    try:
        name = content_of(claim, LONGEST).decode()
    except (OSError, UnicodeError, Damaged):
        return ""
    return name if NAME.fullmatch(name) else ""
