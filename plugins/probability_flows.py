"""Densities of codes by an ordinary differential equation that is learned after training.

    vaezoo bench --variants vae,rae_l2 --sampler prior,flow_matching,diffusion

Noise at t = 0 flows to codes at t = 1 by dz/dt = v(t, z). A network learns v by regression, on
standardised codes. `log_prob` follows a code back and adds up the divergence of v (Chen et al.
2018, arXiv:1806.07366, eq. 8), which is exact here: one derivative for each dimension.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from vaezoo.diffusion import OfTime, kept, moved, noise_velocity
from vaezoo.fitted import Scale
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Positive
from vaezoo.samplers import Sampler

BATCH = 256
LAST = 1e-3  # of the diffusion's time: where its score would grow without limit


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
        z, _ = moved(self.velocity, z, self.times(), counts=False)
        return self.scale.restored(z)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """Of codes (N, D), (N,) in nats: log N(z(0); 0, I) - ∫ div v dt, in the codes' scale."""
        z = self.scale.standard(z)
        z, total = moved(self.velocity, z, self.times()[::-1], counts=True)
        log_noise = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        # going back, ∫ div v dt is negative
        return log_noise + total - self.scale.deviation.log().sum()


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

    def cost(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        s = LAST + (1 - LAST) * t
        alpha, sigma = kept(s)
        error = self.net(s, alpha * z + sigma * noise) - noise
        return error.square().sum(-1).mean()

    def velocity(self, t: Tensor, z: Tensor) -> Tensor:
        s = 1 - t
        return noise_velocity(s, z, self.net(s, z))

    def times(self) -> list[float]:
        """Shorter steps towards the end, where σ changes faster than z."""
        passed = torch.linspace(1, 0, self.evaluations + 1).square()
        return (1 - (LAST + (1 - LAST) * passed)).tolist()


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("flow_matching", FlowMatching), Part("diffusion", Diffusion)]
