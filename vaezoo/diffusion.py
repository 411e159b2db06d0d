"""What a density by a learned differential equation is made of: a network that reads time, the
noise of a diffusion, and a solver that adds up what the flow spreads.

Codes are (N, D), times (N, 1). The diffusion is the variance preserving one of Song et al. 2021,
arXiv:2011.13456: z_s = α z + σ e, e ~ N(0, I), α = exp(-½ ∫β ds), σ² = 1 - α², with β rising from
0.1 to 20 over s from 0 to 1 (eqs. 11 and 29, appendix C).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from .networks import mlp

__all__ = ["OfTime", "beta", "kept", "moved", "noise_velocity", "time_of"]

SLOWEST, FASTEST = 0.1, 20.0  # β at s = 0 and 1
Velocity = Callable[[Tensor, Tensor], Tensor]


class OfTime(nn.Module):
    """(N, D) from t (N, 1) and z (N, D): a network that reads t, and sine and cosine of 2π t."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = mlp(width + 3, hidden, hidden, hidden, width)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        angle = 2 * math.pi * t
        out: Tensor = self.net(torch.cat([z, t, angle.sin(), angle.cos()], -1))
        return out


def beta(s: Tensor) -> Tensor:
    """The diffusion's rate at s."""
    return SLOWEST + (FASTEST - SLOWEST) * s


def kept(s: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ at s."""
    passed = SLOWEST * s + (FASTEST - SLOWEST) * s.square() / 2  # ∫β
    return (-passed / 2).exp(), (-torch.expm1(-passed)).sqrt()


def time_of(variance: Tensor) -> Tensor:
    """s at which σ² is this; the inverse of `kept`."""
    passed = -torch.log1p(-variance)
    slope = FASTEST - SLOWEST
    # (-b + √(b² + 2 a c))/a, without the difference
    return 2 * passed / (SLOWEST + (SLOWEST**2 + 2 * slope * passed).sqrt())


def noise_velocity(s: Tensor, z: Tensor, noise: Tensor) -> Tensor:
    """-dz/ds = ½ β (z - ê/σ), of the probability flow, where `noise` is ê = E[e | z_s] (eq. 13)."""
    _, sigma = kept(s)
    return beta(s) / 2 * (z - noise / sigma)


def moved(
    velocity: Velocity, z: Tensor, times: Sequence[float], counts: bool
) -> tuple[Tensor, Tensor]:
    """z (N, D) at the last of `times`, from the first, and ∫ div v dt (N,), 0 unless it counts.

    The divergence is exact: one derivative for each dimension (Chen et al. 2018, arXiv:1806.07366,
    eq. 8), all of them at once. Each step is one of the classical Runge-Kutta method.
    """
    total = z.new_zeros(len(z))
    for start, end in pairwise(times):
        z, grown = _step(velocity, z, start, end, counts)
        total = total + grown
    return z, total


def _step(
    velocity: Velocity, z: Tensor, start: float, end: float, counts: bool
) -> tuple[Tensor, Tensor]:
    h = end - start
    middle = (start + end) / 2
    one, grow_one = _rate(velocity, start, z, counts)
    two, grow_two = _rate(velocity, middle, z + h / 2 * one, counts)
    three, grow_three = _rate(velocity, middle, z + h / 2 * two, counts)
    four, grow_four = _rate(velocity, end, z + h * three, counts)
    there = z + h / 6 * (one + 2 * two + 2 * three + four)
    return there, h / 6 * (grow_one + 2 * grow_two + 2 * grow_three + grow_four)


def _rate(velocity: Velocity, t: float, z: Tensor, counts: bool) -> tuple[Tensor, Tensor]:
    """v (N, D) and div v (N,), 0 unless it counts."""
    time = z.new_full((len(z), 1), t)
    if not counts:
        return velocity(time, z), z.new_zeros(len(z))
    n, width = z.shape
    axes = torch.eye(width, dtype=z.dtype, device=z.device)
    each = axes[:, None].expand(-1, n, -1).reshape(-1, width)  # (D·N, D), axis by axis
    repeated = z.repeat(width, 1)
    pushed = torch.func.jvp(partial(velocity, time.repeat(width, 1)), (repeated,), (each,))
    v = pushed[0]
    slope = pushed[1]
    return v[:n], (slope * each).sum(-1).view(width, n).sum(0)
