"""A linear encoder and a linear decoder with one learned σ²: the VAE whose optimum is known."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Encoder, Model, Spec, Terms, require_parts
from vaezoo.distributions import Observed, kl, normal, to_length
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.likelihoods import NormalHead, head
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, raw_shape


class Centre(nn.Module):
    """The mean of all rows seen in training, entry by entry, gaps left out: (size,)."""

    mean: Tensor
    count: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("count", torch.zeros(spec.size))

    def see(self, x: Tensor) -> None:
        """One more minibatch, (B, size)."""
        seen = ~x.isnan()
        count = self.count + seen.sum(0)
        step = torch.where(seen, x - self.mean, 0.0).sum(0) / count.clamp_min(1)
        self.mean.copy_(self.mean + step)
        self.count.copy_(count)


class LinearEncoder(Encoder):
    """q(z|x) = N(V (x - m), diag d²), with one d for all x. A gap reads as its mean."""

    def __init__(self, spec: Spec, weight: Tensor, scale: float, centre: Centre) -> None:
        super().__init__()
        self.spec = spec
        self.scale = scale
        self.centre = centre
        self.weight = nn.Parameter(weight)  # V / scale, (latent, size)
        self.log_scale = nn.Parameter(torch.full((spec.latent,), -1.0))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        if self.spec.is_sequence:
            x = to_length(x, self.spec.shape[0])
        x = x.flatten(1)  # (B, size)
        if self.training:
            self.centre.see(x)
        # a copy of the mean, should another pass move it before the backward pass
        centred = x - self.centre.mean.clone()
        if self.spec.has_gaps:
            centred = torch.where(centred.isnan(), 0.0, centred)
        return normal(self.scale * centred @ self.weight.T, self.log_scale.exp())


class LinearDecoder(Decoder):
    """p(x|z) = N(W z + m, σ² I).

    For another likelihood W z + b are its raw numbers, such as logits, and b is learned.
    """

    def __init__(self, spec: Spec, weight: Tensor, scale: float, centre: Centre) -> None:
        super().__init__()
        self.shape = raw_shape(spec)
        self.likelihood = head(spec)
        self.scale = scale
        self.weight = nn.Parameter(weight)  # W / scale, (raw size, latent)
        self.centre = centre
        is_normal = isinstance(self.likelihood, NormalHead)
        self.bias = None if is_normal else nn.Parameter(torch.zeros(len(weight)))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        shift = self.centre.mean.clone() if self.bias is None else self.bias
        raw = self.scale * z.flatten(2) @ self.weight.T + shift  # (K, B, raw size)
        return self.likelihood(raw.unflatten(-1, self.shape))  # (K, B, *raw shape)


class ExactELBO(ELBO):
    """R + KL with R in closed form, so that z adds no noise.

    E_q ‖x - W z - m‖² = ‖x - W μ - m‖² + Σ_j ‖w_j‖² d_j².
    """

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "ExactELBO")
        q = vae.encoder(x, c)
        p = vae.prior(c)
        decoder = cast(LinearDecoder, vae.decoder)
        px = decoder(q.mean[None], c)
        lengths = (decoder.scale * decoder.weight).square().sum(0)  # ‖w_j‖², (latent,)
        spread = (lengths * q.variance).sum(-1) / (2 * px.base.variance.flatten()[0])
        distortion = (spread - px.log_prob(x)).mean()
        return self.combine(distortion, cast(Tensor, kl(q, p)).mean(), progress)


@tags("exact", "baseline")
def linear(spec: Spec) -> VAE:
    """Linear encoder and decoder; on real data its optimum is probabilistic PCA, exactly.

    R + KL, with p(x|z) = N(W z + m, σ² I) and q(z|x) = N(V (x - m), diag d²)

    At the optimum the bound is tight and log p(x) averages to -½ [d log 2π + Σ_{i≤k} log λ_i +
    (d-k) log σ² + d], λ the eigenvalues of the data's covariance and σ² the mean of those beyond k.
    That holds for the Normal likelihood; for any other one W z + b are its logits and the variant
    is a linear baseline without an exact answer.

    Paper: Lucas et al. 2019, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior
    Collapse", arXiv:1911.02469, §4, whose bound has a closed form (used here for the Normal
    likelihood); the optimum is that of Tipping & Bishop 1999, JRSS B 61, eq. 8. Where they learn m
    we take the mean of all rows seen, which is its optimum. W starts small and V as its transpose.
    Both are held as multiples of (100/n)^0.8, n the numbers in x: Adam's last steps are then small
    against σ for n = 784, and its first ones large enough to turn W for n = 16.
    """
    raw = torch.Size(raw_shape(spec)).numel()
    scale = (100 / spec.size) ** 0.8
    start = torch.randn(spec.latent, spec.size) / spec.size**0.5 / scale
    centre = Centre(spec)
    decoder = LinearDecoder(spec, start.T.repeat_interleave(raw // spec.size, 0), scale, centre)
    is_normal = isinstance(decoder.likelihood, NormalHead)
    loss = ExactELBO() if is_normal and not spec.has_gaps else ELBO()
    return VAE(
        LinearEncoder(spec, start.clone(), scale, centre), decoder, StandardNormal(spec), loss
    )


@hookimpl
def vaezoo_variants() -> Variants:
    return [linear]
