"""p(x|z) whose entries read those before them."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from .likelihoods import Likelihood

__all__ = ["InOrder"]


class InOrder(Distribution):
    """Π_i p(x_i|x_1 … x_{i-1}, z), a batch of (K, B): every entry by one likelihood."""

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, likelihood: Likelihood, batch: torch.Size, shape: tuple[int, ...]) -> None:
        super().__init__(batch, torch.Size(shape), validate_args=False)
        self.likelihood = likelihood

    @abstractmethod
    def raw(self, x: Tensor, batch: torch.Size) -> Tensor:
        """The numbers that the likelihood reads of x (*batch, *shape): (*batch, *shape[, n])."""

    @abstractmethod
    def drawn(self, batch: torch.Size) -> tuple[Tensor, Tensor]:
        """A draw, and the mean of each entry given those before it, (*batch, *shape) each."""

    def of_entry(self, raw: Tensor) -> Distribution:
        """One entry of N rows, from its raw numbers (N, n)."""
        return self.likelihood.each(raw.squeeze(-1))

    @property
    def support(self) -> Constraint:
        """Of every entry."""
        return self.likelihood.support

    def log_prob(self, value: Tensor) -> Tensor:
        own = len(self.event_shape)
        batch = torch.broadcast_shapes(value.shape[:-own], self.batch_shape)
        x = value.expand(*batch, *self.event_shape)
        return self.likelihood(self.raw(x, batch)).log_prob(x)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.drawn(torch.Size(sample_shape) + self.batch_shape)[0]

    @property
    @torch.no_grad()
    def mean(self) -> Tensor:
        """Unbiased: the means of p(x_i|x_<i, z) along one draw of x."""
        return self.drawn(self.batch_shape)[1]
