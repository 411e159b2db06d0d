"""What data alone can do: samples without a model, and log p(x) with every entry on its own.

Metrics make their control rows of these.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..core import Unsupported
from ..data.data import Data
from ..likelihoods import head
from ..networks import step_mask
from ..seeds import generator_for, seeded
from .features import as_seen
from .yardsticks import APART, CODE, COPY, FACTORS, FLOOR, INDEPENDENT, NOISE, PAIRS, REAL, SHUFFLED

__all__ = [
    "APART",
    "CODE",
    "CONTROLS",
    "COPY",
    "FACTORS",
    "FLOOR",
    "INDEPENDENT",
    "NOISE",
    "PAIRS",
    "REAL",
    "SHUFFLED",
    "apart",
    "as_there",
    "independent_log_p",
    "mean_of",
]


def _floor(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "floor", data.identity, seed)
    return as_seen(data, "train")[torch.randperm(len(data.train), generator=g)[:n]]


def _copy(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "copy", data.identity, seed)
    return as_seen(data, "train")[torch.randint(len(data.train), (n,), generator=g)]


def _noise(data: Data, n: int, seed: int) -> Tensor:
    seen = data.train[~data.train.isnan()]
    g = generator_for("controls", "noise", data.identity, seed)
    return seen.mean() + seen.std() * torch.randn(n, *data.spec.shape, generator=g)


def _independent(data: Data, n: int, seed: int) -> Tensor:
    with seeded("controls", "independent", data.identity, seed):
        return head(data.spec).independent(data.train).sample(torch.Size((n,)))


CONTROLS: dict[str, Callable[[Data, int, int], Tensor]] = {
    FLOOR: _floor,  # training rows, each at most once
    COPY: _copy,  # drawn with replacement, as a model that memorised them would
    NOISE: _noise,  # with the mean and deviation of all entries
    INDEPENDENT: _independent,  # every entry on its own
}


def apart(data: Data, like: Tensor, g: torch.Generator) -> Tensor:
    """Sequences whose steps are drawn from all steps of the training rows, each on its own; as many
    and as long as those of `like` (B, T, C).
    """
    steps = data.train[step_mask(data.train)]  # (steps, C)
    there = step_mask(like)
    drawn = steps[torch.randint(len(steps), there.shape, generator=g)]
    return torch.where(there[..., None], drawn, torch.nan)


def as_there(x: Tensor, like: Tensor) -> Tensor:
    """Made-up x (N, *shape) with NaN where the real rows `like` have it."""
    return torch.where(like.isnan(), torch.nan, x)


def mean_of(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Column -> mean over draws that have the same columns."""
    found = {}
    for column in scores[0]:
        found[column] = sum(one[column] for one in scores) / len(scores)
    return found


def independent_log_p(data: Data, split: str = "test") -> Tensor | None:
    """log p(x) in nats with every entry on its own, (N,), fitted to the training split; None where
    the likelihood does not say how.
    """
    x = data.split(split)
    seen = ~x.isnan()
    try:
        log_p = head(data.spec).independent(data.train).log_prob(torch.nan_to_num(x))
    except Unsupported:
        return None
    return torch.where(seen, log_p, 0.0).double().flatten(1).sum(1)
