"""What is wrong with a folder of results: all that a report sets aside, and what it cannot see."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from .manifest import MANIFEST, digest_of, listed_in
from .records import (
    ROWS,
    ControlRecord,
    Damaged,
    HistoryRecord,
    Record,
    RunRecord,
    arrays_of,
)
from .records.opened import content_of
from .report.in_full import as_csv
from .report.report import WRITERS, ReportError, read_tables
from .store import TRIAL, WEIGHTS, Store, StoreError
from .trial import PROTOCOL, controls_file

FOLDERS = ("controls", "figures")
ARRAYS = "figures.safetensors"
HISTORY = "history.csv"
Fault = tuple[str, str]  # file of the folder, what is wrong with it


@dataclass(frozen=True)
class Verdict:
    """How many trials are there and can be read, and every fault, by file."""

    trials: int
    unlisted: int  # of them, without a manifest, as trials are published
    faults: tuple[Fault, ...]
    measured: int = 0  # of the trials, again from their weights

    @property
    def summary(self) -> str:
        count = f"{self.trials} trials"
        if self.unlisted:
            count += f", {self.unlisted} of them without a {MANIFEST}, as trials are published"
        if self.measured:
            count += f", {self.measured} of them measured again"
        if not self.faults:
            return f"all well: {count}"
        return f"{len(self.faults)} faults; {count}"


def verify(out: Path | str) -> Verdict:
    """Everything that is wrong with the folder, each once. Nothing is written."""
    store = Store(out)
    faults = list(_odd_files(store.out))
    try:
        records, aside = store.records()
    except StoreError as why:
        return Verdict(0, 0, (*faults, ("trials", str(why))))
    faults += aside.items()
    for record in records:
        faults += faults_of(store, record)
    faults += _of_run(store, {record.key for record in records})
    faults += _of_controls(store, records)
    faults += _copies(records)
    faults += _copied_weights(store, records)
    faults += _of_tables(store)
    unlisted = sum(not (store.trials / record.key / MANIFEST).exists() for record in records)
    return Verdict(len(records), unlisted, tuple(dict.fromkeys(faults)))


def _odd_files(out: Path) -> Iterator[Fault]:
    """What is neither file nor folder, or the wrong one of them; links are not followed."""
    for name in FOLDERS:
        if (out / name).is_file():
            yield name, "it is no folder"
    for folder, inner, names in os.walk(out):
        for name in (*inner, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            where = path.relative_to(out).as_posix()
            if stat.S_ISLNK(mode):
                yield where, "it is a link, and links are not followed"
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield where, "it is no file"


def faults_of(store: Store, record: Record) -> Iterator[Fault]:
    """What is wrong with a trial whose trial.json fits, by file."""
    folder = store.trials / record.key
    where = f"trials/{record.key}"
    for name, why in _unlike_manifest(folder):
        yield f"{where}/{name}", why
    readers = {
        ROWS: lambda: store.rows(record),
        HISTORY: lambda: HistoryRecord.parsed(content_of(folder / HISTORY)),
        ARRAYS: lambda: arrays_of(content_of(folder / ARRAYS)),
    }
    for name, read in readers.items():
        try:
            read()
        except FileNotFoundError:
            continue  # of a copy without it; the manifest says where it should be
        except Damaged as why:
            yield f"{where}/{name}", str(why)

    made_of = record.ingredients
    protocol = made_of.stored.get("protocol")
    if protocol != PROTOCOL:
        yield f"{where}/{TRIAL}", f"stale: protocol {protocol}, and this version's is {PROTOCOL}"
    elif record.controls not in ("", controls_file(made_of.hashes, made_of.likelihood)):
        yield f"{where}/{TRIAL}", f"its control rows, {record.controls}, are those of other data"


def _unlike_manifest(folder: Path) -> Iterator[Fault]:
    """Files that are not what the manifest says, or that it does not name."""
    listed = listed_in(folder)
    for name, digest in listed.items():
        try:
            if digest_of(folder / name) != digest:
                yield name, f"it is not what {MANIFEST} says"
        except FileNotFoundError:
            yield name, f"it is missing, and {MANIFEST} names it"
        except Damaged as why:
            yield name, str(why)
    for name in sorted(os.listdir(folder)):
        if listed and name not in (*listed, MANIFEST):
            yield name, f"{MANIFEST} does not name it"


def _of_run(store: Store, there: set[str]) -> Iterator[Fault]:
    """Of run.json: what it plans must be there, so that nobody picks seeds."""
    try:
        if not (store.out / "run.json").exists():
            raise Damaged("there is none")
        run = RunRecord.from_json(store.read_json("run.json"))
    except Damaged as why:
        yield "run.json", str(why)
        return
    if run.protocol != PROTOCOL:
        yield "run.json", f"stale: protocol {run.protocol}, and this version's is {PROTOCOL}"
    if not run.trials:
        yield "run.json", "it plans no trial"
    for key in run.trials:
        if key not in there:
            yield f"trials/{key}", "run.json plans it, and no whole trial is there"


def _of_controls(store: Store, records: Sequence[Record]) -> Iterator[Fault]:
    """Control rows that trials name must be there where there are any."""
    for name in sorted({record.controls for record in records} - {""}):
        try:
            ControlRecord.from_json(store.read_json(name))
        except Damaged as why:
            yield name, str(why)


def _copies(records: Sequence[Record]) -> Iterator[Fault]:
    """Trials that say the same numbers as another one, what they cost included."""
    first: dict[str, str] = {}
    for record in records:
        if not record.is_done or not record.total_seconds:
            continue
        said = repr((record.total_seconds, sorted(record.metrics.items())))
        other = first.setdefault(said, record.key)
        if other != record.key:
            why = f"its numbers and its seconds are those of trial {other}, to the last digit"
            yield f"trials/{record.key}/{TRIAL}", why


def _copied_weights(store: Store, records: Sequence[Record]) -> Iterator[Fault]:
    """Trainings of two seeds end in the same weights only if one is a copy of the other."""
    first: dict[str, Record] = {}
    for record in records:
        if not store.has_weights(record.key):
            continue
        try:
            digest = digest_of(store.trials / record.key / WEIGHTS)
        except Damaged as why:
            yield f"trials/{record.key}/{WEIGHTS}", str(why)
            continue
        other = first.setdefault(digest, record)
        if other.seed != record.seed:
            copied = f"they are the weights of trial {other.key}, of another seed"
            yield f"trials/{record.key}/{WEIGHTS}", copied


def _of_tables(store: Store) -> Iterator[Fault]:
    """Tables that are not what the trials give."""
    try:
        tables = read_tables(store.out, quiet=True)
    except ReportError as why:
        yield "trials", str(why)
        return
    for table, suffix in product(tables, WRITERS):
        name = f"{table.name}.{suffix}"
        try:
            content = content_of(store.out / name)
        except FileNotFoundError:
            continue
        except Damaged as why:
            yield name, str(why)
            continue
        # words of other forms may be of an older version
        if suffix == "csv" and content != as_csv(table).encode():
            yield name, "it is not what the trials give: vaezoo report writes it anew"
