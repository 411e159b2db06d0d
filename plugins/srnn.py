"""SRNN: a deterministic recurrence below a stochastic one, and a posterior that looks ahead."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.networks import mlp
from vaezoo.recurrent import from_the_end, gru_states, previous_steps
from vaezoo.stepwise import Normals, Stepwise, normals


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
