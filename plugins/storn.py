"""STORN: independent standard normal latents drive a recurrent generator."""

import torch
from torch import Tensor, nn

from vaezoo.core import Spec
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.networks import mlp
from vaezoo.recurrent import gru_states, gru_step
from vaezoo.stepwise import Normals, Parallel, Seen, normals, same_for_every_state


class STORN(Parallel):
    """p(z_t) = N(0, I), h_t = f(x_t-1, z_t, h_t-1), p(x_t|h_t), q(z_t|x_≤t).

    Bayer & Osendorfer 2014, arXiv:1411.7610.

    The state is [h_t-1, x_t-1], since x_t is written after z_t has entered the recurrence.
    """

    def __init__(self, spec: Spec, particles: int) -> None:
        d = spec.latent
        h = spec.hidden
        super().__init__(spec, h + spec.as_steps[1], fivo_or_elbo(particles))
        self.hidden = h
        self.latent = d
        self.read = nn.GRU(self.channels, h, batch_first=True)
        self.posterior = mlp(h, h, 2 * d)
        self.generate = nn.GRU(self.channels + d, h, batch_first=True)
        self.write = nn.Linear(h, self.raw_channels)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.posterior(gru_states(self.read, x))

    def p(self, state: Tensor) -> Normals:
        zero = state.new_zeros(*state.shape[:-1], self.latent)
        return Normals(zero, torch.ones_like(zero))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return same_for_every_state(normals(feature), state)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(self._recur(state, z))

    def emit_along(self, states: Tensor, z: Tensor) -> Tensor:
        """h_t, from which x_t is written, is part of s_t+1: no step is computed twice."""
        return self.write(states[:, :, 1:, : self.hidden])

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return torch.cat([self._recur(state, z), seen.expand(*state.shape[:-1], -1)], -1)

    def _recur(self, state: Tensor, z: Tensor) -> Tensor:
        """h_t, from s_t and z_t."""
        h, x = state.split([self.hidden, self.channels], -1)
        return gru_step(self.generate, torch.cat([x, z], -1), h)

    def states(self, first: Tensor, seen: Seen, z: Tensor) -> Tensor:
        h, x = first.split([self.hidden, self.channels], -1)
        # x_0 … x_T, (K, B, T + 1, C)
        after = seen.inputs.expand(len(z), *seen.inputs.shape)
        xs = torch.cat([x[:, :, None], after], 2)

        # h_0 is the start; the GRU gives h_1 … h_T, as rows of K·B
        driven = torch.cat([xs[:, :, :-1], z], -1).flatten(0, 1)  # (K·B, T, C + D)
        hs = gru_states(self.generate, driven, h.flatten(0, 1)).unflatten(0, z.shape[:2])
        return torch.cat([torch.cat([h[:, :, None], hs], 2), xs], -1)


@tags("recurrent")
def storn(spec: Spec, particles: Particles = 0) -> STORN:
    """Independent standard normal latents, one a step, drive a recurrent generator.

    Σ_t −log p(x_t|z_≤t, x_<t) + KL(q(z_t|x_≤t) ‖ N(0, I))

    With `particles`, the loss is −log p̂ of a particle filter of that many (FIVO).

    Paper: Bayer & Osendorfer 2014, "Learning Stochastic Recurrent Networks", arXiv:1411.7610,
    generating and recognition model. Both recurrences are GRUs, and the recognition network sees
    x_t itself.
    """
    return STORN(spec, particles)


@hookimpl
def vaezoo_variants() -> Variants:
    return [storn]
