"""A metric of the latent space that is a sum of kernels, and generalised leapfrog steps in it.

D dimensions. G(z) is the metric and S(z) = G(z)⁻¹ what is written down: large near the centres of
the kernels, small away from them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["KernelMetric", "Leapfrog", "Slope", "times"]

Slope = Callable[[Tensor], Tensor]  # z (…, D) -> ∇V (…, D)


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """(…, D, D) and (…, D) -> (…, D)."""
    return (matrix @ vector[..., None]).squeeze(-1)


class KernelMetric:
    """S(z) = Σ_i A_i exp(-‖z - c_i‖²/τ) + λ I (Chadebec et al. 2020, arXiv:2010.11518, eq. 9)."""

    def __init__(self, centres: Tensor, matrices: Tensor, tau: float, floor: float) -> None:
        self.centres = centres  # c (n, D)
        self.matrices = matrices  # A (n, D, D), positive definite or 0
        self.tau = tau
        self.floor = floor  # λ

    def _weights(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """exp(-‖z - c_i‖²/τ) (…, n), and z - c_i (…, n, D)."""
        away = z[..., None, :] - self.centres
        return (-away.square().sum(-1) / self.tau).exp(), away

    def inverse(self, z: Tensor) -> Tensor:
        """S (…, D, D)."""
        weights, _ = self._weights(z)
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return torch.einsum("...n,nab->...ab", weights, self.matrices) + self.floor * eye

    def log_det(self, z: Tensor) -> Tensor:
        """log det S (…)."""
        return torch.linalg.slogdet(self.inverse(z)).logabsdet

    def turn(self, z: Tensor, momentum: Tensor) -> Tensor:
        """M_ab = Σ_c ∂S_bc/∂z_a ρ_c, (…, D, D)."""
        weights, away = self._weights(z)
        pushed = torch.einsum("nab,...b->...na", self.matrices, momentum)
        return -2 / self.tau * torch.einsum("...n,...na,...nb->...ab", weights, away, pushed)


class Leapfrog:
    """Generalised leapfrog in H(z, ρ) = V(z) + ½ ρᵀ S(z) ρ, V = -log p(x, z) - ½ log det S.

    Half of its equations are implicit, and `solves` fixed-point iterations solve them. Each
    sub-step changes z or ρ alone, so its Jacobian is a D x D matrix in closed form. Its determinant
    is that of the map as computed, however far the iterations have come; as they converge the
    volume is preserved.
    """

    def __init__(self, metric: KernelMetric, slope: Slope, step: Tensor, solves: int) -> None:
        self.metric = metric
        self.slope = slope  # ∇V
        self.step = step  # ε
        self.solves = solves

    def kick(self, z: Tensor, momentum: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """ρ' = ρ - ε/2 (∇V + ½ M(z, ρ') ρ'), implicit, and ∂ρ'/∂ρ."""
        base = momentum - self.step / 2 * slope
        new = base
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        jacobian = eye
        for _ in range(self.solves):
            turn = self.metric.turn(z, new)
            new = base - self.step / 4 * times(turn, new)
            jacobian = eye - self.step / 2 * turn @ jacobian
        return new, jacobian

    def drift(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """z' = z + ε/2 (S(z) + S(z')) ρ, implicit, and ∂z'/∂z."""
        velocity = times(self.metric.inverse(z), momentum)
        turn = self.metric.turn(z, momentum).mT
        new = z
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        jacobian = eye
        for _ in range(self.solves):
            there = self.metric.turn(new, momentum).mT
            new = z + self.step / 2 * (velocity + times(self.metric.inverse(new), momentum))
            jacobian = eye + self.step / 2 * (turn + there @ jacobian)
        return new, jacobian

    def last_kick(self, z: Tensor, momentum: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """ρ' = ρ - ε/2 (∇V + ½ M(z, ρ) ρ), and ∂ρ'/∂ρ."""
        turn = self.metric.turn(z, momentum)
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        new = momentum - self.step / 2 * (slope + times(turn, momentum) / 2)
        return new, eye - self.step / 2 * turn

    def run(self, z: Tensor, momentum: Tensor, scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_K, ρ_K and log |det| without that of the temperings, which scale ρ."""
        slope = self.slope(z)
        product = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        for k in range(len(scales) - 1):
            momentum, first = self.kick(z, momentum, slope)
            z, second = self.drift(z, momentum)
            # the gradient at the end of a step is that at the start of the next
            slope = self.slope(z)
            momentum, third = self.last_kick(z, momentum, slope)
            momentum = momentum * scales[k + 1] / scales[k]
            product = third @ second @ first @ product
        return z, momentum, torch.linalg.slogdet(product).logabsdet
