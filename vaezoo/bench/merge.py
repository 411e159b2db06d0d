"""Several folders of results as one: every trial is checked, and one that two folders have with
other numbers is in conflict, left out and named; nothing is averaged.
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .manifest import LARGEST, MANIFEST, listed_in
from .records import ROWS, ControlRecord, Damaged, Record, RunRecord, joined_sweeps
from .records.opened import opened
from .store import FINAL, TRIAL, Store, StoreError, to_json
from .verify import faults_of

OF_THE_RUN = ("train_seconds",)  # a number that differs from run to run


@dataclass
class Merged:
    """What came together, and what did not."""

    trials: int = 0
    refused: dict[str, str] = field(default_factory=dict)  # file -> why its trial is left out
    conflicts: dict[str, str] = field(default_factory=dict)  # file -> what is said otherwise

    @property
    def is_whole(self) -> bool:
        return not (self.refused or self.conflicts)


@dataclass(frozen=True)
class _Source:
    """A folder and what fits in it."""

    store: Store
    run: RunRecord
    records: Mapping[str, Record]  # by their keys


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Writes into `out` every trial of the folders that fits and that no other one contradicts,
    with their control rows and a run.json.

    Raises: StoreError where `out` holds results already, or cannot be written.
    """
    store = Store(out)
    if store.trials.exists() or (out / "run.json").exists():
        raise StoreError(f"{out} holds results already: name a folder that is not there yet")
    found = Merged()
    sources = [_read(folder, found) for folder in folders]
    taken = _chosen(sources, found)
    if not taken:
        return found

    controls = _controls(sources, taken, found)
    store.prepare()
    for key, source in taken.items():
        _copy(source.store.trials / key, store.building(key))
        store.building(key).rename(store.trials / key)
    for name, record in controls.items():
        store.write(name, to_json(record.to_json()))
    store.write("run.json", to_json(_run(sources, taken).to_json()))
    found.trials = len(taken)
    return found


def _read(folder: Path, found: Merged) -> _Source:
    """What fits in a folder; why the rest does not goes to `found`."""
    store = Store(folder)
    records, aside = store.records()
    found.refused |= {f"{folder}/{name}": why for name, why in aside.items()}
    whole = {}
    for record in records:
        faults = {f"{folder}/{name}": why for name, why in faults_of(store, record)}
        found.refused |= faults
        if not faults:
            whole[record.key] = record
    try:
        run = RunRecord.from_json(store.read_json("run.json"))
    except Damaged as why:
        found.refused[f"{folder}/run.json"] = str(why)
        run = RunRecord()
    return _Source(store, run, whole)


def _chosen(sources: Sequence[_Source], found: Merged) -> dict[str, _Source]:
    """key -> the folder that its trial is taken from, in the order of the runs."""
    planned = [key for source in sources for key in source.run.trials]
    others = [key for source in sources for key in source.records]
    taken = {}
    for key in dict.fromkeys([*planned, *others]):
        known = [source for source in sources if key in source.records]
        if not known:
            continue
        best = max(known, key=lambda source: _said(source.records[key]))  # of equal ones the first
        for source in known:
            if why := _unlike(best.records[key], source.records[key]):
                where = f"{source.store.out}/trials/{key}/{TRIAL}"
                found.conflicts[where] = f"{why} in {best.store.out}"
        if not any(name.endswith(f"/trials/{key}/{TRIAL}") for name in found.conflicts):
            taken[key] = best
    return taken


def _said(record: Record) -> tuple[bool, bool, int]:
    """How much a trial says: one that would be tried again says least."""
    return record.status in FINAL, record.is_done, len(record.metrics)


def _unlike(a: Record, b: Record) -> str:
    """What the two say otherwise; "" where nothing."""
    if a.status != b.status:
        is_open = a.status not in FINAL or b.status not in FINAL
        return "" if is_open else f"its status is {b.status}, and {a.status}"
    pairs = [("", a.metrics, b.metrics)]
    for label in set(a.samplers) & set(b.samplers):
        pairs.append((f" of {label}", a.samplers[label].metrics, b.samplers[label].metrics))
    for of, mine, theirs in pairs:
        for name in _differing(mine, theirs):
            return f"its {name}{of} is {theirs[name]!r}, and {mine[name]!r}"
    return ""


def _differing(a: Mapping[str, float], b: Mapping[str, float]) -> Iterator[str]:
    """The numbers that both have and that are not the same."""
    for name in a:
        if name not in b or name in OF_THE_RUN:
            continue
        is_none = math.isnan(a[name]) and math.isnan(b[name])
        if a[name] != b[name] and not is_none:
            yield name


def _controls(
    sources: Sequence[_Source], taken: Mapping[str, _Source], found: Merged
) -> dict[str, ControlRecord]:
    """The control rows of what is taken. Those that folders say otherwise are left out: the next
    run makes them.
    """
    names = {source.records[key].controls for key, source in taken.items()}
    merged = {}
    for name in sorted(names - {""}):
        known = ControlRecord()
        for source in sources:
            where = f"{source.store.out}/{name}"
            try:
                record = ControlRecord.from_json(source.store.read_json(name))
            except Damaged as why:
                found.refused[where] = str(why)
                continue
            for row in set(known.rows) & set(record.rows):
                for column in _differing(known.rows[row], record.rows[row]):
                    found.conflicts[where] = f"its {column} of {row} is another one than elsewhere"
            known = known.with_newer(record.rows, record.measures, record.dataset or known.dataset)
        if known.rows and not any(one.endswith(f"/{name}") for one in found.conflicts):
            merged[name] = known
    return merged


def _run(sources: Sequence[_Source], taken: Mapping[str, _Source]) -> RunRecord:
    """run.json of all together. What they do not share, such as versions, it does not say."""
    runs = [source.run for source in sources]
    sweeps: dict[str, list[object]] = {}
    for run in runs:
        sweeps = joined_sweeps(sweeps, run.sweeps)
    first = runs[0]
    is_one = all((run.versions, run.machine) == (first.versions, first.machine) for run in runs)
    return RunRecord(
        trials=tuple(taken),
        first_started=min((run.first_started for run in runs if run.first_started), default=""),
        last_started=max(run.last_started for run in runs),
        command="vaezoo merge",
        columns={name: about for run in reversed(runs) for name, about in run.columns.items()},
        versions=first.versions if is_one else {},
        machine=first.machine if is_one else {},
        sweeps=sweeps,
    )


def _copy(trial: Path, building: Path) -> None:
    """The files that the manifest names, or those of a trial as it is published."""
    building.mkdir()
    listed = listed_in(trial)
    for name in [*listed, MANIFEST] if listed else [TRIAL, ROWS]:
        try:
            with opened(trial / name, LARGEST) as source, (building / name).open("xb") as copy:
                shutil.copyfileobj(source, copy)
        except FileNotFoundError:
            continue  # rows, which not every trial has
