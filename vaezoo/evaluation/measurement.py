"""Numbers of a trained model: `evaluate(model, data)` gives a flat dict of floats, with the reasons
of what is left out.

The metrics are those of the registry, whoever brings them.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from ..core import Model
from ..data.data import Data
from ..data.published import rows_beside
from ..hooks import Metric
from ..hyperparameters import did_you_mean, listed
from ..registry.registry import load_registry
from ..registry.selection import SelectionError
from ..samplers import Sampler
from .annealing import ais_log_likelihood, bdmc_gap
from .bounds import elbo_of, importance_log_likelihood
from .context import Evaluation
from .measuring import Measured, measure
from .metrics import likelihood
from .metrics.likelihood import quadrature_log_likelihood


def known_metrics() -> list[Metric]:
    """Every metric that is installed, ours among them, by name."""
    return list(load_registry().metrics.values())


def usual_metrics() -> list[Metric]:
    """Those of them that are measured where none is named, by name."""
    return [metric for metric in known_metrics() if not metric.asked]


def builtin_metrics() -> list[Metric]:
    """The usual metrics that come with the package, by name."""
    ours = likelihood.__package__
    return [metric for metric in usual_metrics() if metric.measure.__module__.startswith(ours)]


def measured_by_sampler(chosen: Iterable[Metric], known: Iterable[Metric]) -> list[Metric]:
    """The chosen metrics that are measured once for each sampler: those of samples, and those with
    a column in a table that a known metric of samples describes.
    """
    tables = {m.table.name for m in known if m.table and m.of == "samples"}
    found = []
    for metric in chosen:
        own = {column.table for column in metric.columns}
        if metric.of == "samples" or own & tables:
            found.append(metric)
    return found


def controls(data: Data, metrics: Iterable[Metric] | None = None) -> dict[str, dict[str, float]]:
    """The control rows of all tables: row -> column -> number. They depend on the data alone.

    They are those of `metrics`, else of every one that is known, those that the data brings, and
    what has been published.
    """
    chosen = known_metrics() if metrics is None else metrics
    brought = [metric.controls(data) for metric in chosen if metric.controls]
    if data.controls:
        brought.append(data.controls(data.test))
    merged: dict[str, dict[str, float]] = {}
    for rows in (*brought, rows_beside(data.name), data.published):
        for name, numbers in rows.items():
            merged.setdefault(name, {}).update(numbers)
    return merged


def evaluate(
    model: Model,
    data: Data,
    seed: int = 0,
    metrics: Sequence[Metric | str] | None = None,
    split: str = "test",
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    *,
    importance_samples: int | None = None,
    sampler: Callable[[], Sampler] | None = None,
    cache: Path | None = None,
) -> Measured:
    """Column -> number, of one split; `.reasons` says why a column is left out, `.settings` what a
    table's header must say; `.rows` has a number for each row, (N,), of columns that are means
    over them.

    `metrics` are the usual ones unless given, by name or as they are; `progress` is called with a
    metric's name, its number and their count.

    Raises: SelectionError for an unknown name.
    """
    evaluation = Evaluation(model, data, seed, split, device, importance_samples, sampler, cache)
    chosen = usual_metrics() if metrics is None else [_metric(one) for one in metrics]
    return measure(evaluation, chosen, progress)


def _metric(one: Metric | str) -> Metric:
    if not isinstance(one, str):
        return one
    known = load_registry().metrics
    if one not in known:
        raise SelectionError(
            f"there is no metric {one!r}{did_you_mean(one, known)}; there are {listed(known)}"
        )
    return known[one]


__all__ = [
    "Evaluation",
    "Measured",
    "ais_log_likelihood",
    "bdmc_gap",
    "builtin_metrics",
    "controls",
    "elbo_of",
    "evaluate",
    "importance_log_likelihood",
    "known_metrics",
    "measured_by_sampler",
    "quadrature_log_likelihood",
    "usual_metrics",
]
