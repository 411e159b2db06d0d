"""What trains and evaluates one trial, in a process of its own.

Arguments and answers are JSON-like. What a trial prints goes to its log; what it raises becomes its
status.
"""

import json
import os
import platform
import shutil
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ...core import Model, Unsupported
from ...data.data import Data
from ...evaluation.failures import one_line
from ...samplers import PRIOR, prior_in_words
from ...training.budget import Budget, Diverged, EpochLog
from ...training.training import fit
from ..records import Record
from ..store import MANIFEST, PID, PROGRESS, WEIGHTS, Json, Store, is_full, to_json
from .rebuild import build_model, data_of, metrics_of, registry_of

BY_COLUMN = ("metrics", "reasons", "refused")  # what trial.json says of each column
BY_METRIC = ("evaluation_seconds", "measures")
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)


def run_trial(
    source: Json, trial: Json, out: str, folder: str, shared: Json, again: bool = False
) -> Json:
    """Trains and evaluates one trial, or only measures `again` what it lacks, and renames its
    folder into place; {"full": sentence} where the disk took no more.
    """
    key = shared["key"]
    building = Path(folder)
    store = Store(out)
    try:
        building.mkdir()
        (building / PID).write_text(str(os.getpid()))
        silence(building / "log.txt")
        there = store.read(key)
        lacks = there is not None and bool(there.lacks(trial["measures"]))
        if again and there is not None:
            _copy(store.trials / key, building)
            record = _measured_again(source, trial, building, there)
        else:
            record = _record(source, trial, building)
        (building / "trial.json").write_text(to_json(shared | record), encoding="utf-8")
        # Another run's finished trial stays, and nothing that failed replaces what is finished.
        store.commit(building, key, replaces=lacks and record["status"] == "done")
        return {"status": record["status"]}
    except BaseException as error:
        if is_full(error):
            return {"full": str(error)}
        raise


def _record(source: Json, trial: Json, folder: Path) -> Json:
    """Status and all that was measured. The one place that turns an exception into a row."""
    start = time.perf_counter()
    try:
        record = _trained(source, trial, folder)
    except Unsupported as why:
        record = {"status": "skipped", "reason": str(why)}
    except Diverged as error:
        record = {
            "status": "diverged",
            "reason": str(error),
            "step": error.step,
            "epoch": error.epoch,
            "term": error.term,
        }
    except BaseException as error:
        if is_full(error):
            raise
        traceback.print_exc()
        status = "oom" if _is_out_of_memory(error) else "failed"
        record = {"status": status, "reason": one_line(error)}
    return {
        "total_seconds": time.perf_counter() - start,
        "machine": machine(trial["device"]),
    } | record


def _trained(source: Json, trial: Json, folder: Path) -> Json:
    torch.set_num_threads(trial["threads"])
    torch.backends.cudnn.benchmark = False
    data = data_of(source, trial)
    device = trial["device"]
    model = build_model(source, trial)
    budget = Budget(**trial["budget"])
    history = fit(
        model, data, seed=trial["seed"], budget=budget, report=_Reporter(folder), device=device
    )
    _note(folder, stage="evaluation")
    measured, described = _measured(source, trial, model, data, folder)
    samplers = _measured_by_sampler(source, trial, model, data)
    from ...training.checkpoint import save
    from .material import save_material

    save(model, folder / "model.safetensors")
    save_material(model, data, folder, device)
    return {
        "status": "done",
        "metrics": {"train_seconds": history.seconds, "parameters": _size(model)} | dict(measured),
        "reasons": dict(measured.reasons),
        "refused": dict(measured.refused),
        "settings": dict(measured.settings),
        "evaluation_seconds": dict(measured.seconds),
        "measures": dict(trial["measures"]),
        "samplers": samplers,
        "prior": prior_in_words(model),
        "best_epoch": history.best_epoch,
        "epochs": len(history.rows),
    } | described


def _copy(trial: Path, building: Path) -> None:
    """The files that measuring does not change, the weights among them."""
    for path in trial.iterdir():
        if path.name not in (MANIFEST, "trial.json", "log.txt"):
            shutil.copy2(path, building / path.name)


