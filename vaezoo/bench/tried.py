"""Costs that were tried on this machine before, kept in the user's cache: a plan that is looked at
and then run, or run by several drivers at once, is tried once.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..data.kept import user_cache, written_aside
from ..registry.guard import own_version
from .price import likeness
from .trial import Json, Trial
from .workers.probe import Probe
from .workers.processes import Places

MOST_KEPT = 5_000  # files


@dataclass(frozen=True)
class Remembered:
    """A probe that is asked only what it has not said before. Another driver that asks the same is
    waited for, for so many seconds at most.
    """

    probe: Probe
    seconds: float

    def describe(self, places: Places, name: str, options: Json, sizes: Sequence[Json]) -> Json:
        return self.probe.describe(places, name, options, sizes)

    def why_not(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        return self.probe.why_not(places, trials)

    def costs(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        files = [_file(trial) for trial in trials]
        with _alone(files, self.seconds):
            found = {i: _read(file) for i, file in enumerate(files)}
            new = [i for i, answer in found.items() if not answer]
            answers = self.probe.costs(places, [trials[i] for i in new]) if new else []
            for i, answer in zip(new, answers, strict=True):
                found[i] = answer
                _keep(files[i], answer)
            _forget(files)
        return list(found.values())


def _file(trial: Trial) -> Path:
    import torch

    words = likeness(trial.ingredients, trial.measures, torch.__version__)
    about = f"{words}\n{own_version()}\n{platform.node()}"
    name = hashlib.sha256(about.encode()).hexdigest()[:32]
    return user_cache() / "costs" / f"{name}.json"


@contextmanager
def _alone(files: Sequence[Path], seconds: float) -> Iterator[None]:
    """Inside the block no other driver asks for the same, unless it takes too long, or the cache
    cannot be written.
    """
    if not files:
        yield
        return
    names = hashlib.sha256("".join(file.name for file in files).encode()).hexdigest()[:16]
    lock = FileLock(files[0].with_name(f"{names}.lock"))
    with suppress(OSError, Timeout, NotImplementedError):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=seconds)
    try:
        yield
    finally:
        lock.release()


def _read(file: Path) -> Json:
    """The answer; empty where there is none, or what is there is no such answer."""
    try:
        answer = json.loads(file.read_text(encoding="utf-8"))
        return {name: float(answer[name]) for name in ("epoch", "fixed", "memory", "disk")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(file: Path, answer: Json) -> None:
    """Of a trial that could not be tried nothing is kept: it may be mended."""
    if "error" in answer:
        return
    with suppress(OSError), written_aside(file) as aside:
        aside.write_text(json.dumps(answer), encoding="utf-8")


def _forget(files: Sequence[Path]) -> None:
    """The oldest answers, where there are very many."""
    with suppress(OSError, IndexError):
        kept = sorted(files[0].parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MOST_KEPT]:
            path.unlink(missing_ok=True)
