"""The heads that turn a network's raw numbers into p(x|z): one class a likelihood.

A network gives `raw` (K, B, *shape) for a head that asks one number of every entry, (K, B, *shape,
n) for one that asks n. A likelihood is a part: a plugin adds one by `Part("name", Head)`, and a
spec names it in text, see `parts`. What is true of a likelihood stands on its class and nowhere
else: its values, whether it is a probability, what it says of data with every entry on its own.
"""

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from .core import Spec, Unsupported
from .distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Grid,
    Levels,
    Normal,
    Observed,
)
from .hooks import Part, Parts, hookimpl
from .hyperparameters import HyperparameterError
from .parts import find, register

__all__ = [
    "BernoulliHead",
    "CategoricalHead",
    "ContinuousBernoulliHead",
    "Likelihood",
    "LogisticHead",
    "NormalHead",
    "head",
    "moments",
    "numbers_of",
    "start_scale",
]


class Likelihood(nn.Module):
    """p(x|raw), independent over the entries of x."""

    part_kind = "likelihood"
    support: Constraint  # the values that x may take: `constraints.boolean`, `Grid(256)` …
    values = ""  # the same in words
    is_discrete = False  # a probability mass, so that bits per dimension mean something
    mixes = False  # laws of several kinds in one x: no other head's log p compares with it
    # Learning-rate factor of the head's own numbers. Adam moves a number by the learning rate, and
    # the logarithm of a scale has farther to go than a weight.
    lr = 1.0

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.event_dims = len(spec.shape)
        self.has_gaps = spec.has_gaps

    @staticmethod
    def numbers(spec: Spec) -> int:
        """Raw numbers that the head asks of every entry."""
        return 1

    @abstractmethod
    def each(self, raw: Tensor) -> Distribution:
        """The distribution of every entry; its `mean` is the mean."""

    def independent(self, train: Tensor) -> Distribution:
        """Every entry on its own, fitted to the rows (N, *shape) without their NaN: a batch of
        `shape`. What a model must beat.

        Raises: Unsupported for a head that is no likelihood of data, but some variant's own.
        """
        raise Unsupported(f"{type(self).__name__} does not say how it is fitted to data alone")

    def raw_at(self, mean: Tensor) -> Tensor:
        """Raw numbers (*shape[, n]) at which an entry has about this mean (*shape).

        Raises: Unsupported where the head does not say; only bias=mean asks.
        """
        raise Unsupported(f"{type(self).__name__} does not say which raw numbers give a mean")

    @torch.no_grad()
    def start_at(self, residuals: Tensor) -> None:
        """Called once before training with 1/e of x - E p(x|z) of a first batch (n,): a head that
        learns a scale starts at theirs. Most have nothing to do.
        """

    def holds(self, x: Tensor) -> Tensor:
        """Which entries of x are values that it speaks of; a gap is no value and holds."""
        return self.support.check(torch.nan_to_num(x)) | x.isnan()

    @property
    def levels(self) -> int | None:
        """How many values an entry can take, evenly from 0 to 1; None where it is not so."""
        return self.support.levels if isinstance(self.support, Grid) else None

    @property
    def is_bounded(self) -> bool:
        """Whether all values lie in [0, 1], so that a sigmoid reaches all of them."""
        return not self.support.check(torch.tensor([-1.0, 2.0])).any()

    def forward(self, raw: Tensor, event_dims: int | None = None) -> Observed:
        return Observed(self.each(raw), event_dims or self.event_dims, self.has_gaps)


@torch.no_grad()
def start_scale(head: Any, deviation: Tensor) -> None:
    """`head.log_scale` becomes the deviation's, unless it was moved from `head.first_log_scale`."""
    if head.log_scale.item() == head.first_log_scale:
        head.log_scale.copy_(deviation.clamp_min(1e-6).log())


class BernoulliHead(Likelihood):
    """Bernoulli(sigmoid(raw))."""

    support = constraints.boolean
    values = "0 and 1"
    is_discrete = True

    def each(self, raw: Tensor) -> Distribution:
        return Bernoulli(logits=raw, validate_args=False)

    @property
    def levels(self) -> int:
        return 2

    def raw_at(self, mean: Tensor) -> Tensor:
        return torch.logit(mean, 1e-3)

    def independent(self, train: Tensor) -> Distribution:
        """Rates kept off 0 and 1 by one made-up row of each."""
        seen = ~train.isnan()
        rates = (torch.where(seen, train, 0.0).sum(0) + 1) / (seen.sum(0) + 2)
        return Bernoulli(probs=rates, validate_args=False)