def _measured_again(source: Json, trial: Json, folder: Path, there: Record) -> Json:
    """The trial's record with the metrics that it lacks, from its own weights."""
    torch.set_num_threads(trial["threads"])
    lacking = there.lacks(trial["measures"])
    asked = trial | {"metrics": lacking}
    data = data_of(source, trial)
    model = build_model(source, trial)
    model.load_state_dict(load_file(folder / WEIGHTS))
    measured, described = _measured(source, asked, model, data, folder)
    before = there.to_json()
    after = {
        "metrics": dict(measured),
        "reasons": dict(measured.reasons),
        "refused": dict(measured.refused),
        "settings": dict(measured.settings),
        "evaluation_seconds": dict(measured.seconds),
        "samplers": _measured_by_sampler(source, asked, model, data),
        "measures": {name: trial["measures"][name] for name in lacking},
    } | described
    return before | _merged(before, after)


def _merged(before: Json, after: Json) -> Json:
    """What a trial says once some of its metrics were measured again."""
    anew = {column["name"] for column in after["columns"]}

    def joined(old: Json, new: Json, name: str) -> Json:
        kept = {column: value for column, value in old.get(name, {}).items() if column not in anew}
        return kept | new[name]

    samplers = dict(before["samplers"])
    for label, found in after["samplers"].items():
        old = samplers.get(label, {})
        samplers[label] = {name: joined(old, found, name) for name in BY_COLUMN}
    columns = [column for column in before["columns"] if column["name"] not in anew]
    tables = {one["name"]: one for one in before.get("tables", []) + after["tables"]}
    whole = {name: before[name] | after[name] for name in ("settings", *BY_METRIC)}
    return whole | {
        **{name: joined(before, after, name) for name in BY_COLUMN},
        "columns": columns + after["columns"],
        "tables": list(tables.values()),
        "samplers": samplers,
    }


def _measured(
    source: Json, trial: Json, model: Model, data: Data, folder: Path
) -> tuple[Any, Json]:
    """What the metrics say, and what they say of themselves."""
    from ...evaluation.context import Evaluation
    from ...evaluation.measuring import measure
    from ..report.catalogue import described

    metrics = metrics_of(source, trial)
    evaluation = Evaluation(
        model,
        data,
        trial["seed"],
        device=trial["device"],
        importance_samples=trial["importance_samples"],
    )
    measured = measure(evaluation, metrics, lambda name, i, n: _note(folder, stage=name))
    return measured, described(metrics)


def _measured_by_sampler(source: Json, trial: Json, model: Model, data: Data) -> Json:
    """Label of a sampler -> what the metrics of samples say when its draws are decoded by the same
    trained model.
    """
    from ...evaluation.context import Evaluation
    from ...evaluation.measurement import measured_by_sampler
    from ...evaluation.measuring import measure

    known = registry_of(source).samplers
    found = {}
    every = registry_of(source).metrics.values()
    metrics = measured_by_sampler(metrics_of(source, trial), every)
    for chosen in (one for one in trial["samplers"] if one["name"] != PRIOR):
        sampler = partial(known[chosen["name"]], data.spec, chosen["hyperparameters"])
        measured = measure(
            Evaluation(model, data, trial["seed"], device=trial["device"], sampler=sampler), metrics
        )
        found[chosen["label"]] = {
            "metrics": dict(measured),
            "reasons": measured.reasons,
            "refused": measured.refused,
            "seconds": measured.seconds,
        }
    return found


def _size(model: Model) -> float:
    return float(sum(p.numel() for p in model.parameters()))


class _Reporter:
    """Writes the learning curve as it grows, and a small file that the progress bars read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = list[str]()
        self.last = 0.0

    def __call__(self, epoch: int, epochs: int, row: EpochLog) -> None:
        with (self.folder / "history.csv").open("a", encoding="utf-8") as file:
            if not self.names:
                self.names = list(row)
                file.write(",".join(self.names) + "\n")
            file.write(",".join(repr(row.get(name, "")) for name in self.names) + "\n")
        if time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            _note(
                self.folder,
                epoch=epoch,
                epochs=epochs,
                seconds=row["seconds"],
                loss=row.get("validation_loss"),
            )


def _note(folder: Path, **what: Any) -> None:
    aside = folder / f".{PROGRESS}"
    aside.write_text(json.dumps(what))
    aside.replace(folder / PROGRESS)


def silence(path: Path) -> None:
    """What this process prints from now on, C libraries included, goes to the file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(
        words in str(error).lower() for words in OUT_OF_MEMORY
    )


def machine(device: str = "cpu") -> Json:
    """What the numbers were computed on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else platform.processor() or "cpu",
    }
