"""What a trial will cost, from a few of its steps and a part of its test rows, for plans."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from ...core import Model
from ...data.data import SPLITS, Data
from ...evaluation.failures import one_line
from ...evaluation.measuring import measure
from ...evaluation.subset import some_rows
from ...hooks import Metric
from ...training.budget import Budget, Diverged, EpochLog
from ...training.checkpoint import save
from ...training.training import fit
from ..trial import Json, Trial
from .machine import Clock, clock_of, peak_bytes
from .material import save_material
from .processes import Places
from .rebuild import build_model, data_of, evaluation_of, metrics_of

STEPS = 4  # minibatches of an epoch that is tried
EPOCHS = 12  # of them, at most
SECONDS = 0.4  # of them, after the first
ROWS = 400  # test rows that metrics are tried on; no fewer than that are all tried
GROWS = 1.4  # what takes less than this for twice the rows looks at a part of them
PAGES = 40_000  # bytes of trial.json, log and manifest
NUMBER = 20  # bytes of a number in history.csv


def costs(places: Places, trial: Trial) -> Json:
    """{"epoch": seconds of one, "fixed": seconds of all else, "memory": bytes, "disk": bytes}, or
    {"error": why they cannot be told}.
    """
    try:
        torch.set_num_threads(trial.threads)
        clock = clock_of(trial)
        start = clock()
        data = data_of(places, trial)
        model = build_model(places, trial)
        fixed = clock() - start
        epoch, numbers = _epoch(model, data, trial, clock)
        fixed += _prior(model, data, trial, clock)
        measured, of_rows = _evaluation(model, data, trial, metrics_of(places, trial), clock)
        start = clock()
        files = _files(model, data, trial.device)
        disk = files + of_rows + PAGES + NUMBER * numbers * trial.budget["epochs"]
        fixed += measured + clock() - start
        return {"epoch": epoch, "fixed": fixed, "memory": peak_bytes(), "disk": disk}
    except BaseException as error:  # its trial will say why
        return {"error": one_line(error)}


class _Enough(Exception):
    """The epochs that were tried suffice."""


def _epoch(model: Model, data: Data, trial: Trial, clock: Clock) -> tuple[float, int]:
    """Seconds of an epoch, and the numbers in its row of the learning curve."""
    asked = Budget(**trial.budget)
    few, share = _few_steps(data, asked)
    budget = replace(asked, epochs=EPOCHS, patience=EPOCHS, steps=0)
    ends: list[float] = []
    rows: list[EpochLog] = []

    def report(epoch: int, epochs: int, row: EpochLog) -> None:
        ends.append(clock())
        rows.append(row)
        if epoch > 1 and ends[-1] - ends[0] > SECONDS:
            raise _Enough

    try:
        fit(
            model,
            few,
            seed=trial.seed,
            budget=budget,
            report=report,
            device=trial.device,
            precision=trial.precision,
        )
    except _Enough:
        pass
    except Diverged:
        if len(ends) < 2:
            raise
    model.eval()
    return (ends[-1] - ends[0]) / (len(ends) - 1) / share, len(rows[0])


def _few_steps(data: Data, budget: Budget) -> tuple[Data, float]:
    """Data that one pass over is an epoch of `STEPS` minibatches at most, and what part of a whole
    epoch they are.
    """
    size = min(budget.batch, len(data.train))
    of_pass = len(data.train) // size
    of_epoch = budget.steps or of_pass
    tried = min(of_pass, of_epoch, STEPS)
    share = tried / of_epoch
    rows = {"train": tried * size, "validation": share * len(data.validation)}
    return _with_rows(data, rows), share


def _prior(model: Model, data: Data, trial: Trial, clock: Clock) -> float:
    """Seconds that a prior takes which is fitted after training."""
    size = min(len(data.train), STEPS * trial.budget["batch"])
    few = _with_rows(data, {"train": size})
    c = few.condition("train")
    x = few.binarised(few.train, torch.Generator()).to(trial.device)
    start = clock()
    model.fit_prior(x, None if c is None else c.to(trial.device))
    return (clock() - start) * len(data.train) / size


def _evaluation(
    model: Model, data: Data, trial: Trial, metrics: Sequence[Metric], clock: Clock
) -> tuple[float, int]:
    """Seconds of the metrics, and bytes of their numbers of rows."""
    n = len(data.test)
    more = 1 + sum(metric.of == "samples" for metric in metrics) * (len(trial.samplers) - 1)
    if n <= ROWS:
        seconds, of_rows = _measured(model, data, trial, metrics, clock)
        return sum(seconds.values()) * more, of_rows

    # Features of real data are kept for whole splits only: what is compared in them is left out,
    # and their draws are counted.
    few = [metric for metric in metrics if metric.of != "samples"]
    tried = {}
    of_rows = 0
    for rows in (ROWS // 2, ROWS):
        part = _with_rows(data, {"test": rows})
        tried[rows], of_rows = _measured(model, part, trial, few, clock)
    start = clock()
    model.sample(ROWS, _labels(part, trial.device))
    draws = (clock() - start) * n / ROWS * more
    return draws + _at(n, *tried.values()), of_rows * n // ROWS


def _at(n: int, half: Mapping[str, float], whole: Mapping[str, float]) -> float:
    """Seconds for n rows, from those for `ROWS / 2` and `ROWS` of them."""
    total = 0.0
    for name, seconds in whole.items():
        total += seconds
        if seconds > GROWS * half[name]:
            total += (seconds - half[name]) * 2 / ROWS * (n - ROWS)
    return total


def _measured(
    model: Model, data: Data, trial: Trial, metrics: Sequence[Metric], clock: Clock
) -> tuple[dict[str, float], int]:
    """Metric -> its seconds; and the bytes of its numbers of rows."""
    evaluation = evaluation_of(model, data, trial)
    if any(metric.of == "samples" for metric in metrics):
        for extractor in (evaluation.extractor, evaluation.random_extractor):
            extractor.real("test")  # made once for all trials
    ends = {"": clock()}

    def report(name: str, i: int, n: int) -> None:
        ends[name] = clock()

    found = measure(evaluation, metrics, report)
    times = list(ends.values())
    seconds = [after - before for before, after in pairwise(times)]
    of_rows = sum(4 * len(each) for each in found.rows.values())
    return dict(zip(list(ends)[1:], seconds, strict=True)), of_rows


def _files(model: Model, data: Data, device: str) -> int:
    """Bytes of the weights and of what figures are drawn from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(model, folder / "model.safetensors")
        save_material(model, data, folder, device)
        return sum(os.path.getsize(path) for path in folder.iterdir())


def _with_rows(data: Data, sizes: Mapping[str, float]) -> Data:
    """The data with at most so many rows in these splits."""
    rows = {name: some_rows(data, name, max(1, round(size))) for name, size in sizes.items()}

    def cut(by_split: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {k: v[rows[k]] if k in rows else v for k, v in by_split.items()}

    x = cut({name: data.split(name) for name in SPLITS})
    return replace(
        data,
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        labels=cut(data.labels),
        factors=cut(data.factors),
        truth=cut(data.truth),
    )


def _labels(data: Data, device: str) -> Tensor | None:
    c = data.condition("test")
    return None if c is None else c.to(device)
