"""What the figures of a trial are drawn from: figures.safetensors, so that they can be redrawn
without data and model.

Material that does not apply to the model or its data is missing, and so is what failed: no trial
fails by a figure.
"""

import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ...core import Model, Unsupported
from ...data.data import Data
from ...distributions import at_centre
from ...evaluation.batches import batches
from ...evaluation.conditioning import samples_by_label
from ...evaluation.metrics.units import mean_of_each
from ...evaluation.prediction import PATHS, forecast, quantiles
from ...evaluation.subset import some_rows
from ...networks import step_mask
from ...seeds import seeded
from ...stepwise import Stepwise
from .across import across
from .latents import cloud, codebook, interpolations, latent_map, neighbours, traversals

ROWS = 8
SAMPLES = 32
FORECASTS = 4
AHEAD = 24  # rows, steps
# paths where a mean is all that is drawn and each step of them costs a passage through the whole
# model
FEW = 24
CLASSES = 10
LINES = 3
MOST = 1000  # rows over which the KL of units is the mean
PIECE = 100  # of them at a time
POINTS = 100  # at most so many classes; pictures of each, or points in the plane

Arrays = dict[str, Tensor]
Kind = Callable[[Model, Data, str], Arrays]


@torch.no_grad()
def save_material(model: Model, data: Data, folder: Path, device: str) -> None:
    """Writes figures.safetensors. Every kind is drawn from the same seed, so that one more changes
    no other.
    """
    from safetensors.torch import save_file

    model.eval()
    arrays: Arrays = {}
    for kind in KINDS:
        arrays |= _made(kind, model, data, device)
    save_file(
        {name: array.detach().float().cpu().contiguous() for name, array in arrays.items()},
        folder / "figures.safetensors",
    )


def _made(kind: Kind, model: Model, data: Data, device: str) -> Arrays:
    try:
        with seeded("figures", data.identity):
            return kind(model, data, device)
    except Unsupported:
        return {}
    except Exception:  # the log says why the figure lacks this row; the trained model is kept
        traceback.print_exc()
        return {}


def _reconstructions(model: Model, data: Data, device: str) -> Arrays:
    """The first test rows and the means of p(x|z) at the centres of their codes."""
    x = data.test[:ROWS].to(device)
    with at_centre():
        return {
            "x": x,
            "reconstruction": model.infer(x, _labels(data, slice(ROWS), device)).px.mean[0],
        }


def _samples(model: Model, data: Data, device: str) -> Arrays:
    """Means of p(x|z) for draws of the prior, labels as in the test split."""
    n = min(SAMPLES, len(data.test))
    return {"samples": model.sample(n, _labels(data, slice(n), device), mean=True)}


def _forecasts(model: Model, data: Data, device: str) -> Arrays:
    """Of sequences: test rows that are long enough, and mean and quantiles of the ways on from
    their first steps.

    What is seen ends in the middle of the sequence of median length, what is told at its end or
    after `AHEAD` steps.
    """
    if not data.spec.is_sequence:
        return {}
    lengths = step_mask(data.test).sum(1)
    median = int(lengths.median())
    start = median // 2
    stop = min(start + AHEAD, median)
    if start < 1:
        return {}
    rows = (lengths >= stop).nonzero().squeeze(1)[:FORECASTS]
    x = data.test[rows, :stop].to(device)
    k = FEW if _is_binary(x) and not isinstance(model, Stepwise) else PATHS
    draws, means = forecast(
        model, x, _labels(data, rows, device), start, stop, k, data.spec.has_gaps
    )
    arrays = {"forecast_truth": x, "forecast_mean": means.mean(0)}
    return arrays if _is_binary(x) else arrays | {"forecast_quantiles": quantiles(draws)}


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1) | x.isnan()).all())


def _by_class(model: Model, data: Data, device: str) -> Arrays:
    """Of a model whose samples read the label: means of p(x|z), (lines, classes, *shape), and as
    many test rows.

    Every class is drawn from the same noise.
    """
    if not data.labels or not samples_by_label(model, data.spec.classes, device):
        return {}
    n = POINTS if len(data.spec.shape) == 1 else LINES
    columns = []
    for c in torch.eye(data.spec.classes, device=device)[:CLASSES]:
        with seeded("figures", data.identity):
            columns.append(model.sample(n, c.expand(n, -1), mean=True))
    return {
        "by_class": torch.stack(columns, 1),
        "by_class_data": _rows_by_class(data, n, len(columns)),
    }


def _units(model: Model, data: Data, device: str) -> Arrays:
    """E_x KL(q(z_j|x) ‖ p(z_j)) of every unit, (D,), in nats, over a part of the test split."""
    if model.no_density:
        return {}
    rows = some_rows(data, "test", MOST)
    c = _labels(data, rows, device)
    return {"kl_of_units": mean_of_each(model, batches(data.test[rows].to(device), c, PIECE))}


def _rows_by_class(data: Data, n: int, classes: int) -> Tensor:
    """The first n test rows of every class, (n, classes, *shape), NaN where there are fewer."""
    found = data.test.new_full((n, classes, *data.spec.shape), torch.nan)
    for k in range(classes):
        rows = data.test[data.labels["test"] == k][:n]
        found[: len(rows), k] = rows
    return found


def _labels(data: Data, rows: slice | Tensor, device: str) -> Tensor | None:
    c = data.condition("test")
    return None if c is None else c[rows].to(device)


KINDS: tuple[Kind, ...] = (
    _reconstructions,
    _samples,
    _forecasts,
    _by_class,
    _units,
    cloud,
    traversals,
    interpolations,
    latent_map,
    neighbours,
    codebook,
    across,
)
