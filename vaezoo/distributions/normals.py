"""Normals that vmap accepts, their KL in closed form, and mixtures."""

import math
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution


class Normal(D.Normal):
    """torch's Normal with a reparameterised draw that vmap accepts."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(
            shape, dtype=self.loc.dtype, device=self.loc.device
        )

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        # scale is always a tensor here, so torch's branch for a Python number is not needed
        return (
            -0.5 * ((value - self.loc) / self.scale).square()
            - self.scale.log()
            - 0.5 * math.log(2 * math.pi)
        )


class MaskedNormals(Distribution):
    """Independent Normals over an event (T, D), of which only the steps where `mask` (B, T) holds
    count.
    """

    arg_constraints: dict[str, D.constraints.Constraint] = {}

    def __init__(self, loc: Tensor, scale: Tensor, mask: Tensor | None = None) -> None:
        super().__init__(loc.shape[:-2], loc.shape[-2:], validate_args=False)
        self.each = Normal(loc, scale, validate_args=False)
        self.mask = mask

    @property
    def mean(self) -> Tensor:
        return self.each.loc

    @property
    def variance(self) -> Tensor:
        return self.each.scale.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.each.rsample(sample_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.each.sample(sample_shape)

    def per_step(self, of_each: Tensor) -> Tensor:
        """Σ over D of something (..., T, D), zero at padding: (..., T)."""
        of_step = of_each.sum(-1)
        return of_step if self.mask is None else torch.where(self.mask, of_step, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.per_step(self.each.log_prob(value)).sum(-1)


@D.register_kl(Normal, Normal)
def _kl_normal(q: Normal, p: Normal) -> Tensor:
    ratio = (q.scale / p.scale).square()
    return 0.5 * (ratio + ((q.loc - p.loc) / p.scale).square() - 1 - ratio.log())


@D.register_kl(MaskedNormals, MaskedNormals)
def _kl_steps(q: MaskedNormals, p: MaskedNormals) -> Tensor:
    return q.per_step(_kl_normal(q.each, p.each)).sum(-1)


def normal(loc: Tensor, scale: Tensor, event_dims: int = 1) -> "D.Independent[Normal]":
    """N(loc, scale²), independent over the last `event_dims` axes."""
    loc, scale = torch.broadcast_tensors(loc, scale)
    return D.Independent(Normal(loc, scale, validate_args=False), event_dims, validate_args=False)


def mixture(logits: Tensor, parts: Distribution) -> D.MixtureSameFamily:
    """Σ softmax(logits)_m parts_m, where m is the last batch axis of `parts`."""
    return D.MixtureSameFamily(
        D.Categorical(logits=logits, validate_args=False), parts, validate_args=False
    )
