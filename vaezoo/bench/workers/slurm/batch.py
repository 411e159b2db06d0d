"""The files that a driver and its jobs share: OUT/slurm/.

    OUT/slurm/<key>             the ticket of a trial: the batch that is to train it
    OUT/slurm/<batch>/          one array of jobs, called vaezoo-<batch> in Slurm's queue
        batch.json              what each job of the array has to do
        task-<key>.json         a trial, for `run_task`
        beat-<index>            rewritten every few seconds while that job runs
        answer-<key>.json       how the trial ended
        build-<key>-…/          the trial while it is built
        *.out, *.pkl            what jobs printed, and submitit's own files

A trial has one ticket, and a job trains only what the ticket gives to its batch: two drivers, or a
driver and what is left of a dead one, do not train a trial twice.
"""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...store import KEY

BATCH = "batch.json"
PREFIX = "vaezoo-"  # of a batch's name in the queue
NAME = re.compile(r"\w{1,40}")  # of a batch, which names a folder
PLAIN = str | int | float


@dataclass(frozen=True)
class Batch:
    """One array of jobs."""

    out: Path  # the folder of the run
    name: str

    @property
    def folder(self) -> Path:
        return self.out / "slurm" / self.name

    @property
    def job_name(self) -> str:
        return PREFIX + self.name

    def task(self, key: str) -> Path:
        return self.folder / f"task-{key}.json"

    def answer(self, key: str) -> Path:
        return self.folder / f"answer-{key}.json"

    def beat(self, index: int) -> Path:
        return self.folder / f"beat-{index}"

    def write(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Says what each job has to do: its trials, as `key` and `timeout`."""
        write(self.folder / BATCH, jobs)

    def jobs(self) -> list[list[dict[str, Any]]]:
        """What each job has to do; none where a driver died before it said it."""
        said = read(self.folder / BATCH)
        is_plan = isinstance(said, list) and all(map(_is_job, said))
        return said if is_plan else []

    def keys(self) -> list[str]:
        """Those of all its trials."""
        return [trial["key"] for job in self.jobs() for trial in job]

    def answered(self) -> set[str]:
        """The keys of the trials that have an answer, by one look at the folder."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return set()
        ours = (name for name in names if name.startswith("answer-"))
        return {name.removeprefix("answer-").removesuffix(".json") for name in ours}

    def index_of(self, key: str) -> int | None:
        """The job that has this trial."""
        for index, trials in enumerate(self.jobs()):
            if any(trial["key"] == key for trial in trials):
                return index
        return None


def ticket(out: Path, key: str) -> str:
    """The batch that is to train the trial; "" for none."""
    said = read(out / "slurm" / key)
    return said if isinstance(said, str) and NAME.fullmatch(said) else ""


def answer_of(batch: Batch, key: str) -> dict[str, Any] | None:
    """What its job says of the trial: how it ended, and in a sentence why where it failed; None
    where it says nothing, or nothing that a job says.
    """
    said = read(batch.answer(key))
    is_answer = isinstance(said, dict) and all(isinstance(one, PLAIN) for one in said.values())
    return said if is_answer else None


def give_ticket(batch: Batch, key: str) -> None:
    """From now on the trial is this batch's."""
    write(batch.out / "slurm" / key, batch.name)


def batches(out: Path) -> list[Batch]:
    """All that have a folder."""
    folder = out / "slurm"
    found = (
        sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )
    return [Batch(out, name) for name in found]


def _is_job(said: Any) -> bool:
    """Whether this is what a job has to do: keys of trials, which are names of files too, and how
    many seconds each may take.
    """
    return isinstance(said, list) and all(
        isinstance(one, dict)
        and KEY.fullmatch(str(one.get("key"))) is not None
        and isinstance(one.get("timeout"), int | float | None)
        for one in said
    )


def write(path: Path, content: Any) -> None:
    """JSON in a file that is replaced in one step."""
    aside = path.with_name(f".{path.name}-{platform.node()}-{os.getpid()}")
    try:
        aside.write_text(json.dumps(content), encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read(path: Path) -> Any:
    """What the file holds, or None where there is none or half of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
