"""Normals on a circle: whether a model reaches all of them can be counted."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count, Positive
from ...seeds import generator_for
from ..data import Card, Data, Modes, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words

NEAR = 3.0  # deviations within which a point belongs to its mode (Metz et al. 2017)


@tags("vector", "real", "generated", "exact", "modes")
def ring(modes: Count = 8, deviation: Positive = 0.05, rows: Count = 4000) -> Data:
    """Points of the plane from normals of equal weight, evenly on a circle of radius 1."""
    name = named(ring, modes=modes, deviation=deviation, rows=rows)
    centres = _centres(modes)
    x = {s: _draw(centres, deviation, n, name, s) for s, n in sizes(rows).items()}

    return Data(
        name=name,
        spec=Spec((2,), "normal", rows, latent=2, hidden=128, network="mlp"),
        card=Card(
            "Ring of normals",
            GENERATED,
            LICENCE,
            f"{modes} normals of deviation {deviation:g} and equal weight on a circle of radius 1; "
            f"{sizes_in_words(rows)}; after Metz et al. 2017, arXiv:1611.02163, "
            "whose radius is 2 and deviation 0.02",
        ),
        budget={"epochs": 200, "learning_rate": 2e-3, "patience": 40},
        exact=lambda x: _log_density(x, centres, deviation),
        modes=Modes(modes, 2500, lambda x: _nearest(x, centres, deviation)),
        **by_split(x),
    )


def _centres(n: int) -> Tensor:
    angle = 2 * math.pi * torch.arange(n) / n
    return torch.stack([angle.cos(), angle.sin()], 1)


def _draw(centres: Tensor, deviation: float, rows: int, *names: object) -> Tensor:
    g = generator_for("ring", *names)
    which = torch.randint(len(centres), (rows,), generator=g)
    return centres[which] + deviation * torch.randn(rows, 2, generator=g)


def _log_density(x: Tensor, centres: Tensor, deviation: float) -> Tensor:
    """(N, 2) -> (N,), in nats, float64."""
    squared = (x.double()[:, None] - centres.double().to(x.device)).square().sum(-1)
    each = -0.5 * squared / deviation**2 - math.log(2 * math.pi * deviation**2)
    return each.logsumexp(1) - math.log(len(centres))


def _nearest(x: Tensor, centres: Tensor, deviation: float) -> Tensor:
    """(N, 2) -> (N,) int64: the nearest mode, -1 for a point that is further than `NEAR` deviations
    from all.
    """
    distance, which = torch.cdist(x, centres).min(1)
    return torch.where(distance <= NEAR * deviation, which, -1)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [ring]
