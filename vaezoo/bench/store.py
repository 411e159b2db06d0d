"""The folder of a run: trials built aside and renamed into place when whole, so that a reader never
sees half of one.

OUT/trials/<key>/ holds trial.json (the truth), history.csv, model.safetensors, figures.safetensors,
rows.safetensors, log.txt and MANIFEST.sha256. Several runs may share an OUT: each claims what it
trains (`sharing`), and one that finishes a trial second all the same throws its copy away.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .disk import deleted, explained, must_take, written
from .manifest import MANIFEST, Listed, as_listed, digest_of, listed_in, manifest
from .owners import HEART, owner
from .printed_log import LOG, settle
from .records import ROWS, Damaged, Record, RowRecord, parsed, parsed_trial, storable
from .records.opened import MOST_JSON, content_of
from .sweeping import BUILDING, REPLACED, STATE, TASK, sweep

Json = dict[str, Any]
Found = tuple[list[Record], dict[str, str]]
TRIAL = "trial.json"
PUBLISHED = {TRIAL, ROWS}  # what tables are made of, and nothing else: no manifest is with them
KEY = re.compile(r"[0-9a-f]{64}")
HALF = re.compile("[\ud800-\udfff]")
FINAL = ("done", "skipped", "diverged")  # not tried again: the same key would end the same way
WEIGHTS = "model.safetensors"
PROGRESS = "progress.json"  # only while a trial runs
PID = "pid"  # likewise: the process that trains it


class StoreError(OSError):
    """The output folder cannot be written."""


class Store:
    """One output folder."""

    def __init__(self, out: Path | str) -> None:
        self.out = Path(out)
        self.trials = self.out / "trials"

    def prepare(self) -> None:
        """Makes the folder, tries to write in it, and clears what dead runs left half done.

        Raises: StoreError with one sentence where it cannot be written.
        """
        probe = self.trials / f".probe-{owner()}"
        self.must_be_here(self.trials)
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"\0" * 4096)
            probe.unlink()
        except OSError as error:
            probe.unlink(missing_ok=True) if self.trials.is_dir() and os.access(
                self.trials, os.W_OK
            ) else None
            raise StoreError(explained(error, self.out)) from None
        self.sweep()

    def must_be_writable(self) -> None:
        """Nothing is made. Raises: StoreError with one sentence where it cannot be written."""
        try:
            must_take(self.trials)
        except OSError as error:
            raise StoreError(explained(error, self.out)) from None

    def sweep(self) -> None:
        """Removes what dead runs left half done."""
        sweep(self.trials, self.is_finished)

    @property
    def heart(self) -> Path:
        """The file in which this run beats."""
        return self.trials / f"{HEART}{owner()}"

    def building(self, key: str) -> Path:
        """Where the trial is built by this run."""
        return self.trials / f"{BUILDING}{key}-{owner()}"

    def state(self, key: str) -> Path:
        """Where a long training keeps its state, for any later run."""
        return self.trials / f"{STATE}{key}"

    def task(self, key: str) -> Path:
        """Where this run says what the trial is, for the executor."""
        return self.trials / f"{TASK}{key}-{owner()}.json"

    def commit(self, folder: Path, key: str, *, replaces: bool = False) -> None:
        """Renames a whole folder into place; a finished trial that is there already stays, unless
        this one `replaces` it: then the old one is deleted only after the new one is in place.
        """
        for name in (PROGRESS, f".{PROGRESS}", PID):
            (folder / name).unlink(missing_ok=True)
        settle(folder / LOG)
        written(folder / MANIFEST, manifest(folder))
        aside: Path | None = None
        for _ in range(3):
            try:
                self.move(folder, key)
                deleted(aside)
                return
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            if not replaces and self.is_finished(key):
                deleted(folder)  # NFS keeps a log that is open, under another name
                return
            aside = self.take_away(key) or aside

    def move(self, folder: Path, key: str) -> None:
        """Renames the folder into place. NFS asks again where an answer was lost, and then says
        that the folder is gone: it is in its place.
        """
        try:
            folder.rename(self.trials / key)
        except FileNotFoundError:
            if folder.exists() or not self.is_whole(key):
                raise

    def take_away(self, key: str) -> Path | None:
        """Renames a trial aside in one step; None where there is none."""
        aside = self.trials / f"{REPLACED}{key}-{owner()}"
        deleted(aside)
        try:
            return (self.trials / key).rename(aside)
        except FileNotFoundError:
            return None

    def read(self, key: str) -> Record | None:
        """The trial, or None where it is missing or damaged."""
        try:
            return self.checked(key)
        except (OSError, Damaged):
            return None

    def checked(self, key: str) -> Record:
        """The trial. Raises: as `checked_as_listed`."""
        return self.checked_as_listed(key)[0]

    def checked_as_listed(self, key: str) -> tuple[Record, Listed]:
        """The trial, and the hashes of its files.

        Raises: Damaged where it is not what the manifest says, or no trial of this key.
        """
        folder = self.trials / key
        try:
            if not KEY.fullmatch(key):
                raise Damaged("the name of its folder is no key")
            if os.path.islink(folder):
                raise Damaged("it is in a folder that is a link, and links are not followed")
            content = content_of(f"{folder}/{TRIAL}", MOST_JSON)
            record = Record.from_json(parsed_trial(content))
            listed = listed_in(folder)
            if not listed and not set(os.listdir(folder)) <= PUBLISHED:
                raise Damaged(f"its {MANIFEST} is missing")
            if listed and listed.get(TRIAL) != hashlib.sha256(content).hexdigest():
                raise Damaged("it is not what MANIFEST.sha256 says")
        except FileNotFoundError:
            raise Damaged("there is none") from None
        except (OSError, UnicodeError) as error:
            raise Damaged(f"it cannot be read: {error}") from None
        if record.key != key:
            raise Damaged("its key is not the name of its folder")
        return record, listed

    def is_whole(self, key: str) -> bool:
        """Whether every file of the trial is there, as it was written, but for the one that
        measuring makes anew.
        """
        folder = self.trials / key
        try:
            listed = listed_in(folder)
            return bool(listed) and all(
                digest_of(folder / name) == digest
                for name, digest in listed.items()
                if name != ROWS
            )
        except (OSError, ValueError):
            return False

    def rows(self, record: Record, listed: Listed | None = None) -> RowRecord:
        """The numbers of the trial's test rows; `listed` are its hashes, where they were read.

        Raises: Damaged where the file is not what it was, or does not fit the trial.
        """
        path = self.trials / record.key / ROWS
        listed = listed_in(path.parent) if listed is None else listed
        try:
            return RowRecord.parsed(as_listed(path, listed), record.metrics)
        except FileNotFoundError:
            if ROWS in listed:
                raise Damaged("it is missing") from None
            return RowRecord()

    def lacks(self, key: str, measures: Mapping[str, str]) -> list[str]:
        """Those of these metrics (name -> SHA-256) that the trial has not, or by other code; all of
        them where the numbers of its rows are damaged. None of a trial that is not there.
        """
        record = self.read(key)
        if record is None:
            return []
        try:
            self.rows(record)
        except Damaged:
            return list(measures) if record.is_done else []
        return record.lacks(measures)

    def has_weights(self, key: str) -> bool:
        """Whether the trial can be measured again without training."""
        return (self.trials / key / WEIGHTS).is_file()

    def is_finished(self, key: str) -> bool:
        """Whether this trial need not be trained again."""
        record = self.read(key)
        return record is not None and record.status in FINAL and self.is_whole(key)

    def records(self, listed: dict[str, Listed] | None = None) -> Found:
        """Trials that can be read, by their keys; file -> why not. `listed` takes key -> hashes."""
        hashes = {} if listed is None else listed
        found: list[Record] = []
        aside: dict[str, str] = {}
        self.must_be_here(self.trials)
        if not self.trials.is_dir():
            return found, aside
        keys = sorted(name for name in os.listdir(self.trials) if not name.startswith("."))
        for key in keys:
            try:
                record, hashes[key] = self.checked_as_listed(key)
                found.append(record)
            except Damaged as why:
                aside[f"trials/{key}/{TRIAL}"] = str(why)
        return found, aside

    def clear(self) -> None:
        """Removes what this run was building when it was stopped, and what dead ones were."""
        for folder in self.trials.glob(f"{BUILDING}*-{owner()}"):
            shutil.rmtree(folder, ignore_errors=True)
        for task in self.trials.glob(f"{TASK}*-{owner()}.json"):
            task.unlink(missing_ok=True)
        self.heart.unlink(missing_ok=True)
        with suppress(OSError):
            self.sweep()

    def write(self, name: str, content: str | bytes) -> None:
        """One file of the output folder, replaced in one step."""
        path = self.out / name
        self.must_be_here(path.parent)
        aside = path.with_name(f".{path.name}-{owner()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written(aside, content)
            aside.replace(path)
        except OSError as error:
            raise StoreError(f"{explained(error, self.out)} ({name})") from error
        finally:
            with suppress(OSError):  # whatever ended it, such as a second Ctrl-C
                aside.unlink(missing_ok=True)

    def must_be_here(self, folder: Path) -> None:
        """Nothing is read or written through a link inside the folder.

        Raises: StoreError where a folder inside it is one.
        """
        inside = folder.relative_to(self.out)
        for path in (folder, *folder.parents)[: len(inside.parts)]:
            if path.is_symlink():
                raise StoreError(
                    f"{path} is a link, and links inside a folder of results are not followed: "
                    f"move what it leads to into {self.out}, or link that whole folder"
                )

    def read_json(self, name: str) -> Any:
        """A JSON file of the output folder, or {} where there is none. Raises: Damaged."""
        if name and (self.out / name).parent.is_symlink():
            raise Damaged("it is in a folder that is a link, and links are not followed")
        try:
            return parsed(self.out / name)
        except FileNotFoundError:
            return {}


def to_json(value: Any) -> str:
    """Indented JSON with sorted keys; NaN and infinities, which JSON has not, become null. Names
    of files may hold halves of letters, which no file of text can: those are escaped, and all else
    that is not ASCII with them.
    """
    options: dict[str, Any] = {"sort_keys": True, "allow_nan": False, "indent": 1}
    text = json.dumps(storable(value), ensure_ascii=False, **options)
    if HALF.search(text):
        text = json.dumps(storable(value), **options)
    return text + "\n"
