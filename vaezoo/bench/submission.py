"""The folder that one sends: the last run's trials with their numbers, and weights of as many seeds
as there is room for.
"""

import shutil
from collections import defaultdict
from pathlib import Path

from .manifest import MANIFEST, manifest
from .owners import owner
from .records import ROWS, Record
from .store import TRIAL, WEIGHTS, Store
from .verify import Verdict, verify

MOST = 10 * 2**20  # bytes a data set
KEPT = (TRIAL, ROWS, "history.csv")


class SubmissionError(ValueError):
    """A folder that cannot be sent. One sentence."""


def submit(folder: Path, out: Path) -> tuple[Verdict, dict[str, int]]:
    """Writes `out` from the run in `folder`; the verdict on it, and data set -> bytes.

    Weights are taken seed by seed, all rows' first seed before any second one, while they fit.

    Raises: SubmissionError where the run has faults, numbers alone do not fit, or `out` is there.
    """
    if out.exists():
        raise SubmissionError(f"{out} is there already; choose another folder or remove it")
    verdict = verify(folder)
    if verdict.faults:
        name, why = verdict.faults[0]
        raise SubmissionError(
            f"{folder} has {len(verdict.faults)} faults, the first in {name}: {why}; "
            "`vaezoo verify` says them all"
        )
    # killed on the way it leaves no folder that looks whole
    aside = out.with_name(f".{out.name}-{owner()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        sizes = _written(Store(folder), aside)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return verify(out), sizes


def _written(store: Store, out: Path) -> dict[str, int]:
    """Data set -> the bytes that `out` has of it."""
    keys = set(store.read_json("run.json")["trials"])
    records = [record for record in store.records()[0] if record.key in keys]
    sizes = _with_numbers(store, records, out)
    _add_weights(store, records, out, sizes)
    _seal(store, records, out)
    return sizes


def _with_numbers(store: Store, records: list[Record], out: Path) -> dict[str, int]:
    """Data set -> the bytes of its numbers, which are copied.

    Raises: SubmissionError where they are too many.
    """
    sizes: dict[str, int] = defaultdict(int)
    for record in records:
        sizes[record.dataset] += _copied(store, record, out, KEPT)
    for dataset, size in sizes.items():
        if size > MOST:
            raise SubmissionError(
                f"the numbers of {dataset} alone are {size / 2**20:.1f} MB; "
                f"{MOST // 2**20} MB a data set can be sent"
            )
    return dict(sizes)


def _add_weights(store: Store, records: list[Record], out: Path, sizes: dict[str, int]) -> None:
    """Seed by seed, while there is room; `sizes` grows by them."""
    for record in sorted(records, key=lambda one: (one.seed, one.variant)):
        weights = store.trials / record.key / WEIGHTS
        size = weights.stat().st_size if weights.is_file() else 0
        if size and sizes[record.dataset] + size <= MOST:
            sizes[record.dataset] += _copied(store, record, out, (WEIGHTS,))


def _copied(store: Store, record: Record, out: Path, names: tuple[str, ...]) -> int:
    """The bytes of the files that were there and were copied."""
    there = store.trials / record.key
    here = out / "trials" / record.key
    here.mkdir(parents=True, exist_ok=True)
    found = [there / name for name in names if (there / name).is_file()]
    for path in found:
        shutil.copyfile(path, here / path.name)
    return sum(path.stat().st_size for path in found)


def _seal(store: Store, records: list[Record], out: Path) -> None:
    """run.json, the control rows, and a manifest of what each trial's folder now has."""
    for name in ("run.json", *sorted({record.controls for record in records} - {""})):
        if (store.out / name).is_file():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.out / name, out / name)
    for record in records:
        folder = out / "trials" / record.key
        (folder / MANIFEST).write_text(manifest(folder), encoding="utf-8")
