"""Sequences from a linear-Gaussian state space, whose log-likelihood the Kalman filter knows: the
limit of any model.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...hooks import hookimpl, tags
from ...hyperparameters import Count
from ...seeds import generator_for
from ..data import Card, Data, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words
from ..kalman import LinearGaussian
from ..state_spaces import Missing, of_states


def state_space(states: int, channels: int, *names: object) -> LinearGaussian:
    """A stable random state space: damped rotations (0.95 a step), each channel of unit-norm
    weights, little noise.
    """
    g = generator_for("state space", states, channels, *names)
    random = torch.randn(states, states, generator=g, dtype=torch.float64)
    rotation = torch.linalg.matrix_exp(0.5 * (random - random.T))
    h = torch.randn(channels, states, generator=g, dtype=torch.float64)
    identity = torch.eye(states, dtype=torch.float64)
    return LinearGaussian(
        transition=0.95 * rotation,
        # so that every state has variance 1 at every step
        transition_noise=(1 - 0.95**2) * identity,
        observation=h / h.norm(dim=1, keepdim=True),
        observation_noise=0.05 * torch.eye(channels, dtype=torch.float64),
        mean=torch.zeros(states, dtype=torch.float64),
        covariance=identity,
    )


@tags("sequence", "real", "generated", "exact")
def lgssm(
    steps: Count = 24,
    channels: Count = 4,
    states: Count = 2,
    rows: Count = 2000,
    missing: Missing = 0.0,
) -> Data:
    """Linear-Gaussian sequences, steps × channels, of exact log p(x).

    `missing` is the fraction of entries left out.
    """
    name = named(lgssm, steps=steps, channels=channels, states=states, rows=rows, missing=missing)
    model = state_space(states, channels)
    x = {s: _draw(model, n, steps, missing, name, s) for s, n in sizes(rows).items()}
    card = Card(
        "Linear-Gaussian state space",
        GENERATED,
        LICENCE,
        f"{states} states of variance 1, damped 0.95 a step, noise variance 0.05; "
        f"not standardised; {sizes_in_words(rows)}; "
        f"{missing:.0%} of the entries missing at random",
    )
    return of_states(name, model, x, card, missing)


def _draw(model: LinearGaussian, rows: int, steps: int, missing: float, *names: object) -> Tensor:
    x = model.draw(rows, steps, generator_for("lgssm", *names))[1].float()
    out = torch.rand(x.shape, generator=generator_for("missing", *names)) < missing
    return torch.where(out, torch.nan, x)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [lgssm]
