"""RVAE: independent latents, a recurrent decoder over them, and a posterior that matches it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import Observed, Steps, noise
from vaezoo.hooks import hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.stepwise import Gates, Moments, StepsLikelihood, as_steps, from_the_end, moments


class Run(nn.Module):
    """A recurrence over (N, T, F) -> (N, T, out): forward, and from each row's end as well where `both`."""

    def __init__(self, inputs: int, hidden: int, both: bool) -> None:
        super().__init__()
        self.forwards = nn.GRU(inputs, hidden, batch_first=True)
        self.backwards = nn.GRU(inputs, hidden, batch_first=True) if both else None
        self.out = hidden * (1 + both)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = self.forwards(x)[0]
        return h if self.backwards is None else torch.cat([h, from_the_end(self.backwards, x, mask)], -1)


class RVAE(Model):
    """p(z_t) = N(0, I), p(x_t|z_≤t) or p(x_t|z_1:T), and q(z_t|z_<t, x_t:T) or q(z_t|z_<t, x_1:T)."""

    def __init__(self, spec: Spec, causal: bool) -> None:
        super().__init__(ELBO())
        d, h = spec.latent, spec.hidden
        self.spec, self.steps, self.likelihood = spec, spec.as_steps[0], StepsLikelihood(spec)
        channels = spec.as_steps[1]
        self.ahead, self.behind = (
            nn.GRU(channels, h, batch_first=True),
            None if causal else nn.GRU(channels, h, batch_first=True),
        )
        self.see, self.recall, self.posterior = (
            nn.Linear(h if causal else 2 * h, h),
            nn.Linear(h, h, bias=False),
            nn.Linear(h, 2 * d),
        )
        self.gates, self.decode = Gates(0, d, h), Run(d, h, both=not causal)
        self.write = nn.Linear(self.decode.out, self.likelihood.raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        z, q = self._path(self._features(full, mask), k)
        steps_q = Steps(*q, mask)
        zero = torch.zeros_like(z[0])
        steps_p = Steps(zero, torch.ones_like(zero), mask)
        return Trace(x, self._px(z, mask), (Latent(z, steps_q.log_prob(z), steps_q, steps_p, stepwise=True),))

    def _features(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = from_the_end(self.ahead, x, mask)
        return self.see(h if self.behind is None else torch.cat([h, self.behind(x)[0]], -1))

    def _path(self, features: Tensor, k: int) -> tuple[Tensor, Moments]:
        """Draws and moments of q along k paths, (K, B, T, D) each."""
        state, trail = features.new_zeros(k, len(features), self.spec.hidden), []
        known = self.gates.known(features.new_zeros(0))
        for feature in features.unbind(1):
            q = moments(self.posterior(F.silu(feature + self.recall(state))))
            z = q.loc + q.scale * noise(*q.loc.shape, like=q.loc)
            trail.append((z, *q))
            state = self.gates(state, known, z)
        z, loc, scale = (torch.stack(each, 2) for each in zip(*trail, strict=True))
        return z, Moments(loc, scale)

    def _px(self, z: Tensor, mask: Tensor | None) -> Observed:
        """p(x|z), from z (K, B, T, D)."""
        each = None if mask is None else mask.expand(len(z), *mask.shape).flatten(0, 1)
        return self.likelihood(self.write(self.decode(z.flatten(0, 1), each)).unflatten(0, z.shape[:2]))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        like = next(self.parameters())
        px = self._px(torch.randn(1, n, self.steps, self.spec.latent, dtype=like.dtype, device=like.device), None)
        return (px.mean if mean else px.sample())[0]


@tags("recurrent")
def rvae(spec: Spec, causal: bool = True) -> RVAE:
    """Independent latents, one a step, and a recurrent decoder over them; the posterior has the true one's structure.

    Σ_t −log p(x_t|z_≤t) + KL(q(z_t|z_<t, x_t:T) ‖ N(0, I)); not `causal`: x_t depends on all of z, z_t on all of x.

    Paper: Leglaive, Alameda-Pineda, Girin, Horaud 2020, arXiv:1910.10942, causal and non-causal model and posterior.
    The likelihood is the data's, where the paper has complex Gaussians for spectrograms; GRUs in place of LSTMs.
    """
    return RVAE(spec, causal)


@hookimpl
def vaezoo_variants() -> list[Callable[..., RVAE]]:
    return [rvae]