class NormalHead(Likelihood):
    """N(raw, σ²) with one learned σ for all entries.

    A unit variance on [0, 1] pixels would leave R so flat that KL crushes the codes; σ is a
    parameter for that reason (Rybkin et al. 2021, arXiv:2006.13202, §3). Training starts it by
    the errors of the first batch, for data in units of their own are too far from any constant.
    """

    support = constraints.real
    values = "the real numbers"
    lr = 10.0
    first_log_scale = -1.0

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.log_scale = nn.Parameter(torch.tensor(self.first_log_scale))

    def each(self, raw: Tensor) -> Distribution:
        return Normal(raw, self.log_scale.exp().expand_as(raw), validate_args=False)

    @torch.no_grad()
    def start_at(self, residuals: Tensor) -> None:
        """σ² becomes the mean square of the residuals, at which log p(x|z) is largest."""
        start_scale(self, residuals.square().mean().sqrt())

    def raw_at(self, mean: Tensor) -> Tensor:
        return mean

    def independent(self, train: Tensor) -> Distribution:
        return Normal(*moments(train), validate_args=False)


class ContinuousBernoulliHead(Likelihood):
    """The Bernoulli with its normaliser on [0, 1] (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845, eq. 7).
    """

    support = constraints.unit_interval
    values = "[0, 1]"

    def each(self, raw: Tensor) -> Distribution:
        return ContinuousBernoulli(raw)

    def independent(self, train: Tensor) -> Distribution:
        """The logit of maximum likelihood: that whose mean is the data's."""
        return ContinuousBernoulli(self.raw_at(moments(train)[0]))

    def raw_at(self, mean: Tensor) -> Tensor:
        """By bisection."""
        low = torch.full_like(mean, -500.0)
        high = torch.full_like(mean, 500.0)
        for _ in range(60):
            middle = (low + high) / 2
            is_below = ContinuousBernoulli(middle).mean < mean
            low = torch.where(is_below, middle, low)
            high = torch.where(is_below, high, middle)
        return (low + high) / 2


class OnLevels(Likelihood):
    """A probability for each of the levels 0, 1/(levels-1), …, 1 of an entry."""

    values = "the levels 0, 1/(levels-1), …, 1"
    is_discrete = True
    support: Grid

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.support = Grid(spec.levels)

    def independent(self, train: Tensor) -> Distribution:
        """The frequencies of the levels, with one made-up row spread over all of them."""
        levels = self.support.levels
        seen = ~train.isnan()
        index = torch.where(seen, train * (levels - 1), 0.0).round().long()
        counts = train.new_full((levels, *train.shape[1:]), 1 / levels)
        counts.scatter_add_(0, index, seen.to(train))
        return Levels(counts.log().movedim(0, -1))


class LogisticHead(OnLevels):
    """A logistic with location raw + 1/2 and one learned scale, gathered into the levels of a pixel
    (Kingma et al. 2016).
    """

    lr = 10.0
    first_log_scale = -2.0

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.log_scale = nn.Parameter(torch.tensor(self.first_log_scale))

    def each(self, raw: Tensor) -> Distribution:
        return DiscretisedLogistic(raw + 0.5, self.log_scale.exp(), self.support.levels)

    @torch.no_grad()
    def start_at(self, residuals: Tensor) -> None:
        """The variance of a logistic is (π s)²/3."""
        start_scale(self, math.sqrt(3) / math.pi * residuals.square().mean().sqrt())

    def raw_at(self, mean: Tensor) -> Tensor:
        return mean - 0.5


class CategoricalHead(OnLevels):
    """softmax(raw) over the levels of every entry."""

    @staticmethod
    def numbers(spec: Spec) -> int:
        return spec.levels

    def each(self, raw: Tensor) -> Distribution:
        return Levels(raw)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (at least 0.001) of every entry, from the rows (N, …) that have it."""
    seen = ~x.isnan()
    count = seen.sum(0).clamp_min(1)
    mean = torch.where(seen, x, 0.0).sum(0) / count
    spread = torch.where(seen, (x - mean).square(), 0.0).sum(0) / count
    return mean, spread.sqrt().clamp_min(1e-3)


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("bernoulli", BernoulliHead),
        Part("normal", NormalHead),
        Part("continuous_bernoulli", ContinuousBernoulliHead),
        Part("logistic", LogisticHead),
        Part("categorical", CategoricalHead),
    ]


for _part in vaezoo_parts():
    register("likelihood", _part.name, _part.build)


def head(spec: Spec) -> Likelihood:
    """The head that the spec names, such as "bernoulli" or "student_t[df=5]".

    Raises: Unsupported for an unknown name or option.
    """
    build, options = _found(spec)
    return build(spec, **options)


def numbers_of(spec: Spec) -> int:
    """Raw numbers that the spec's likelihood asks of every entry."""
    build, _ = _found(spec)
    return build.numbers(spec)


def _found(spec: Spec) -> tuple[Any, dict[str, Any]]:
    try:
        return find("likelihood", spec.likelihood)
    except HyperparameterError as error:
        raise Unsupported(str(error)) from None
