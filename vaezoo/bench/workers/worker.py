"""What runs in a process of its own: to describe a data set, to try a builder, to warm the caches,
to train one trial.

Arguments and answers are JSON-like. What a trial prints goes to its log; what it raises becomes its
status.
"""

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from ...core import Model, Spec, Unsupported
from ...data.data import Data
from ...evaluation.context import one_line
from ...hooks import Metric
from ...samplers import PRIOR, own_prior
from ...seeds import seeded
from ...training.budget import Budget, Diverged, EpochLog
from ...training.training import fit
from ..store import PID, PROGRESS, Json, Store, is_full, to_json

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)


def describe_data(source: Json, label: str, sizes: Sequence[Json] = ({},)) -> Json:
    """Name, spec, hashes and budget of a data set, and for each of the sizes (fields of the spec
    that `--set` changes) why its likelihood is not for these values, or "".

    {"error": why} where the data cannot be loaded.
    """
    try:
        data = _data(source, label)
        facts = {
            "name": data.name,
            "spec": asdict(data.spec),
            "hashes": dict(data.hashes),
            "budget": dict(data.budget),
        }
        return facts | {"unfit": [_why_unfit(data, size) for size in sizes]}
    except Exception as error:
        return {"error": f"data set {label}: {error}"}


def _why_unfit(data: Data, size: Json) -> str:
    spec = replace(data.spec, **size)
    why = replace(data, spec=spec).why_not(spec.likelihood)
    return f"{why}; there it can be {', '.join(data.likelihoods)}" if why else ""


def why_not(source: Json, trial: Json) -> Json:
    """{"skip": reason} where the variant says `Unsupported` when it is built for this spec, else
    {}.
    """
    try:
        _silence(Path(os.devnull))
        _build(source, trial)
    except Unsupported as why:
        return {"skip": str(why)}
    except BaseException as error:  # its trial will fail with the cause
        return {"error": str(error)}
    return {}


def warm(source: Json, trial: Json) -> Json:
    """Data, feature extractor and control rows of one data set, so that trials find them in the
    cache.

    {"controls": row -> column -> number} or {"error": why there are none}.
    """
    try:
        torch.set_num_threads(max(1, trial["threads"]))
        data = _data_of_trial(source, trial)
        from ...evaluation.measurement import controls

        return {"controls": controls(data, _registry(source).metrics.values())}
    except Exception as error:
        return {"error": one_line(error)}


def run_trial(source: Json, trial: Json, out: str, folder: str, shared: Json) -> Json:
    """Trains and evaluates one trial and renames its folder into place; {"full": sentence} where
    the disk took no more.
    """
    key = shared["key"]
    building = Path(folder)
    store = Store(out)
    try:
        building.mkdir()
        (building / PID).write_text(str(os.getpid()))
        _silence(building / "log.txt")
        record = _record(source, trial, building)
        (building / "trial.json").write_text(to_json(shared | record), encoding="utf-8")
        store.commit(building, key)
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
    data = _data_of_trial(source, trial)
    device = trial["device"]
    model = _build(source, trial)
    budget = Budget(**trial["budget"])
    history = fit(
        model, data, seed=trial["seed"], budget=budget, report=_Reporter(folder), device=device
    )
    _note(folder, stage="evaluation")
    measured, described = _measured(source, trial, model, data)
    samplers = _measured_by_sampler(source, trial, model, data)
    from ...training.checkpoint import save
    from .material import save_material

    save(model, folder / "model.safetensors")
    save_material(model, data, folder, device)
    return {
        "status": "done",
        "metrics": {"train_seconds": history.seconds, "parameters": _size(model)} | dict(measured),
        "reasons": dict(measured.reasons),
        "settings": dict(measured.settings),
        "evaluation_seconds": dict(measured.seconds),
        "samplers": samplers,
        "prior": own_prior(model),
        "best_epoch": history.best_epoch,
        "epochs": len(history.rows),
    } | described


def _measured(source: Json, trial: Json, model: Model, data: Data) -> tuple[Any, Json]:
    """What the metrics say, and what they say of themselves."""
    from ...evaluation.context import Evaluation, measure
    from ..report.catalogue import described

    metrics = _metrics(source, trial)
    evaluation = Evaluation(
        model,
        data,
        trial["seed"],
        device=trial["device"],
        importance_samples=trial["importance_samples"],
    )
    measured = measure(
        evaluation, metrics, lambda name, i, n: _note(Path(os.environ["VAEZOO_TRIAL"]), stage=name)
    )
    return measured, described(metrics)


def _measured_by_sampler(source: Json, trial: Json, model: Model, data: Data) -> Json:
    """Label of a sampler -> what the metrics of samples say when its draws are decoded by the same
    trained model.
    """
    from ...evaluation.context import Evaluation, measure
    from ...evaluation.measurement import measured_by_sampler

    known = _registry(source).samplers
    found = {}
    every = _registry(source).metrics.values()
    metrics = measured_by_sampler(_metrics(source, trial), every)
    for chosen in (one for one in trial["samplers"] if one["name"] != PRIOR):
        sampler = partial(known[chosen["name"]], data.spec, chosen["hyperparameters"])
        measured = measure(
            Evaluation(model, data, trial["seed"], device=trial["device"], sampler=sampler), metrics
        )
        found[chosen["label"]] = {
            "metrics": dict(measured),
            "reasons": measured.reasons,
            "seconds": measured.seconds,
        }
    return found


def _metrics(source: Json, trial: Json) -> list[Metric]:
    known = _registry(source).metrics
    return [known[name] for name in (trial["metrics"] or sorted(known))]


def _size(model: Model) -> float:
    return float(sum(p.numel() for p in model.parameters()))


def _registry(source: Json) -> Any:
    return _loaded(source["plugins_dir"])


@cache
def _loaded(plugins_dir: str | None) -> Any:
    from ...registry import registry

    return registry.load(plugins_dir)


def _data(source: Json, label: str) -> Data:
    from ...data.files import Files

    choice = _registry(source).choose_datasets(label)[0]
    return choice.load(Files(source["data_dirs"], offline=source["offline"]))


def _data_of_trial(source: Json, trial: Json) -> Data:
    data = _data(source, trial["dataset"])
    if data.hashes != trial["data"]["hashes"]:
        raise ValueError(
            f"data set {data.name} is not what it was when the run was planned: its hashes differ"
        )
    return replace(data, spec=_spec(trial))


def _spec(trial: Json) -> Spec:
    return Spec(**trial["spec"] | {"shape": tuple(trial["spec"]["shape"])})


def _build(source: Json, trial: Json) -> Model:
    """The model, its weights a function of the seed alone: variants that share networks start from
    the same ones.
    """
    variant = _registry(source).variants[trial["name"]]
    with seeded("weights", trial["seed"]):
        return variant(_spec(trial), **trial["hyperparameters"])


class _Reporter:
    """Writes the learning curve as it grows, and a small file that the progress bars read."""

    def __init__(self, folder: Path) -> None:
        os.environ["VAEZOO_TRIAL"] = str(folder)
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


def _silence(path: Path) -> None:
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
