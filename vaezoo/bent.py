"""Posteriors that bend a Gaussian draw z_0 by K steps, with all numbers of all steps from x.

log q(z_K) = log q(z_0) - Σ_k log |det ∂z_k/∂z_{k-1}|
"""

from abc import abstractmethod

from torch import Tensor
from torch.distributions import Distribution

from .core import Encoder, Spec
from .distributions import Pushed
from .networks import Read, split_normal

__all__ = ["Bent"]


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
