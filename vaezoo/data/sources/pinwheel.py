"""A pinwheel in the plane, made so that its density is exact.

Johnson et al. 2016 (arXiv:1603.06277) turn each point by an angle that grows with its radial
coordinate. Here the angle grows with the distance from the centre: such a turn keeps areas, so log
p(x) is that of the Gaussian before it.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count, Positive, Real
from ...seeds import generator_for
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words

RADIAL = 0.3
TANGENTIAL = 0.1
CENTRE = 1.0  # an arm before it is turned: N((CENTRE, 0), diag(RADIAL, TANGENTIAL)²)


@tags("vector", "real", "small", "generated", "exact", "labelled")
def pinwheel(arms: Count = 5, twist: Real = 1.0, scale: Positive = 1.0, rows: Count = 4000) -> Data:
    """Points of a pinwheel, (2,), labelled by arm; log p(x) is exact."""
    name = named(pinwheel, arms=arms, twist=twist, scale=scale, rows=rows)
    drawn = {s: _draw(n, arms, twist, scale, name, s) for s, n in sizes(rows).items()}

    return Data(
        name=name,
        spec=Spec((2,), "normal", rows, classes=arms, latent=2, hidden=64, network="mlp"),
        **by_split({s: points for s, (points, _) in drawn.items()}),
        card=Card(
            "Pinwheel",
            GENERATED + ", after M. Johnson et al. 2016, arXiv:1603.06277",
            LICENCE,
            f"{arms} arms, not standardised; {sizes_in_words(rows)}",
        ),
        labels={s: arm for s, (_, arm) in drawn.items()},
        budget={"epochs": 150, "learning_rate": 2e-3},
        exact=partial(log_density, arms=arms, twist=twist, scale=scale),
    )


def _draw(
    rows: int, arms: int, twist: float, scale: float, *names: object
) -> tuple[Tensor, Tensor]:
    """Points (rows, 2), float32, and their arms (rows,)."""
    g = generator_for("pinwheel", *names)
    arm = torch.randint(arms, (rows,), generator=g)
    deviations = torch.tensor([RADIAL, TANGENTIAL]).double()
    straight = torch.randn(rows, 2, generator=g, dtype=torch.float64) * deviations
    straight[:, 0] += CENTRE
    turned = _turned(straight, _angle(straight, arm, arms, twist))
    return (scale * turned).float(), arm


def _angle(x: Tensor, arm: Tensor, arms: int, twist: float) -> Tensor:
    return 2 * math.pi * arm / arms + twist * x.norm(dim=-1)


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    c = angle.cos()
    s = angle.sin()
    return torch.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], -1)


def log_density(x: Tensor, arms: int, twist: float, scale: float) -> Tensor:
    """log p(x), (N, 2) -> (N,), in nats, float64: a mixture over the arms, each turned back."""
    x = (x.double() / scale)[:, None].expand(-1, arms, -1)
    straight = _turned(x, -_angle(x, torch.arange(arms, device=x.device), arms, twist))
    a = (straight[..., 0] - CENTRE) / RADIAL
    b = straight[..., 1] / TANGENTIAL
    log_p = -0.5 * (a * a + b * b) - math.log(2 * math.pi * RADIAL * TANGENTIAL)
    return log_p.logsumexp(-1) - math.log(arms) - 2 * math.log(scale)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [pinwheel]
