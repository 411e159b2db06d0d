"""A ball in a box, filmed: binary frames as a sequence, in the manner of Sutskever et al. 2008 and
Fraccaro et al. 2017.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count
from ...seeds import generator_for
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words

RADIUS = 0.2  # of a box that is 1 wide


@tags("sequence", "binary", "generated")
def bouncing_ball(
    steps: Count = 20, side: Count = 8, variable: bool = False, rows: Count = 1000
) -> Data:
    """Films of a bouncing ball, steps × side² pixels.

    `variable` gives each a length of its own, half the steps or more.
    """
    name = named(bouncing_ball, steps=steps, side=side, variable=variable, rows=rows)
    x = {s: _draw(n, steps, side, variable, name, s) for s, n in sizes(rows).items()}
    lengths = (
        f"{(steps + 1) // 2} to {steps} steps, padded with NaN" if variable else f"{steps} steps"
    )
    return Data(
        name=name,
        spec=Spec(
            (steps, side * side),
            "bernoulli",
            rows,
            has_gaps=variable,
            latent=8,
            hidden=64,
            network="rnn",
        ),
        **by_split(x),
        card=Card(
            "Bouncing ball",
            GENERATED + ", after M. Fraccaro et al. 2017, arXiv:1710.05741",
            LICENCE,
            f"{side}×{side} binary frames, row by row; {lengths}; {sizes_in_words(rows)}",
        ),
        budget={"epochs": 100, "learning_rate": 2e-3, "patience": 15},
    )


def _draw(rows: int, steps: int, side: int, variable: bool, *names: object) -> Tensor:
    """(rows, steps, side²), float32."""
    g = generator_for("bouncing_ball", *names)
    start = torch.rand(rows, 1, 2, generator=g, dtype=torch.float64)
    speed = 0.1 + 0.2 * torch.rand(rows, 1, 2, generator=g, dtype=torch.float64)
    frames = _frames(_bounced(start * 2 + speed * torch.arange(steps)[:, None]), side)
    if variable:
        shortest = (steps + 1) // 2
        length = torch.randint(shortest, steps + 1, (rows, 1), generator=g)
        frames[torch.arange(steps) >= length] = torch.nan
    return frames


def _bounced(way: Tensor) -> Tensor:
    """A coordinate that runs straight on, folded back into [0, 1] as by the walls; period 2."""
    return 1 - (way % 2 - 1).abs()


def _frames(centre: Tensor, side: int) -> Tensor:
    """Centres (N, T, 2) in [0, 1] -> frames (N, T, side²): a pixel is 1 where its centre is inside
    the ball.
    """
    pixel = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    centre = RADIUS + (1 - 2 * RADIUS) * centre
    dx = pixel - centre[..., :1]
    dy = pixel - centre[..., 1:]
    return ((dy[..., :, None] ** 2 + dx[..., None, :] ** 2) <= RADIUS**2).float().flatten(-2)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [bouncing_ball]
