"""SRNN: a deterministic recurrence below a stochastic one, and a posterior that looks ahead."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.gru import by_hand
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.markov import SILU, markov_path
from vaezoo.networks import mlp
from vaezoo.recurrent import from_the_end, gru_states, previous_steps
from vaezoo.stepwise import Normals, Path, Seen, Stepwise, noise_of_steps, normals


class SRNN(Stepwise):
    """d_t = f(d_t-1, x_t-1), p(z_t|z_t-1, d_t), p(x_t|z_t, d_t), and q(z_t|z_t-1, a_t).

    The posterior looks ahead: a_t = g(a_t+1, [d_t, x_t]).

    The mean of q is that of p plus a learned residual (Fraccaro et al. 2016, arXiv:1605.07571,
    algorithm 1). The state is [d_t, z_t-1]; d has no part in z, so that it is computed for all
    steps at once.
    """

    def __init__(self, spec: Spec, particles: int) -> None:
        d = spec.latent
        h = spec.hidden
        super().__init__(spec, h + d, fivo_or_elbo(particles))
        self.latent = d
        self.forwards = nn.GRU(self.channels, h, batch_first=True)
        self.backwards = nn.GRU(h + self.channels, h, batch_first=True)
        self.prior = mlp(h + d, h, 2 * d)
        self.write = mlp(h + d, h, self.raw_channels)
        self.see = nn.Linear(h, h)
        self.recall = nn.Linear(d, h, bias=False)
        self.correct = nn.Linear(h, 2 * d)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.see(
            from_the_end(self.backwards, torch.cat([previous_steps(inputs), x], -1), mask)
        )

    def inputs(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        d = None if state is None else state[0, :, : -self.latent]  # (B, H)
        return gru_states(self.forwards, x, d)  # d_t+1

    def p(self, state: Tensor) -> Normals:
        return normals(self.prior(state))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        z_before = state[..., -self.latent :]
        residual = normals(self.correct(F.silu(feature + self.recall(z_before))))
        return Normals(self.p(state).loc + residual.loc, residual.scale)

    def path(self, seen: Seen, k: int) -> Path:
        """By hand: z_t-1 enters the layers below q and p's mean together, d_t before the loop."""
        if not by_hand(seen.features):
            return super().path(seen, k)
        first = self.begin(k, len(seen.x), seen.features)
        d, z = first.split([self.state_size - self.latent, self.latent], -1)
        ds = torch.cat([d[:, :, None], seen.inputs.expand(k, *seen.inputs.shape)], 2)  # T + 1 steps
        e = noise_of_steps(z[:, :, None].expand(-1, -1, ds.shape[2] - 1, -1))

        f, recall = self._below(seen.features.expand(k, *seen.features.shape), ds[:, :, :-1])
        out, bias = self._above()
        zs, raw = markov_path(f, bias.expand(*e.shape[:3], -1), z, e, recall, out, SILU)

        before = torch.cat([z[:, :, None], zs], 2)  # z_0 … z_T
        states = torch.cat([ds, before], -1)
        self.end(states[:, :, -1])
        return states[:, :, :-1], zs, normals(raw), self.emit(states[:, :, :-1], zs)

    def _below(self, features: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """f (K, B, T, 2 H) and R of f + R z_t-1, what the layers below of q and of p have."""
        below = cast(nn.Linear, self.prior[0])
        of_d, of_z = below.weight.split([d.shape[-1], self.latent], 1)
        f = torch.cat([features, F.linear(d, of_d, below.bias)], -1)
        return f, torch.cat([self.recall.weight, of_z])

    def _above(self) -> tuple[Tensor, Tensor]:
        """The matrix and the bias above them: both layers give the mean, q's alone the scale."""
        above = cast(nn.Linear, self.prior[2])
        means = F.pad(above.weight[: self.latent], (0, 0, 0, self.latent))
        bias = self.correct.bias + F.pad(above.bias[: self.latent], (0, self.latent))
        return torch.cat([self.correct.weight, means], 1), bias

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(torch.cat([state[..., : -self.latent], z], -1))

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return torch.cat([seen.expand(*z.shape[:-1], -1), z], -1)


@tags("recurrent")
def srnn(spec: Spec, particles: Particles = 0) -> SRNN:
    """A Markov chain of latents over a deterministic recurrence, with a posterior that looks ahead.

    Σ_t −log p(x_t|z_t, d_t) + KL(q(z_t|z_t-1, a_t) ‖ p(z_t|z_t-1, d_t))

    With `particles`, the loss is −log p̂ of a particle filter of that many (FIVO).

    Paper: Fraccaro, Sønderby, Paquet, Winther 2016, "Sequential Neural Models with Stochastic
    Layers", arXiv:1605.07571, §3 and algorithm 1 (the residual mean). The likelihood sees x_t-1
    through d_t alone; the prior's mean is not detached inside q.
    """
    return SRNN(spec, particles)


@hookimpl
def vaezoo_variants() -> Variants:
    return [srnn]
