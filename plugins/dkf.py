"""Deep Kalman filter and deep Markov model: state space models in which x depends on z alone."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.gru import by_hand
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.markov import TANH, markov_path
from vaezoo.networks import mlp
from vaezoo.recurrent import BothEnds, from_the_end
from vaezoo.stepwise import (
    Normals,
    Parallel,
    Path,
    Seen,
    Stepwise,
    noise_of_steps,
    normals,
    same_for_every_state,
)


class Markov(Stepwise):
    """p(z_1) p(x_1|z_1) Π_t p(z_t|z_t-1) p(x_t|z_t).

    The state is [z_t-1, 0]; at the first step, where there is no z_t-1, it is [0, 1].
    """

    def __init__(self, spec: Spec, write: Callable[[int, int], nn.Module], particles: int) -> None:
        super().__init__(spec, spec.latent + 1, fivo_or_elbo(particles))
        self.latent = spec.latent
        self.write = write(spec.latent, self.raw_channels)
        self.first = nn.Parameter(torch.zeros(2 * spec.latent))  # p(z_1)

    @abstractmethod
    def transition(self, z: Tensor) -> Normals:
        """p(z_t|z_t-1)."""

    def start(self, k: int, rows: int, like: Tensor) -> Tensor:
        return F.pad(like.new_zeros(k, rows, self.latent), (0, 1), value=1.0)

    def p(self, state: Tensor) -> Normals:
        then = self.transition(state[..., :-1])
        first = normals(self.first)
        is_first = state[..., -1:] > 0
        return Normals(
            torch.where(is_first, first.loc, then.loc),
            torch.where(is_first, first.scale, then.scale),
        )

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(z)

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return F.pad(z, (0, 1))


class DKF(Markov, Parallel):
    """p(z_t|z_t-1) by a network, and q(z_t|x_1:T), which reads x from both ends.

    Krishnan et al. 2015, arXiv:1511.05121, "q-BRNN".
    """

    def __init__(self, spec: Spec, particles: int) -> None:
        d = spec.latent
        h = spec.hidden
        super().__init__(spec, lambda i, o: mlp(i, h, o), particles)
        self.transit = mlp(d, h, 2 * d)
        self.posterior = mlp(2 * h, h, 2 * d)
        self.read = BothEnds(self.channels, h)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.posterior(self.read(x, mask))

    def transition(self, z: Tensor) -> Normals:
        return normals(self.transit(z))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return same_for_every_state(normals(feature), state)

    def states(self, first: Tensor, seen: Seen, z: Tensor) -> Tensor:
        return torch.cat([first[:, :, None], F.pad(z, (0, 1))], 2)  # [z_t, 0] after the first


class Gated(nn.Module):
    """μ = (1 − g) ⊙ (W z + b) + g ⊙ h and σ² = softplus(W' relu(h) + b').

    The gate g and the proposal h are networks of z.

    Krishnan et al. 2017, arXiv:1609.09869, "gated transition function"; W starts as the identity, b
    as zero.
    """

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.gate = mlp(latent, hidden, latent)
        self.propose = mlp(latent, hidden, latent)
        self.linear = nn.Linear(latent, latent)
        self.spread = nn.Linear(latent, latent)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, z: Tensor) -> Normals:
        h = self.propose(z)
        loc = torch.lerp(self.linear(z), h, torch.sigmoid(self.gate(z)))
        return Normals(loc, (F.softplus(self.spread(F.relu(h))) + 1e-6).sqrt())


class Linear(nn.Module):
    """μ = W z + b, one σ for all z: with a linear p(x|z), a linear-Gaussian state space model."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, latent)
        self.raw_scale = nn.Parameter(torch.zeros(latent))
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, z: Tensor) -> Normals:
        loc = self.linear(z)
        return Normals(loc, (F.softplus(self.raw_scale) + 1e-3).expand_as(loc))


