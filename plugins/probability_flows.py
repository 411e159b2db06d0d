"""Densities of codes by an ordinary differential equation that is learned after training.

    vaezoo bench --variants vae,rae_l2 --sampler prior,flow_matching,diffusion

Noise at t = 0 flows to codes at t = 1 by dz/dt = v(t, z). A network learns v by regression, on
standardised codes. `log_prob` follows a code back and adds up the divergence of v (Chen et al.
2018, arXiv:1806.07366, eq. 8), which is exact here: one derivative for each dimension.
"""

import math
from abc import abstractmethod
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from vaezoo.fitted import Scale
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Positive
from vaezoo.networks import mlp
from vaezoo.samplers import Sampler

BATCH = 256
LAST = 1e-3  # of the diffusion's time: where its score would grow without limit
SLOWEST, FASTEST = 0.1, 20.0  # of the diffusion's noise, Song et al. 2021, appendix C


class OfTime(nn.Module):
    """(N, D) from t (N, 1) and z (N, D): a network that reads t, and sine and cosine of 2π t."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = mlp(width + 3, hidden, hidden, hidden, width)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        angle = 2 * math.pi * t
        out: Tensor = self.net(torch.cat([z, t, angle.sin(), angle.cos()], -1))
        return out


class ProbabilityFlow(Sampler):
    """N(0, I) at t = 0, moved to standardised codes at the last of `times`."""

    net: nn.Module

    def __init__(self, hidden: int, steps: int, learning_rate: float, evaluations: int) -> None:
        self.hidden = hidden
        self.steps = steps
        self.learning_rate = learning_rate
        self.evaluations = evaluations

    @abstractmethod
    def cost(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What is minimised for codes and noise (N, D) at times (N, 1)."""

    @abstractmethod
    def velocity(self, t: Tensor, z: Tensor) -> Tensor:
        """v (N, D) at times (N, 1)."""

    @abstractmethod
    def times(self) -> list[float]:
        """Where the steps of the solver begin and end, from 0 upwards."""

    def fit(self, z: Tensor, seed: int) -> None:
        self.scale = Scale(z)
        self.net = OfTime(z.shape[1], self.hidden).to(z)
        rows = self.scale.standard(z)
        adam = torch.optim.Adam(self.net.parameters(), self.learning_rate, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.steps)
        size = min(BATCH, len(rows))
        for _ in range(self.steps):
            batch = rows[torch.randint(len(rows), (size,), device=rows.device)]
            spread = torch.arange(size, device=rows.device).to(rows)[:, None]
            t = (torch.rand(1, 1).to(rows) + spread / size) % 1  # evenly over [0, 1)
            adam.zero_grad(set_to_none=True)
            self.cost(batch, torch.randn_like(batch), t).backward()
            adam.step()
            decay.step()
        self.net.requires_grad_(False)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        like = self.scale.mean
        z = torch.randn(n, len(like), dtype=like.dtype, device=like.device)
        for start, end in pairwise(self.times()):
            z, _ = self._step(z, start, end, counts=False)
        return self.scale.restored(z)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """Of codes (N, D), (N,) in nats: log N(z(0); 0, I) - ∫ div v dt, in the codes' scale."""
        z = self.scale.standard(z)
        total = z.new_zeros(len(z))
        for start, end in pairwise(self.times()[::-1]):
            z, grown = self._step(z, start, end, counts=True)
            total = total + grown  # going back, ∫ div v dt is negative
        log_noise = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        return log_noise + total - self.scale.deviation.log().sum()

    def _step(self, z: Tensor, start: float, end: float, counts: bool) -> tuple[Tensor, Tensor]:
        """A step of the classical Runge-Kutta method: z at `end`, and ∫ div v dt over the step."""
        h = end - start
        middle = (start + end) / 2
        one, grow_one = self._rate(start, z, counts)
        two, grow_two = self._rate(middle, z + h / 2 * one, counts)
        three, grow_three = self._rate(middle, z + h / 2 * two, counts)
        four, grow_four = self._rate(end, z + h * three, counts)
        moved = z + h / 6 * (one + 2 * two + 2 * three + four)
        return moved, h / 6 * (grow_one + 2 * grow_two + 2 * grow_three + grow_four)

    def _rate(self, t: float, z: Tensor, counts: bool) -> tuple[Tensor, Tensor]:
        """v (N, D) and div v (N,), 0 unless it counts."""
        time = z.new_full((len(z), 1), t)
        if not counts:
            return self.velocity(time, z), z.new_zeros(len(z))
        divergence = z.new_zeros(len(z))
        for d in range(z.shape[1]):
            axis = torch.zeros_like(z)
            axis[:, d] = 1.0
            slope = torch.func.jvp(partial(self.velocity, time), (z,), (axis,))[1]
            divergence = divergence + slope[:, d]
        return self.velocity(time, z), divergence


class FlowMatching(ProbabilityFlow):
    """v of straight lines from noise to codes, by flow matching.

    E ‖v(t, (1 - t) e + t z) - (z - e)‖², e ~ N(0, I): Lipman et al. 2023, arXiv:2210.02747, eq. 23
    with σ_min = 0. Its draws are solved in `evaluations` steps.
    """

    def __init__(
        self,
        hidden: Count = 128,
        steps: Count = 3000,
        learning_rate: Positive = 2e-3,
        evaluations: Count = 30,
    ) -> None:
        super().__init__(hidden, steps, learning_rate, evaluations)

    def cost(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        between = (1 - t) * noise + t * z
        error = self.net(t, between) - (z - noise)
        return error.square().sum(-1).mean()

    def velocity(self, t: Tensor, z: Tensor) -> Tensor:
        v: Tensor = self.net(t, z)
        return v

    def times(self) -> list[float]:
        return torch.linspace(0, 1, self.evaluations + 1).tolist()


class Diffusion(ProbabilityFlow):
    """The probability flow of a diffusion, by denoising.

    With s = 1 - t: z_s = α z + σ e, α = exp(-½ ∫β ds), σ² = 1 - α², β rising from 0.1 to 20, and E
    ‖ê(s, z_s) - e‖² gives the score -ê/σ (Song et al. 2021, arXiv:2011.13456, eqs. 7, 11 and 29).
    dz/ds = -½ β (z - ê/σ), eq. 13, is solved from s = 1 to 0.001.
    """

    def __init__(
        self,
        hidden: Count = 128,
        steps: Count = 3000,
        learning_rate: Positive = 2e-3,
        evaluations: Count = 40,
    ) -> None:
        super().__init__(hidden, steps, learning_rate, evaluations)

    def kept(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """α and σ at s."""
        passed = SLOWEST * s + (FASTEST - SLOWEST) * s.square() / 2  # ∫β
        return (-passed / 2).exp(), (-torch.expm1(-passed)).sqrt()

    def cost(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        s = LAST + (1 - LAST) * t
        alpha, sigma = self.kept(s)
        error = self.net(s, alpha * z + sigma * noise) - noise
        return error.square().sum(-1).mean()

    def velocity(self, t: Tensor, z: Tensor) -> Tensor:
        s = 1 - t
        beta = SLOWEST + (FASTEST - SLOWEST) * s
        _, sigma = self.kept(s)
        return beta / 2 * (z - self.net(s, z) / sigma)

    def times(self) -> list[float]:
        """Shorter steps towards the end, where σ changes faster than z."""
        passed = torch.linspace(1, 0, self.evaluations + 1).square()
        return (1 - (LAST + (1 - LAST) * passed)).tolist()


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("flow_matching", FlowMatching), Part("diffusion", Diffusion)]
