"""Normals that vmap accepts, their KL in closed form, and mixtures."""

import math
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution


class Normal(D.Normal):
    """torch's Normal with a reparameterised draw that vmap accepts."""

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = False) -> None:
        # what torch does for numbers, arguments to be validated and shapes that differ is a
        # twentieth of a training step on small data
        if loc.shape != scale.shape:
            loc, scale = torch.broadcast_tensors(loc, scale)
        self.loc = loc
        self.scale = scale
        Distribution.__init__(self, loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Normal":
        return Normal(self.loc.expand(batch_shape), self.scale.expand(batch_shape))

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


class Normals(D.Independent[Normal]):
    """N(loc, diag scale²) over the last `event_dims` axes."""

    base_dist: Normal

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.base_dist = Normal(loc, scale)
        self.reinterpreted_batch_ndims = event_dims
        shape = self.base_dist.batch_shape
        cut = len(shape) - event_dims
        Distribution.__init__(self, shape[:cut], shape[cut:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Normals":
        each = self.base_dist.expand(torch.Size(batch_shape) + self.event_shape)
        return Normals(each.loc, each.scale, self.reinterpreted_batch_ndims)


class StandardNormals(Normals):
    """N(0, I), over events like `zero`."""

    def __init__(self, zero: Tensor) -> None:
        super().__init__(zero, torch.ones_like(zero), zero.ndim)


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


@D.register_kl(Normals, StandardNormals)
def _kl_to_standard(q: Normals, p: StandardNormals) -> Tensor:
    """Σ (σ² + μ² - 1)/2 - log σ: half of the operations of any other p, at every step."""
    if q.event_shape != p.event_shape:
        raise NotImplementedError
    scale = q.base_dist.scale
    of_each = 0.5 * (scale.square() + q.base_dist.loc.square() - 1) - scale.log()
    return of_each.sum(tuple(range(-len(p.event_shape), 0)))


@D.register_kl(MaskedNormals, MaskedNormals)
def _kl_steps(q: MaskedNormals, p: MaskedNormals) -> Tensor:
    return q.per_step(_kl_normal(q.each, p.each)).sum(-1)


def normal(loc: Tensor, scale: Tensor, event_dims: int = 1) -> Normals:
    """N(loc, scale²), independent over the last `event_dims` axes."""
    return Normals(loc, scale, event_dims)


def mixture(logits: Tensor, parts: Distribution) -> D.MixtureSameFamily:
    """Σ softmax(logits)_m parts_m, where m is the last batch axis of `parts`."""
    return D.MixtureSameFamily(
        D.Categorical(logits=logits, validate_args=False), parts, validate_args=False
    )
