"""The heads that turn a network's raw numbers into p(x|z): one class a likelihood, and the table of
their names.

A network gives `raw` (K, B, *shape) for a head that asks one number of every entry, (K, B, *shape,
n) for one that asks n.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .core import Spec, Unsupported
from .distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Levels,
    Normal,
    Observed,
)


class Likelihood(nn.Module):
    """p(x|raw), independent over the entries of x."""

    support = ""  # the values x may take, in words
    is_discrete = False  # a probability mass, so that bits per dimension mean something

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
        """The distribution of every entry."""

    def forward(self, raw: Tensor, event_dims: int | None = None) -> Observed:
        return Observed(self.each(raw), event_dims or self.event_dims, self.has_gaps)


class BernoulliHead(Likelihood):
    """Bernoulli(sigmoid(raw))."""

    support = "0 and 1"
    is_discrete = True

    def each(self, raw: Tensor) -> Distribution:
        return Bernoulli(logits=raw, validate_args=False)


class NormalHead(Likelihood):
    """N(raw, σ²) with one learned σ for all entries.

    A unit variance on [0, 1] pixels would leave R so flat that KL crushes the codes; σ is a
    parameter for that reason (Rybkin et al. 2021, arXiv:2006.13202, §3). It starts at 1/e, between
    the scale of pixels and of standardised data.
    """

    support = "the real numbers"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def each(self, raw: Tensor) -> Distribution:
        return Normal(raw, self.log_scale.exp().expand_as(raw), validate_args=False)


class ContinuousBernoulliHead(Likelihood):
    """The Bernoulli with its normaliser on [0, 1] (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845, eq. 7).
    """

    support = "[0, 1]"

    def each(self, raw: Tensor) -> Distribution:
        return ContinuousBernoulli(raw)


class LogisticHead(Likelihood):
    """A logistic with mean raw + 1/2 and one learned scale, gathered into the levels of a pixel
    (Kingma et al. 2016).
    """

    support = "the levels 0, 1/(levels-1), …, 1"
    is_discrete = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.levels = spec.levels
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def each(self, raw: Tensor) -> Distribution:
        return DiscretisedLogistic(raw + 0.5, self.log_scale.exp(), self.levels)


class CategoricalHead(Likelihood):
    """softmax(raw) over the levels of every entry."""

    support = "the levels 0, 1/(levels-1), …, 1"
    is_discrete = True

    @staticmethod
    def numbers(spec: Spec) -> int:
        return spec.levels

    def each(self, raw: Tensor) -> Distribution:
        return Levels(raw)


HEADS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliHead,
    "normal": NormalHead,
    "continuous_bernoulli": ContinuousBernoulliHead,
    "logistic": LogisticHead,
    "categorical": CategoricalHead,
}


def head(spec: Spec) -> Likelihood:
    """The head that the spec names.

    Raises: Unsupported for an unknown name.
    """
    if spec.likelihood not in HEADS:
        raise Unsupported(
            f"no likelihood is called {spec.likelihood!r}; there are {', '.join(HEADS)}"
        )
    return HEADS[spec.likelihood](spec)
