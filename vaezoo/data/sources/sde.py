"""Sequences from a linear stochastic differential equation, seen at irregular times, whose
log-likelihood the Kalman filter knows.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...hooks import hookimpl, tags
from ...hyperparameters import Count
from ...seeds import generator_for
from ..data import Card, Data, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words
from ..kalman import LinearGaussian
from ..state_spaces import Missing, of_states

Steps = Annotated[int, Field(ge=2)]

DAMPING = 0.1  # γ: what a state forgets in a unit of time
NOISE = 0.05  # variance of an observation
LEAST = 0.05  # the shortest gap: two times that are one would make a covariance singular


def linear_sde(times: Tensor, states: int, channels: int) -> LinearGaussian:
    """dz = (S - γ I) z dt + √(2 γ) dw with S antisymmetric, z_0 ~ N(0, I), seen at `times` (T,).

    Each state has variance 1 at all times, for S only turns. Over a gap Δ it moves by
    exp((S - γ I) Δ), and the noise that it meets has the variance 1 - exp(-2 γ Δ) (Särkkä & Solin
    2019, Applied Stochastic Differential Equations, §6.2). One state is an Ornstein–Uhlenbeck
    process, whose covariance is exp(-γ |t - t'|), the Matérn of order 1/2.
    """
    g = generator_for("linear sde", states, channels)
    random = torch.randn(states, states, generator=g, dtype=torch.float64)
    h = torch.randn(channels, states, generator=g, dtype=torch.float64)
    identity = torch.eye(states, dtype=torch.float64)
    drift = 0.3 * (random - random.T) - DAMPING * identity
    gaps = times.diff()[:, None, None]  # (T - 1, 1, 1)
    return LinearGaussian(
        transition=torch.linalg.matrix_exp(drift * gaps),
        transition_noise=(1 - torch.exp(-2 * DAMPING * gaps)) * identity,
        observation=h / h.norm(dim=1, keepdim=True),
        observation_noise=NOISE * torch.eye(channels, dtype=torch.float64),
        mean=torch.zeros(states, dtype=torch.float64),
        covariance=identity,
    )


def times_of(steps: int, irregular: bool) -> Tensor:
    """(T,) float64: 0, 1, 2 …, or arrivals from 0 on, at gaps of 0.05 and an
    exponential time, 1 in the mean.
    """
    if not irregular:
        return torch.arange(steps, dtype=torch.float64)
    g = generator_for("times", steps)
    chance = torch.rand(steps - 1, generator=g, dtype=torch.float64)
    gaps = LEAST - (1 - LEAST) * torch.log1p(-chance)
    return torch.cat([gaps.new_zeros(1), gaps.cumsum(0)])


@tags("sequence", "real", "generated", "exact", "missing", "times")
def sde(
    steps: Steps = 40,
    channels: Count = 3,
    states: Count = 2,
    rows: Count = 2000,
    missing: Missing = 0.5,
    irregular: bool = True,
) -> Data:
    """A linear SDE seen at irregular times, steps × channels, of exact log p(x).

    All rows share the times, and each row lacks a `missing` share of them, by chance.
    """
    name = named(
        sde,
        steps=steps,
        channels=channels,
        states=states,
        rows=rows,
        missing=missing,
        irregular=irregular,
    )
    times = times_of(steps, irregular)
    model = linear_sde(times, states, channels)
    x = {split: _draw(model, n, steps, missing, name, split) for split, n in sizes(rows).items()}
    when = "the arrivals of a Poisson process of rate 1" if irregular else "equally spaced"
    card = Card(
        "Linear stochastic differential equation",
        GENERATED,
        LICENCE,
        f"{states} states of variance 1 that turn and forget {DAMPING:g} in a unit of time, "
        f"noise variance {NOISE:g}; times {when}, the same for all rows; not standardised; "
        f"{sizes_in_words(rows)}; {missing:.0%} of the steps of each row missing at random",
    )
    return of_states(name, model, x, card, missing, tuple(times.tolist()) if irregular else ())


def _draw(model: LinearGaussian, rows: int, steps: int, missing: float, *names: object) -> Tensor:
    """(rows, steps, C), float32, whole steps NaN; of a row that would lose all one stays."""
    x = model.draw(rows, steps, generator_for("sde", *names))[1].float()
    draws = torch.rand(rows, steps, generator=generator_for("missing steps", *names))
    gone = draws < missing
    best = draws.argmax(1, keepdim=True)
    gone = gone.scatter(1, best, torch.zeros_like(gone[:, :1]))
    return torch.where(gone[..., None], torch.nan, x)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [sde]