class DMM(Markov):
    """q(z_t|z_t-1, x_t:T) from h = ½ (tanh(W z_t-1 + b) + h_t), h_t running backward over x.

    Krishnan et al. 2017, arXiv:1609.09869, "ST-R".
    """

    def __init__(self, spec: Spec, linear: bool, particles: int) -> None:
        d = spec.latent
        h = spec.hidden
        super().__init__(spec, nn.Linear if linear else lambda i, o: mlp(i, h, o), particles)
        self.is_linear = linear
        self.transit = Linear(d) if linear else Gated(d, h)
        self.backwards = nn.GRU(self.channels, h, batch_first=True)
        self.combine = nn.Linear(d, h)
        self.squash = nn.Identity() if linear else nn.Tanh()
        self.posterior = nn.Linear(h, 2 * d)
        self.posterior_first = nn.Linear(h, 2 * d)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return from_the_end(self.backwards, x, mask)

    def transition(self, z: Tensor) -> Normals:
        return self.transit(z)

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        h = 0.5 * (self.squash(self.combine(state[..., :-1])) + feature)
        is_first = state[..., -1:] > 0
        return normals(torch.where(is_first, self.posterior_first(h), self.posterior(h)))

    def path(self, seen: Seen, k: int) -> Path:
        """By hand from z_2 on: what x gives to q enters before the loop."""
        features = seen.features.expand(k, *seen.features.shape)  # (K, B, T, H)
        steps = features.shape[2]
        if self.is_linear or steps == 1 or not by_hand(features):
            return super().path(seen, k)
        state = self.begin(k, len(seen.x), features)
        e = noise_of_steps(state[:, :, None, :-1].expand(-1, -1, steps, -1))
        q = self.q(state, features[:, :, 0])
        z = q.loc + q.scale * e[:, :, 0]

        zs, then = self._after(z, features[:, :, 1:], e[:, :, 1:])
        zs = torch.cat([z[:, :, None], zs], 2)
        states = torch.cat([state[:, :, None], F.pad(zs, (0, 1))], 2)
        self.end(states[:, :, -1])
        moments = (torch.cat([a[:, :, None], b], 2) for a, b in zip(q, then, strict=True))
        return states[:, :, :-1], zs, Normals(*moments), self.emit(states[:, :, :-1], zs)

    def _after(self, z: Tensor, features: Tensor, e: Tensor) -> tuple[Tensor, Normals]:
        """z_2 … z_T (K, B, T - 1, D) and their q, from z_1, h_2 … h_T and their noise.

        raw = P ½ h_t + p + P ½ tanh(W z_t-1 + b)
        """
        half = 0.5 * self.posterior.weight
        of_x = F.linear(features, half, self.posterior.bias)
        b = self.combine.bias.expand(*of_x.shape[:3], -1)
        zs, raw = markov_path(b, of_x, z, e, self.combine.weight, half, TANH)
        return zs, normals(raw)


@tags("recurrent")
def dkf(spec: Spec, particles: Particles = 0) -> DKF:
    """A Markov chain of latents with network transitions; each q sees the whole sequence.

    Σ_t −log p(x_t|z_t) + KL(q(z_t|x_1:T) ‖ p(z_t|z_t-1))

    With `particles`, the loss is −log p̂ of a particle filter of that many (FIVO).

    Paper: Krishnan, Shalit, Sontag 2015, "Deep Kalman Filters", arXiv:1511.05121, the model and the
    bidirectional posterior ("q-BRNN").
    """
    return DKF(spec, particles)


@tags("recurrent")
def dmm(spec: Spec, linear: bool = False, particles: Particles = 0) -> DMM:
    """Gated Markov transitions, and a posterior with the structure of the true one.

    Σ_t −log p(x_t|z_t) + KL(q(z_t|z_t-1, x_t:T) ‖ p(z_t|z_t-1))

    With `linear`, transitions and emissions are linear maps, so that the best bound is the
    likelihood of a Kalman filter. With `particles`, the loss is −log p̂ of a particle filter of
    that many (FIVO).

    Paper: Krishnan, Shalit, Sontag 2017, "Structured Inference Networks for Nonlinear State Space
    Models", arXiv:1609.09869, sections "Deep Markov models" (gated transition) and "Structured
    inference networks" (ST-R, the combiner). p(z_1) is learned, and q(z_1|x), which knows no z_0,
    has its own last layer: with one layer for all steps no linear-Gaussian chain could be matched.
    A GRU stands in place of the plain recurrence.
    """
    return DMM(spec, linear, particles)


@hookimpl
def vaezoo_variants() -> Variants:
    return [dkf, dmm]
