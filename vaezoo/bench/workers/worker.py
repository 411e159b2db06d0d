"""What trains and evaluates one trial, in a process of its own.

What a trial prints goes to its log; what it raises becomes its
status.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...core import Model, Unsupported
from ...data.data import Data
from ...data.words import cut
from ...evaluation.failures import is_out_of_memory, one_line, sentence
from ...samplers import PRIOR, prior_in_words
from ...training.budget import SKIPPED, Diverged
from ...training.resume import Bookmark
from ..disk import is_full
from ..manifest import MANIFEST
from ..printed_log import LOG, silence, tell
from ..records import (
    ROWS,
    Damaged,
    ProgressRecord,
    Record,
    RowRecord,
    SamplerRecord,
    parsed_trial,
)
from ..store import FINAL, PID, TRIAL, WEIGHTS, Json, Store, to_json
from ..trial import Trial
from .fitting import fitted, seats
from .machine import clock_of, machine, peak_bytes
from .processes import Places
from .rebuild import build_model, data_of, evaluation_of, metrics_of, registry_of
from .reporting import Reporter, note


@dataclass(frozen=True)
class Task:
    """What a process has to do: one trial, and where things lie."""

    trial: Trial
    places: Places
    out: Path  # the folder of the run
    folder: Path  # where the trial is built
    columns: tuple[Json, ...]  # of the metrics that are planned
    again: bool = False  # only measures what a finished trial lacks
    memory: int = 0  # bytes that it may hold; 0 for no limit
    beside: tuple[Trial, ...] = ()  # trained with it in one stack, and ended elsewhere
    gpu_share: float = 0.0  # of the GPU's memory that it may take; 0 for all of it

    @classmethod
    def from_json(cls, facts: Json) -> "Task":
        places = facts["places"]
        return cls(
            trial=Trial.from_json(facts["trial"]),
            places=Places(**{**places, "data_dirs": tuple(places["data_dirs"])}),
            out=Path(facts["out"]),
            folder=Path(facts["folder"]),
            columns=tuple(facts["columns"]),
            again=facts["again"],
            memory=facts.get("memory", 0),
            beside=tuple(Trial.from_json(one) for one in facts.get("beside", ())),
            gpu_share=facts.get("gpu_share", 0.0),
        )

    def to_json(self) -> Json:
        """The task as a file holds it."""
        return asdict(self) | {"out": str(self.out), "folder": str(self.folder)}

    def record(self, status: str, **more: Any) -> Record:
        """The record of the trial, ended so."""
        return Record.of(self.trial, status, self.columns, **more)


def run_trial(task: Task) -> Json:
    """Trains and evaluates the trial, or only measures what it lacks, and renames its folder into
    place; {"full": sentence} where the disk took no more.
    """
    store = Store(task.out)
    key = task.trial.key
    try:
        task.folder.mkdir()
        (task.folder / PID).write_text(str(os.getpid()))
        silence(task.folder / LOG)
        lacking = store.lacks(key, task.trial.measures)
        record = _as_kept(task, _done(task, store, lacking))
        (task.folder / TRIAL).write_bytes(to_json(record.to_json()).encode())
        silence(Path(os.devnull))  # what comes late is not in a log whose hash is taken
        # Another run's finished trial stays, and nothing that failed replaces what is finished.
        store.commit(task.folder, key, replaces=bool(lacking) and record.is_done)
        if record.status in FINAL:
            store.state(key).unlink(missing_ok=True)
        return {"status": record.status}
    except BaseException as error:
        if is_full(error, task.folder):
            return {"full": str(error)}
        raise


def _done(task: Task, store: Store, lacking: Sequence[str]) -> Record:
    """The trial trained and measured; or of one that was, the metrics that it is `lacking`."""
    key = task.trial.key
    there = store.read(key)
    if not task.again or there is None:
        return _ended(task, store.state(key))
    _copy(store.trials / key, task.folder)
    return _measured_again(task, there, lacking, _rows(store, there))


def _as_kept(task: Task, record: Record) -> Record:
    """The record, where it can be read again. One that says what no record can, such as a setting
    of a metric that is a list, would be set aside by every report, and trained again by every run.
    """
    try:
        Record.from_json(parsed_trial(to_json(record.to_json()).encode()))
    except (ValueError, TypeError) as why:
        return task.record("failed", reason=cut(f"what it says of itself cannot be kept: {why}"))
    return record


def _ended(task: Task, state: Path) -> Record:
    """How the trial ended, all that was measured, and what it cost."""
    start = time.perf_counter()
    clock = clock_of(task.trial)
    begin = clock()
    bookmark = Bookmark(state, {"key": task.trial.key}, beside=1 + len(task.beside))
    record = _trained_or_not(task, bookmark)
    seconds = bookmark.seconds + time.perf_counter() - start
    resources: dict[str, float] = {"memory": peak_bytes()}
    if not bookmark.seconds:  # of what was done before it was taken up, nothing is known
        resources["seconds"] = clock() - begin
    return replace(
        record,
        total_seconds=seconds,
        machine=machine(task.trial.device),
        resources=resources,
    )


def _trained_or_not(task: Task, bookmark: Bookmark) -> Record:
    """The one place that turns an exception into a row."""
    try:
        return _trained(task, bookmark)
    except Unsupported as why:
        return task.record("skipped", reason=sentence(why))
    except Diverged as error:
        where = {"step": error.step, "epoch": error.epoch, "term": error.term}
        return task.record("diverged", reason=str(error), divergence=where)
    except BaseException as error:
        if is_full(error, task.folder):
            raise
        tell(task.folder / LOG)
        status = "oom" if is_out_of_memory(error) else "failed"
        return task.record(status, reason=one_line(error))


def _trained(task: Task, bookmark: Bookmark) -> Record:
    from ...training.checkpoint import save
    from .material import save_material

    trial = task.trial
    folder = task.folder
    torch.set_num_threads(trial.threads)
    torch.backends.cudnn.benchmark = False
    if task.gpu_share:
        torch.cuda.set_per_process_memory_fraction(task.gpu_share)
    data = data_of(task.places, trial)
    model = build_model(task.places, trial)
    beside = seats(task.places, Store(task.out), task.beside)
    history = fitted(trial, model, data, Reporter(folder), bookmark, beside)

    note(folder, ProgressRecord(stage="evaluation"))
    measured = _measured(task, trial, model, data, RowRecord())
    save(model, folder / WEIGHTS)
    save_material(model, data, folder, trial.device)
    costs = {"train_seconds": history.seconds, "parameters": _size(model)}
    if history.skipped is not None:
        costs[SKIPPED] = history.skipped
    return replace(
        measured,
        metrics={**costs, **measured.metrics},
        prior=prior_in_words(model),
        best_epoch=history.best_epoch,
        epochs=len(history.rows),
    )


def _copy(trial: Path, building: Path) -> None:
    """The files that measuring does not change, the weights among them."""
    for path in trial.iterdir():
        if path.name not in (MANIFEST, TRIAL, ROWS, LOG):
            shutil.copy2(path, building / path.name)


def _rows(store: Store, there: Record) -> RowRecord:
    """The numbers of the trial's rows; damaged ones count as none."""
    try:
        return store.rows(there)
    except Damaged:
        return RowRecord()


