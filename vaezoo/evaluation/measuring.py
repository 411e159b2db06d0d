"""Metrics applied to one evaluation: what cannot be had, what fails and what cannot be is left out
with the reason.
"""

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core import Unsupported
from ..hooks import Column, Metric
from ..row_mean import RowMean
from .context import Evaluation, Setting
from .failures import one_line
from .faults import examine
from .possible import outside

Report = Callable[[str, int, int], None]  # a metric's name, its number and their count


# Metrics that compare with labels: of data that lacks some, they see the rows that have one.
OF_LABELS = ("accuracy", "probes")
EXAMINED = Metric("faults", (), examine)
LARGEST = 1e100  # a number, at most: its square is a number too


class Measured(dict[str, float]):
    """The answer of `evaluate`: column -> number. What is left out has its reason in `reasons`."""

    reasons: dict[str, str]
    refused: dict[str, str]  # column -> what was seen that cannot be; among the reasons too
    settings: dict[str, Setting]
    # column -> (N,), float32: a number a row of the split, of which the column is the mean
    rows: dict[str, Tensor]
    seconds: dict[str, float]


def measure(
    evaluation: Evaluation, metrics: Sequence[Metric], progress: Report | None = None
) -> Measured:
    """Every column of these metrics. What a model cannot do, what fails and what cannot be is left
    out with the reason.
    """
    evaluation.data.must_fit(evaluation.model)
    found: dict[str, float] = {}
    seconds = {}
    training = evaluation.model.training
    evaluation.model = evaluation.model.to(evaluation.device).eval()
    try:
        for i, metric in enumerate(metrics):
            start = time.perf_counter()
            found |= _measure_one(evaluation, metric)
            seconds[metric.name] = time.perf_counter() - start
            if progress:
                progress(metric.name, i + 1, len(metrics))
        if not evaluation.is_examined and _rest_on_densities(metrics, found):
            _measure_one(evaluation, EXAMINED)
    finally:
        evaluation.model.train(training)

    # what is broken is known once all have looked
    for metric in metrics:
        for column in metric.columns:
            if column.name in found:
                _judge(evaluation, column, found)
    return _possible(evaluation, found, seconds)


def _judge(evaluation: Evaluation, column: Column, found: dict[str, float]) -> None:
    """Refuses the column's number where it rests on a broken density, where its own column says
    that it cannot be, and where it is none without a reason of its metric's; with one it is left
    out.
    """
    name = column.name
    value = found[name]
    evaluation.refuse([name], _broken(evaluation, column))
    evaluation.refuse([name], outside(column, value, evaluation.settings))
    if not abs(value) <= LARGEST and name not in evaluation.refused:  # NaN is none of them
        if name in evaluation.reasons:
            del found[name]
        else:
            evaluation.refuse([name], f"{name} came out as {value:g}")


def _rest_on_densities(metrics: Sequence[Metric], found: Mapping[str, float]) -> bool:
    """Whether a column that was found does."""
    columns = [column for metric in metrics for column in metric.columns]
    return any(column.rests_on and column.name in found for column in columns)


def _broken(evaluation: Evaluation, column: Column) -> str:
    """What was seen of a density that the column is computed from. The codes of a sampler that was
    fitted do not come from p(z).
    """
    for density in column.rests_on.split(","):
        seen = evaluation.faults.get(density, "")
        if seen and not (density == "p" and evaluation.has_sampler):
            return seen
    return ""


def _possible(
    evaluation: Evaluation, found: Mapping[str, float], seconds: dict[str, float]
) -> Measured:
    """What was found without what was refused."""
    refused = {column: seen for column, seen in evaluation.refused.items() if column in found}
    for column, seen in refused.items():
        evaluation.say(column, f"refused: {seen}")
    left = {name: value for name, value in found.items() if name not in refused}
    answer = Measured({name: float(value) for name, value in left.items()})
    answer.rows = {
        name: value.of_rows.float().cpu()
        for name, value in left.items()
        if isinstance(value, RowMean) and math.isfinite(value)
    }
    answer.reasons = evaluation.reasons
    answer.refused = refused
    answer.settings = evaluation.settings
    answer.seconds = seconds
    return answer


def _number(value: float) -> float:
    return value if isinstance(value, RowMean) else float(value)


def _measure_one(evaluation: Evaluation, metric: Metric) -> dict[str, float]:
    try:
        with torch.no_grad(), evaluation.noise("metric", metric.name):
            if evaluation.data.spec.unlabelled and metric.name in OF_LABELS:
                labelled = replace(evaluation, data=evaluation.data.labelled())
                return {column: float(v) for column, v in metric.measure(labelled).items()}
            found = metric.measure(evaluation)
            # another metric's column is not this one's to say
            own = [column.name for column in metric.columns if column.name in found]
            return {name: _number(found[name]) for name in own}
    except Unsupported as why:
        reason = str(why)
    except Exception as error:  # a metric that fails costs its own columns, not the trained model
        traceback.print_exc()
        reason = f"{metric.name} failed: {one_line(error)}"
    for column in metric.columns:
        evaluation.reasons.setdefault(column.name, reason)
    return {}
