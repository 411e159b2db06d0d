"""DSAE: one latent for what stays the same in a sequence, one a step for what moves."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import MaskedNormals, Observed, draw
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, mlp, split_normal
from vaezoo.recurrent import BothEnds, gru_states, previous_steps
from vaezoo.stepwise import Normals, StepsLikelihood, as_steps, noise_of_steps, normals


def ends(run: BothEnds, x: Tensor, mask: Tensor | None) -> Tensor:
    """(N, 2 H): the forward state after the last step there is, the backward state at the first."""
    forward, backward = run(x, mask).chunk(2, -1)  # (N, T, H) each
    if mask is None:
        return torch.cat([forward[:, -1], backward[:, 0]], -1)
    last = (mask.sum(1) - 1).clamp_min(0)[:, None, None]  # (N, 1, 1)
    at_last = torch.take_along_dim(forward, last, 1)[:, 0]  # (N, H)
    return torch.cat([at_last, backward[:, 0]], -1)


class DSAE(Model):
    """p(f) Π_t p(z_t|z_<t) p(x_t|z_t, f) with q(f|x) q(z_1:T|f, x).

    Li & Mandt 2018, arXiv:1803.02991, §2, "full q".
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(ELBO())
        d = spec.latent
        h = spec.hidden
        self.steps, channels = spec.as_steps
        self.spec = spec
        self.likelihood = StepsLikelihood(spec)

        # q(f|x) and p(f)
        self.still = BothEnds(channels, h)
        self.of_still = nn.Linear(2 * h, 2 * d)
        self.prior_f = StandardNormal(spec)

        # q(z_1:T|f, x), p(z_t|z_<t) and p(x_t|z_t, f)
        self.moving = BothEnds(channels + d, h)
        self.chain = nn.GRU(2 * h, h, batch_first=True)
        self.of_moving = nn.Linear(h, 2 * d)
        self.dynamics = nn.GRU(d, h, batch_first=True)
        self.of_dynamics = nn.Linear(h, 2 * d)
        self.write = mlp(2 * d, h, self.likelihood.raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        q_f = split_normal(self.of_still(ends(self.still, full, mask)))
        f, log_q_f = draw(q_f, (k,))

        # the path of z, given f
        q = self._posterior(f, full, mask)
        z = q.loc + q.scale * noise_of_steps(q.loc)
        steps_q = MaskedNormals(*q, mask)
        steps_p = MaskedNormals(*self._prior(z), mask)

        of_still = Latent(f, log_q_f, q_f, self.prior_f(c))
        of_moving = Latent(z, steps_q.log_prob(z), steps_q, steps_p, stepwise=True)
        return Trace(x, self._px(f, z), (of_still, of_moving))

    def _posterior(self, f: Tensor, x: Tensor, mask: Tensor | None) -> Normals:
        """q(z_1:T|f, x), (K, B, T, D)."""
        k = len(f)
        rows, steps = x.shape[:2]
        every_f = f[:, :, None].expand(-1, -1, steps, -1)
        seen = torch.cat([x.expand(k, *x.shape), every_f], -1).flatten(0, 1)  # (K·B, T, C + D)
        each = None if mask is None else mask.expand(k, rows, steps).flatten(0, 1)  # (K·B, T)
        states = gru_states(self.chain, self.moving(seen, each))
        return normals(self.of_moving(states).unflatten(0, (k, rows)))  # (K, B, T, D)

    def _prior(self, z: Tensor) -> Normals:
        """p(z_t|z_<t) along a path (K, B, T, D)."""
        states = gru_states(self.dynamics, previous_steps(z).flatten(0, 1))  # (K·B, T, H)
        return normals(self.of_dynamics(states).unflatten(0, z.shape[:2]))  # (K, B, T, D)

    def _px(self, f: Tensor, z: Tensor) -> Observed:
        every_f = f[:, :, None].expand(-1, -1, z.shape[2], -1)  # (K, B, T, D)
        return self.likelihood(self.write(torch.cat([every_f, z], -1)))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        f = self.prior_f(c).sample(torch.Size((1, n)))
        z = torch.zeros_like(f[0])[:, None]  # (n, 1, D)
        state = None
        path = []
        for _ in range(self.steps):
            h, state = self.dynamics(z, state)
            p = normals(self.of_dynamics(h))
            z = p.loc + p.scale * torch.randn_like(p.loc)
            path.append(z)
        return self._px(f, torch.cat(path, 1)[None])  # z is (1, n, T, D)


@tags("recurrent")
def dsae(spec: Spec) -> DSAE:
    """One latent f for what stays the same in a sequence, one a step for what moves.

    −E_q Σ_t log p(x_t|z_t, f) + KL(q(f|x) ‖ N(0, I)) + Σ_t KL(q(z_t|f, x) ‖ p(z_t|z_<t))

    The codes in the tables are those of f.

    Paper: Li & Mandt 2018, "Disentangled Sequential Autoencoder", arXiv:1803.02991, §2 (generative
    model, and the "full" posterior). GRUs in place of LSTMs.
    """
    return DSAE(spec)


@hookimpl
def vaezoo_variants() -> Variants:
    return [dsae]