def _measured_again(task: Task, there: Record, lacking: Sequence[str], rows: RowRecord) -> Record:
    """The trial's record with the metrics that it lacks, from its own weights; its `rows` but for
    theirs are kept.
    """
    from ...training.checkpoint import restore

    trial = task.trial
    torch.set_num_threads(trial.threads)
    measures = {name: trial.measures[name] for name in lacking}
    data = data_of(task.places, trial)
    model = restore(build_model(task.places, trial), task.folder / WEIGHTS)
    asked = replace(trial, metrics=tuple(lacking), measures=measures)
    return there.with_newer(_measured(task, asked, model, data, rows))


def _measured(task: Task, trial: Trial, model: Model, data: Data, rows: RowRecord) -> Record:
    """What the metrics of the trial say, and what they say of themselves. Their numbers of rows are
    written, beside the `rows` of other metrics.
    """
    from ...evaluation.measuring import measure
    from ..report.catalogue import described

    metrics = metrics_of(task.places, trial)
    evaluation = evaluation_of(model, data, trial)

    def report(name: str, i: int, n: int) -> None:
        note(task.folder, ProgressRecord(stage=name))

    found = measure(evaluation, metrics, report)
    of_themselves = described(metrics)

    # what rows said of these columns before is of another model or of other code
    own = {column["name"] for column in of_themselves["columns"]}
    of_rows = {name: each.numpy() for name, each in found.rows.items()}
    rows.with_newer(of_rows, own).write(task.folder)
    return replace(
        task.record("done"),
        metrics=dict(found),
        reasons=found.reasons,
        refused=found.refused,
        settings=found.settings,
        evaluation_seconds=found.seconds,
        measures=trial.measures,
        samplers=_measured_by_sampler(task.places, trial, model, data),
        columns=tuple(of_themselves["columns"]),
        tables=tuple(of_themselves["tables"]),
    )


def _measured_by_sampler(
    places: Places, trial: Trial, model: Model, data: Data
) -> dict[str, SamplerRecord]:
    """Label of a sampler -> what the metrics of samples say when its draws are decoded by the same
    trained model.
    """
    from ...evaluation.context import Evaluation
    from ...evaluation.measurement import measured_by_sampler
    from ...evaluation.measuring import measure

    registry = registry_of(places)
    metrics = measured_by_sampler(metrics_of(places, trial), registry.metrics.values())
    found = {}
    for chosen in trial.samplers:
        if chosen["name"] == PRIOR:
            continue
        recipe = registry.samplers[chosen["name"]]
        sampler = partial(recipe, data.spec, chosen["hyperparameters"])
        evaluation = Evaluation(model, data, trial.seed, device=trial.device, sampler=sampler)
        measured = measure(evaluation, metrics)
        found[chosen["label"]] = SamplerRecord(
            dict(measured), measured.reasons, measured.refused, measured.seconds
        )
    return found


def _size(model: Model) -> float:
    return float(sum(p.numel() for p in model.parameters()))
