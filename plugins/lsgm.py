"""LSGM: a diffusion is the prior, learned together with encoder and decoder."""

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Prior, Spec, Terms, Unsupported, require_parts
from vaezoo.diffusion import OfTime, beta, kept, moved, noise_velocity, time_of
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.networks import Gaussian, Write

LAST = 1e-3  # of the diffusion's time: where its score would grow without limit
NORMAL = -3.0  # logit of α at first, as in the authors' code: the prior is nearly N(0, I)
Times = Literal["importance", "uniform"]


class MixedNoise(nn.Module):
    """ê(s, z) = (1 - α) σ z + α net(s, z), (N, D), eq. 9; where α = 0 it is that of N(0, I)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = OfTime(width, hidden)
        self.logit = nn.Parameter(torch.full((width,), NORMAL))

    def forward(self, s: Tensor, z: Tensor) -> Tensor:
        alpha = self.logit.sigmoid()
        _, sigma = kept(s)
        mixed: Tensor = (1 - alpha) * sigma * z + alpha * self.net(s, z)
        return mixed


class Diffused(Distribution):
    """p(z) of the probability flow dz/ds = -½ β (z - ê/σ) from N(0, I) at s = 1 to s = 0.001."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, noise: nn.Module, width: int, steps: int, times: Times) -> None:
        super().__init__(torch.Size(), torch.Size((width,)), validate_args=False)
        self.noise = noise
        self.steps = steps
        self.times = times

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(z(1); 0, I) - ∫ div v ds from z, (…) in nats; the divergence is exact."""
        start = value.reshape(-1, value.shape[-1])
        there, grown = moved(self.velocity, start, self.nodes()[::-1], counts=True)
        log_normal = -0.5 * (there.square() + math.log(2 * math.pi)).sum(-1)
        return (log_normal + grown).reshape(value.shape[:-1])

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.event_shape
        start = torch.randn(shape, **self._kind()).reshape(-1, shape[-1])
        return moved(self.velocity, start, self.nodes(), counts=False)[0].reshape(shape)

    def cross_entropy(self, z: Tensor) -> Tensor:
        """An estimate of -E log p(z), z (…, D) drawn from q(z|x), (…) in nats, theorem 1.

        w(s) ‖e - ê(s, z_s)‖² + D/2 log (2π e σ²), σ at s = 0.001 and z_s = α z + σ e, at one s and
        one e for each code. Of N(0, I), whose ê is σ z_s, the same estimate has the mean -log N(z;
        0, I): what it misses is taken off, so that where p is N(0, I) there is no noise at all.

        Its mean is that of codes to which noise of deviation 0.01 was added, for the ê of their
        density.
        """
        rows = z.reshape(-1, z.shape[-1])
        s, weight = self.weighed_times(rows)
        alpha, sigma = kept(s)
        e = torch.randn_like(rows)
        noisy = alpha * rows + sigma * e
        missed = (e - self.noise(s, noisy)).square()
        missed_by_normal = (alpha * (alpha * e - sigma * rows)).square()  # e - σ z_s
        of_normal = 0.5 * (rows.square() + math.log(2 * math.pi))
        of_each = of_normal + weight * (missed - missed_by_normal)
        return of_each.sum(-1).reshape(z.shape[:-1])

    def weighed_times(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """s and w(s), (N, 1): w = β/(2σ²) over the density of s, which is uniform, or of log σ²."""
        n = len(like)
        spread = torch.arange(n, device=like.device).to(like)[:, None]
        part = (torch.rand(1, 1).to(like) + spread / n) % 1  # evenly over [0, 1)
        ends = torch.tensor([[LAST], [1.0]]).to(like)
        if self.times == "uniform":
            s = LAST + (1 - LAST) * part
            return s, (1 - LAST) * beta(s) / (2 * kept(s)[1].square())
        low, high = kept(ends)[1].log() * 2  # log σ² at both ends
        variance = (low + (high - low) * part).exp()
        return time_of(variance), (high - low) / (2 * (1 - variance))

    def velocity(self, t: Tensor, z: Tensor) -> Tensor:
        """At t = 1 - s, which runs from noise to codes."""
        s = 1 - t
        return noise_velocity(s, z, self.noise(s, z))

    def nodes(self) -> list[float]:
        """Where steps begin and end, t upwards; shorter where σ changes faster than z."""
        passed = torch.linspace(1, 0, self.steps + 1).square()
        return (1 - (LAST + (1 - LAST) * passed)).tolist()

    def _kind(self) -> dict[str, Any]:
        like = next(self.noise.parameters())
        return {"dtype": like.dtype, "device": like.device}


class ScorePrior(Prior):
    """A diffusion's probability flow; its density is by `steps` Runge-Kutta steps."""

    def __init__(self, spec: Spec, steps: Count = 10, times: Times = "importance") -> None:
        super().__init__()
        self.width = spec.latent
        self.steps = steps
        self.times = times
        self.noise = MixedNoise(spec.latent, max(1, spec.hidden // 2))

    def forward(self, c: Tensor | None = None) -> Diffused:
        return Diffused(self.noise, self.width, self.steps, self.times)


class Denoising(Loss):
    """R + E_q log q(z|x) + CE(q(z|x) ‖ p(z)), the last by denoising."""

    def check(self, model: Model) -> None:
        vae = require_parts(model, "Denoising")
        if not isinstance(vae.prior, ScorePrior):
            raise Unsupported(
                f"Denoising learns the score of a diffusion, and the prior "
                f"{type(vae.prior).__name__} has none; take the prior score"
            )
        if vae.no_density:
            raise Unsupported(f"Denoising needs the density q(z|x): {vae.no_density}")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        (latent,) = trace.latents
        p = cast(Diffused, latent.p)

        distortion = -trace.log_px.mean()
        cross_entropy = p.cross_entropy(latent.z).mean()
        rate = latent.log_q.mean() + cross_entropy
        return {
            "loss": distortion + rate,
            "distortion": distortion,
            "rate": rate,
            "cross_entropy": cross_entropy,
        }


@tags("prior", "heavy")
def lsgm(spec: Spec, steps: Count = 10, times: Times = "importance") -> VAE:
    """The prior is a diffusion whose score is learned with everything else.

    R + E_q log q(z|x) + E_{s,e} w(s) ‖e - ê(s, α_s z + σ_s e)‖² + D/2 log (2π e σ₀²), w(s) =
    β(s)/(2σ_s²) over the density of s, ê = (1 - α) σ_s z_s + α net(s, z_s)

    w is the weight of maximum likelihood, for encoder and prior alike. `times=importance` draws s
    evenly in log σ², which has less variance than `uniform`. The error that N(0, I) has at the same
    s and e is taken off, and its exact mean added: at first the loss is nearly that of `vae`.
    log p(z) in evaluation, and draws, are those of the probability flow, by `steps` steps of
    Runge-Kutta; its divergence is exact, with one derivative for each latent number. The network of
    ê is its own, of half the spec's hidden width.

    Paper: Vahdat, Kreis & Kautz 2021, "Score-based Generative Modeling in Latent Space",
    arXiv:2106.05931, theorem 1, eq. 9 (the mixed score) and algorithm 1, with the variance
    preserving diffusion of Song et al. 2021, arXiv:2011.13456, from 0.001 on. There the VAE is NVAE
    and trained alone at first; here one vector, and all begin together.
    """
    prior = ScorePrior(spec, steps, times)
    return VAE(Gaussian(spec), Write(spec), prior, Denoising())


@hookimpl
def vaezoo_variants() -> Variants:
    return [lsgm]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("score", ScorePrior), Part("denoising", Denoising)]
