"""Posteriors that bend a Gaussian draw: by K steps with all their numbers from x, or by a flow.

log q(z_K) = log q(z_0) - Σ_k log |det ∂z_k/∂z_{k-1}|
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from .core import Encoder, Spec
from .distributions import Pushed, normal
from .networks import Read, split_normal

__all__ = ["Bent", "BentByFlow"]


class Bent(Encoder):
    """A Gaussian draw through `depth` steps, each with `numbers` raw numbers from x.

    Where a step has no inverse, a class says so by `scores_any_code = False`, and log q is known
    for q's own draws only.
    """

    def __init__(self, spec: Spec, depth: int, numbers: int) -> None:
        super().__init__()
        self.latent = spec.latent
        self.depth = depth
        self.numbers = numbers
        self.net = Read(spec, 2 * spec.latent + depth * numbers)

    @abstractmethod
    def step(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The next z (K, B, D) and log |det| (K, B), from raw numbers (B, numbers)."""

    def undone(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The z whose step this one is, and the step's log |det|."""
        raise NotImplementedError(f"the steps of {type(self).__name__} have no inverse")

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        base, rest = self.net(x, c).split([2 * self.latent, self.depth * self.numbers], -1)
        raws = rest.split(self.numbers, -1)

        def push(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for raw in raws:
                z, log_det = self.step(z, raw)
                total = total + log_det
            return z, total

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for raw in reversed(raws):
                z, log_det = self.undone(z, raw)
                total = total + log_det
            return z, total

        return Pushed(split_normal(base), push, pull if self.scores_any_code else None)


class BentByFlow(Encoder):
    """z = μ(x) + σ(x) f(e; h(x)), e ~ N(0, I), f a flow of zuko, or its inverse.

    A subclass sets `flow`, the transform of zuko that reads features of x (B, H). With `is_inverse`
    it takes codes to noise, so that the density of any code is what takes one pass.
    """

    is_inverse = False
    flow: Any  # zuko's lazy transforms, which have no types

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.latent = spec.latent
        self.net = Read(spec, 2 * spec.latent + spec.hidden)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        sizes = [self.latent, self.latent, self.net.spec.hidden]
        loc, raw_scale, h = self.net(x, c).split(sizes, -1)
        scale = F.softplus(raw_scale) + 1e-3
        log_scale = scale.log().sum(-1)
        of_x = self.flow(F.silu(h))
        f = of_x.inv if self.is_inverse else of_x

        def push(e: Tensor) -> tuple[Tensor, Tensor]:
            bent, log_det = f.call_and_ladj(e)
            return loc + scale * bent, log_det + log_scale

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            e, log_det = f.inv.call_and_ladj((z - loc) / scale)
            return e, log_scale - log_det

        return Pushed(normal(torch.zeros_like(loc), torch.ones_like(scale)), push, pull)
