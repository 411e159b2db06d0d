"""RVAE: independent latents, a recurrent decoder over them, and a posterior that matches it."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace, Unsupported
from vaezoo.distributions import MaskedNormals, Observed, noise
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.recurrent import BothEnds, from_the_end, gru_states, gru_step
from vaezoo.stepwise import Normals, Seen, StepsLikelihood, Stepwise, as_steps, normals


class Posterior(nn.Module):
    """q(z_t|g_t, feature_t), where g_t sums up z_<t."""

    def __init__(self, features: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.see = nn.Linear(features, hidden)
        self.recall = nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, 2 * latent)
        self.chain = nn.GRU(latent, hidden, batch_first=True)

    def forward(self, g: Tensor, feature: Tensor) -> Normals:
        return normals(self.out(F.silu(feature + self.recall(g))))

    def path(self, g: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Normals]:
        """g_1 … g_T+1 (K, B, T + 1, H), and draws and moments of q (K, B, T, D).

        It starts at g_1 (K, B, H).
        """
        gs = [g]
        trail = []
        for feature in features.unbind(1):
            q = self(gs[-1], feature)
            z = q.loc + q.scale * noise(*q.loc.shape, like=q.loc)
            trail.append((z, *q))
            gs.append(gru_step(self.chain, z, gs[-1]))
        # T triples of (K, B, D) -> three (K, B, T, D)
        z, loc, scale = (torch.stack(each, 2) for each in zip(*trail, strict=True))
        return torch.stack(gs, 2), z, Normals(loc, scale)


def standard(like: Tensor) -> Normals:
    """N(0, I)."""
    return Normals(torch.zeros_like(like), torch.ones_like(like))


class Causal(Stepwise):
    """p(z_t) = N(0, I), p(x_t|z_≤t) and q(z_t|z_<t, x_t:T).

    The state is [g_t, h_t]: what q and what p(x) know of z_<t.
    """

    def __init__(self, spec: Spec, particles: int) -> None:
        d = spec.latent
        h = spec.hidden
        super().__init__(spec, 2 * h, fivo_or_elbo(particles))
        self.hidden = h
        self.latent = d
        self.posterior = Posterior(h, h, d)
        self.ahead = nn.GRU(self.channels, h, batch_first=True)
        self.decode = nn.GRU(d, h, batch_first=True)
        self.write = nn.Linear(h, self.raw_channels)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.posterior.see(from_the_end(self.ahead, x, mask))

    def p(self, state: Tensor) -> Normals:
        return standard(state.new_empty(*state.shape[:-1], self.latent))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return self.posterior(state[..., : self.hidden], feature)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(gru_step(self.decode, z, state[..., self.hidden :]))

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        g, h = state.split(self.hidden, -1)
        return torch.cat([gru_step(self.posterior.chain, z, g), gru_step(self.decode, z, h)], -1)

    def path(self, seen: Seen, k: int) -> tuple[Tensor, Tensor, Normals, Tensor]:
        """The loop is over g alone; h follows from all z at once, and x_t is written from h_t+1."""
        g, h = self.begin(k, len(seen.x), seen.features).split(self.hidden, -1)
        gs, z, q = self.posterior.path(g, seen.features)  # gs is (K, B, T + 1, H)

        # h_1 is the start; the GRU gives h_2 … h_T+1
        hs = gru_states(self.decode, z.flatten(0, 1), h.flatten(0, 1))  # (K·B, T, H)
        hs = hs.unflatten(0, z.shape[:2])  # (K, B, T, H)
        self.end(torch.cat([gs[:, :, -1], hs[:, :, -1]], -1))
        before_each = torch.cat([h[:, :, None], hs[:, :, :-1]], 2)
        return torch.cat([gs[:, :, :-1], before_each], -1), z, q, self.write(hs)


class NonCausal(Model):
    """p(z_t) = N(0, I), p(x_t|z_1:T) and q(z_t|z_<t, x_1:T).

    No step of x can be written before all z are drawn.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(ELBO())
        d = spec.latent
        h = spec.hidden
        self.steps, channels = spec.as_steps
        self.spec = spec
        self.hidden = h
        self.likelihood = StepsLikelihood(spec)
        self.read = BothEnds(channels, h)
        self.posterior = Posterior(2 * h, h, d)
        self.decode = BothEnds(d, h)
        self.write = nn.Linear(2 * h, self.likelihood.raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        features = self.posterior.see(self.read(full, mask))
        _, z, q = self.posterior.path(features.new_zeros(k, len(x), self.hidden), features)
        steps_q = MaskedNormals(*q, mask)
        steps_p = MaskedNormals(*standard(z[0]), mask)
        latent = Latent(z, steps_q.log_prob(z), steps_q, steps_p, stepwise=True)
        return Trace(x, self._px(z, mask), (latent,))

    def _px(self, z: Tensor, mask: Tensor | None) -> Observed:
        """p(x|z), from z (K, B, T, D)."""
        each = None if mask is None else mask.expand(len(z), *mask.shape).flatten(0, 1)  # (K·B, T)
        h = self.decode(z.flatten(0, 1), each)  # (K·B, T, 2 H)
        return self.likelihood(self.write(h).unflatten(0, z.shape[:2]))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        like = next(self.parameters())
        size = self.posterior.chain.input_size
        z = torch.randn(1, n, self.steps, size, dtype=like.dtype, device=like.device)
        return self._px(z, None)


@tags("recurrent")
def rvae(spec: Spec, causal: bool = True, particles: Particles = 0) -> Model:
    """Independent latents under a recurrent decoder, and a posterior of the true structure.

    Σ_t −log p(x_t|z_≤t) + KL(q(z_t|z_<t, x_t:T) ‖ N(0, I))

    Without `causal`, x_t depends on all of z, and z_t on all of x. With `particles`, the loss is
    −log p̂ of a particle filter of that many (FIVO); that needs the causal form.

    Paper: Leglaive, Alameda-Pineda, Girin, Horaud 2020, "A Recurrent Variational Autoencoder for
    Speech Enhancement", arXiv:1910.10942, causal and non-causal model and posterior. The likelihood
    is the data's, where the paper has complex Gaussians for spectrograms; GRUs in place of LSTMs.
    """
    if causal:
        return Causal(spec, particles)
    if particles:
        raise Unsupported(
            "particles need the causal form, whose steps can be drawn one after the other"
        )
    return NonCausal(spec)


@hookimpl
def vaezoo_variants() -> Variants:
    return [rvae]
