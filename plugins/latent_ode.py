"""Latent ODE: a code is where a path begins, and a differential equation says where it goes."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Encoder, Spec, Unsupported, steps_asked_for
from vaezoo.distributions import Observed
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, mlp, split_normal
from vaezoo.recurrent import gru_step
from vaezoo.steps import step_mask, to_steps
from vaezoo.stepwise import StepsLikelihood

Field = Callable[[Tensor], Tensor]  # dz/dt of z


def euler(f: Field, z: Tensor, gap: float, steps: int) -> Tensor:
    """z after a time `gap`, which may be negative, in so many steps."""
    h = gap / steps
    for _ in range(steps):
        z = z + h * f(z)
    return z


def runge_kutta(f: Field, z: Tensor, gap: float, steps: int) -> Tensor:
    """The same by the classical method of order 4 (Kutta 1901)."""
    h = gap / steps
    for _ in range(steps):
        k1 = f(z)
        k2 = f(z + h / 2 * k1)
        k3 = f(z + h / 2 * k2)
        k4 = f(z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z


class Dynamics(nn.Module):
    """f_θ, dz/dt of z (…, D); with `linear`, A z."""

    def __init__(self, size: int, hidden: int, linear: bool = False) -> None:
        super().__init__()
        self.net: nn.Module = nn.Linear(size, size, bias=False)
        if not linear:
            self.net = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, size))

    def forward(self, z: Tensor) -> Tensor:
        moved: Tensor = self.net(z)
        return moved


class ODERNN(Encoder):
    """q(z_0|x) = N(μ(h), σ(h)²), h from the last observation back to the first.

    h' = ODESolve(f, h, gap) between steps; h = GRU(h', [x_t, what of it is there]) at a step where
    something was seen (Rubanova et al. 2019, algorithm 1 and §3.1). The state rests at 0 until the
    last step of its row, so that padding never moves it.
    """

    def __init__(self, spec: Spec, rate: Count = 1) -> None:
        super().__init__()
        self.spec = spec
        self.rate = rate
        self.clock = spec.clock
        channels = spec.as_steps[1]
        self.width = spec.latent
        self.hidden = spec.hidden
        self.drift = Dynamics(spec.hidden, spec.hidden)
        self.update = nn.GRU(2 * channels, spec.hidden, batch_first=True)
        self.out = mlp(spec.hidden, spec.hidden, 2 * spec.latent)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        steps = to_steps(x, self.spec)[:, : len(self.clock)]  # behind the last there is no time
        seen = ~steps.isnan()
        inputs = torch.cat([torch.where(seen, steps, 0.0), seen.to(steps)], -1)  # (B, T, 2 C)
        is_seen = seen.any(-1)[..., None]  # (B, T, 1)
        has_begun = step_mask(steps)[..., None]

        h = steps.new_zeros(len(x), self.hidden)
        for t in reversed(range(steps.shape[1])):
            if t + 1 < steps.shape[1]:
                gap = self.clock[t] - self.clock[t + 1]
                moved = euler(self.drift, h, gap, substeps(gap, self.rate))
                h = torch.where(has_begun[:, t + 1], moved, h)
            h = torch.where(is_seen[:, t], gru_step(self.update, inputs[:, t], h), h)
        return split_normal(self.out(h))


class ODEDecoder(Decoder):
    """p(x|z_0) = Π_t p(x_t|z_t), z_t = ODESolve(f, z_0, t) at the times of the spec.

    Rubanova et al. 2019, eq. 9–11; `rate` steps of Runge & Kutta in a unit of time.
    """

    def __init__(self, spec: Spec, rate: Count = 1, linear: bool = False) -> None:
        super().__init__()
        if spec.condition:
            raise Unsupported("latent_ode reads no label; this model is conditioned on one")
        self.rate = rate
        self.clock = spec.clock
        self.width = spec.latent
        self.likelihood = StepsLikelihood(spec)
        raw_channels = self.likelihood.raw_channels
        d = spec.latent
        self.drift = Dynamics(d, spec.hidden, linear)
        self.write: nn.Module = (
            nn.Linear(d, raw_channels) if linear else mlp(d, spec.hidden, raw_channels)
        )

    def path(self, z: Tensor) -> Tensor:
        """z_t at as many steps as are asked for, (K, B, T, D), from z_0 (K, B, D)."""
        found = [z]
        times = self.clock[: steps_asked_for(len(self.clock))]
        for before, later in pairwise(times):
            gap = later - before
            z = runge_kutta(self.drift, z, gap, substeps(gap, self.rate))
            found.append(z)
        return torch.stack(found, 2)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        # codes may be finer than the network
        z = z.flatten(2).to(next(self.parameters()))
        return self.likelihood(self.write(self.path(z)))


def substeps(gap: float, rate: int) -> int:
    """Steps of the solver over a gap of time, `rate` in a unit of it, one at least."""
    return max(1, math.ceil(abs(gap) * rate - 1e-9))


@tags("recurrent", "missing", "times")
def latent_ode(spec: Spec, rate: Count = 1, linear: bool = False) -> VAE:
    """One latent begins a path, and an ordinary differential equation says where it goes.

    −E_q(z_0|x) Σ_t log p(x_t|z_t) + KL(q(z_0|x) ‖ N(0, I)), z_t = z_0 + ∫₀ᵗ f(z) dt

    The encoder is a GRU whose state moves by an equation of its own between the steps, from the
    last to the first. Both are at the times of the spec, equally spaced or not, and a step that
    nobody saw is no input. The solver takes `rate` steps in a unit of time, one a gap at least.
    With `linear`, dz/dt = A z, and x is a linear map of z.

    Paper: Rubanova, Chen, Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series",
    arXiv:1907.03907, §3.1, the latent ODE with an ODE-RNN as its encoder. The decoder's solver is
    Runge and Kutta's with fixed steps where the paper has one with adaptive steps: then every row
    costs the same, and log p(x|z) is smooth in z. The encoder's is Euler's, as in the authors'
    code. There is no Poisson process for the times themselves.
    """
    return VAE(ODERNN(spec, rate), ODEDecoder(spec, rate, linear), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [latent_ode]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("ode_rnn", ODERNN), Part("ode", ODEDecoder)]
