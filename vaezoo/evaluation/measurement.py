"""Numbers of a trained model: `evaluate(model, data)` gives a flat dict of floats, with the reasons
of what is left out.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..core import Model
from ..data.data import Data
from ..hooks import Metric
from ..samplers import Sampler
from .annealing import ais_log_likelihood, bdmc_gap
from .context import Evaluation, Measured, measure
from .metrics import (
    classification as labels,
    cost,
    disentanglement,
    imputation,
    likelihood,
    modes,
    outliers,
    reconstruction,
    representation as latent,
    samples as frechet,
    sequence,
)
from .metrics.likelihood import elbo_of, importance_log_likelihood, quadrature_log_likelihood

MODULES = (
    likelihood,
    reconstruction,
    frechet,
    latent,
    disentanglement,
    sequence,
    modes,
    outliers,
    imputation,
    labels,
    cost,
)  # each brings metrics by the hook that plugins use


def builtin_metrics() -> list[Metric]:
    """The metrics that come with the package, in the order of the tables."""
    return [metric for module in MODULES for metric in module.vaezoo_metrics()]


def controls(
    data: Data, seed: int = 0, split: str = "test", cache: Path | None = None
) -> dict[str, dict[str, float]]:
    """The control rows of all tables: row -> column -> number. They depend on the data alone."""
    parts = (
        frechet.controls(data, seed, split, cache),
        likelihood.controls(data, split),
        imputation.controls(data, split),
        data.published,
    )
    merged: dict[str, dict[str, float]] = {}
    for name, numbers in (row for part in parts for row in part.items()):
        merged.setdefault(name, {}).update(numbers)
    return merged


def evaluate(
    model: Model,
    data: Data,
    seed: int = 0,
    metrics: Sequence[Metric] | None = None,
    split: str = "test",
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    *,
    importance_samples: int | None = None,
    sampler: Callable[[], Sampler] | None = None,
    cache: Path | None = None,
) -> Measured:
    """Column -> number, of one split; `.reasons` says why a column is left out, `.settings` what a
    table's header must say.

    `metrics` are the built-in ones unless given; `progress` is called with a metric's name, its
    number and their count.
    """
    evaluation = Evaluation(model, data, seed, split, device, importance_samples, sampler, cache)
    return measure(evaluation, builtin_metrics() if metrics is None else metrics, progress)


__all__ = [
    "Evaluation", "Measured", "ais_log_likelihood", "bdmc_gap", "builtin_metrics", "controls", "elbo_of", "evaluate",
    "importance_log_likelihood", "quadrature_log_likelihood",
]  # fmt: skip
