"""What dead runs left half done in a folder of trials."""

import re
from collections.abc import Callable
from pathlib import Path

from .claims import CLAIM, holder
from .disk import deleted
from .owners import HEART, is_left

BUILDING = ".building-"  # before the key of a trial that is not whole, and the name of its run
REPLACED = f"{BUILDING}old."  # before the key of a trial that another one takes the place of
STATE = ".state-"  # before the key of a trial whose training was long, and is not done
TASK = ".task-"  # before the key of a trial that was handed to the executor
NOW = ".now-"  # a file whose time was looked at
LETTERS = 64  # of a key
ASIDE = re.compile(r"\..+-(\d+\.\w*@[\w.]+)")  # a file that is being written, and by which run


def sweep(trials: Path, is_finished: Callable[[str], bool]) -> None:
    """Removes what only a dead run could need, and nothing that a living one may be at."""
    _put_back(trials)
    for folder in trials.glob(f"{BUILDING}*-*"):
        if is_left(folder, folder.name.rpartition("-")[2]):
            deleted(folder)
    _without(trials, f"{TASK}*-*.json", lambda path: path.stem.rpartition("-")[2])
    _without(trials, f"{CLAIM}*", holder)
    _without(trials, f"{NOW}*", lambda path: path.name.removeprefix(NOW))
    for state in trials.glob(f"{STATE}*"):
        if is_finished(state.name.removeprefix(STATE)):
            deleted(state)
    for aside in trials.glob(f".{STATE}*"):  # that was being written
        key = aside.name.removeprefix(f".{STATE}")[:LETTERS]
        if not (trials / f"{CLAIM}{key}").exists() and not _has_jobs(trials):
            deleted(aside)
    _without_half_written(trials)
    # the last: they say whether the others are left
    _without(trials, f"{HEART}*", lambda path: path.name.removeprefix(HEART))


def _without(trials: Path, pattern: str, owner_of: Callable[[Path], str]) -> None:
    for path in trials.glob(pattern):
        if is_left(path, owner_of(path)):
            deleted(path)


def _without_half_written(trials: Path) -> None:
    """Tables and figures that a dead run was writing when it was killed."""
    for folder in (trials.parent, *trials.parent.iterdir()):
        if folder == trials or folder.is_symlink() or not folder.is_dir():
            continue
        for path in folder.glob(".*-*@*"):
            named = ASIDE.fullmatch(path.name)
            if named and path.is_file() and is_left(path, named[1]):
                path.unlink(missing_ok=True)


def _has_jobs(trials: Path) -> bool:
    """Whether a queue may be at the trials, which needs no claims."""
    return (trials.parent / "slurm").is_dir()


def _put_back(trials: Path) -> None:
    """Trials that a dead run took away and did not come to replace stand in place again."""
    for folder in trials.glob(f"{REPLACED}*-*"):
        key, _, owner = folder.name.removeprefix(REPLACED).rpartition("-")
        if is_left(folder, owner) and not (trials / key).exists():
            folder.rename(trials / key)
