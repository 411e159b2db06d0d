"""newcomer: a likelihood; say here in one sentence for which values."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace, constraints

from vaezoo.core import Spec
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Positive
from vaezoo.likelihoods import Likelihood, moments


class Newcomer(Likelihood):
    """p(x|z) = Laplace(raw, scale), entry by entry. Put your density here."""

    support = constraints.real  # the one truth about which values fit
    values = "the real numbers"  # the same in words

    def __init__(self, spec: Spec, scale: Positive = 1.0) -> None:
        super().__init__(spec)
        self.scale = scale

    def each(self, raw: Tensor) -> Distribution:
        """(K, B, *shape) -> the distribution of every entry."""
        return Laplace(raw, torch.full_like(raw, self.scale), validate_args=False)

    def independent(self, train: Tensor) -> Distribution:
        """(N, *shape), NaN where nothing was seen -> every entry on its own, fitted to it."""
        mean, deviation = moments(train)
        return Laplace(mean, deviation / 2**0.5, validate_args=False)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("newcomer", Newcomer)]
