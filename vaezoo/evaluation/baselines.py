"""What data alone can do: samples without a model, and log p(x) with every entry on its own.

Metrics make their control rows of these.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.data import Data
from ..seeds import generator_for
from .features import as_seen


def _floor(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "floor", data.name, seed)
    return as_seen(data, "train")[torch.randperm(len(data.train), generator=g)[:n]]


def _copy(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "copy", data.name, seed)
    return as_seen(data, "train")[torch.randint(len(data.train), (n,), generator=g)]


def _noise(data: Data, n: int, seed: int) -> Tensor:
    seen = data.train[~data.train.isnan()]
    g = generator_for("controls", "noise", data.name, seed)
    return seen.mean() + seen.std() * torch.randn(n, *data.spec.shape, generator=g)


def _independent(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "independent", data.name, seed)
    if data.spec.likelihood == "bernoulli":
        return torch.bernoulli(_rates(data.train).expand(n, *data.spec.shape), generator=g)
    mean, deviation = _moments(data.train)
    return mean + deviation * torch.randn(n, *mean.shape, generator=g)


CONTROLS: dict[str, Callable[[Data, int, int], Tensor]] = {
    "test vs train (floor)": _floor,  # training rows, each at most once
    # training rows drawn with replacement, as a model that memorised them would
    "copy of the training set": _copy,
    "Gaussian noise": _noise,  # with the mean and deviation of all entries
    "independent pixels": _independent,  # every entry on its own
}


def _rates(x: Tensor) -> Tensor:
    """The mean of every bit, kept off 0 and 1 by one made-up row of each."""
    seen = ~x.isnan()
    return (torch.where(seen, x, 0.0).sum(0) + 1) / (seen.sum(0) + 2)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every entry, from the rows that have it."""
    seen = ~x.isnan()
    count = seen.sum(0).clamp_min(1)
    mean = torch.where(seen, x, 0.0).sum(0) / count
    spread = torch.where(seen, (x - mean).square(), 0.0).sum(0) / count
    return mean, spread.sqrt().clamp_min(1e-3)


def independent_log_p(data: Data, split: str = "test") -> Tensor | None:
    """log p(x) in nats with every entry on its own, (N,), by the training split's moments; None for
    other likelihoods.
    """
    x = data.split(split)
    if data.spec.likelihood == "bernoulli":
        rates = _rates(data.train)
        log_p = x * rates.log() + (1 - x) * (1 - rates).log()
    elif data.spec.likelihood == "normal":
        mean, deviation = _moments(data.train)
        log_p = torch.distributions.Normal(mean, deviation, validate_args=False).log_prob(x)
    else:
        return None
    return torch.where(x.isnan(), 0.0, log_p).double().flatten(1).sum(1)
