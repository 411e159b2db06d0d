"""A linear encoder and a linear decoder with one learned σ²: the VAE whose optimum is known."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.distributions import Observed, normal, to_length
from vaezoo.hooks import hookimpl, tags
from vaezoo.likelihoods import head
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, raw_shape


class LinearEncoder(Encoder):
    """q(z|x) = N(V(x - m), diag d²), with one d for all x. A gap reads as its mean."""

    def __init__(self, spec: Spec, weight: Tensor, mean: nn.Parameter) -> None:
        super().__init__()
        self.spec, self.mean = spec, mean
        self.weight = nn.Parameter(weight)  # (latent, size)
        self.log_scale = nn.Parameter(torch.full((spec.latent,), -1.0))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        x = to_length(x, self.spec.shape[0]) if self.spec.is_sequence else x
        centred = x.flatten(1) - self.mean
        if self.spec.has_gaps:
            centred = torch.where(centred.isnan(), 0.0, centred)
        return normal(centred @ self.weight.T, self.log_scale.exp())


class LinearDecoder(Decoder):
    """p(x|z) = N(W z + m, σ² I); for another likelihood W z + m are its raw numbers, such as logits."""

    def __init__(self, spec: Spec, weight: Tensor) -> None:
        super().__init__()
        self.shape, self.likelihood = raw_shape(spec), head(spec)
        self.weight = nn.Parameter(weight)  # (raw size, latent)
        self.mean = nn.Parameter(torch.zeros(len(weight)))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        return self.likelihood((z.flatten(2) @ self.weight.T + self.mean).unflatten(-1, self.shape))


@tags("static", "exact", "baseline")
def linear(spec: Spec) -> VAE:
    """Linear encoder and decoder; on real data its optimum is probabilistic PCA, exactly.

    R + KL, with p(x|z) = N(W z + m, σ² I) and q(z|x) = N(V (x - m), diag d²)

    At the optimum the bound is tight and log p(x) averages to -½ [d log 2π + Σ_{i≤k} log λ_i + (d-k) log σ² + d], λ the
    eigenvalues of the data's covariance and σ² the mean of those beyond k. That holds for the Normal likelihood; for any
    other one W z + m are its logits and the variant is a linear baseline without an exact answer.

    Paper: Lucas et al. 2019, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse", arXiv:1911.02469,
    §4; the optimum is that of Tipping & Bishop 1999, JRSS B 61, eq. 8. It shares m between encoder and decoder; so do we,
    where both are means of x. W starts small and V as its transpose: with PyTorch's ±1/√k W would start at many times
    the scale of pixels.
    """
    raw = torch.Size(raw_shape(spec)).numel()
    start = torch.randn(spec.latent, spec.size) / spec.size**0.5
    decoder = LinearDecoder(spec, start.T.repeat_interleave(raw // spec.size, 0))
    shares = spec.likelihood == "normal"
    encoder = LinearEncoder(spec, start.clone(), decoder.mean if shares else nn.Parameter(torch.zeros(spec.size)))
    return VAE(encoder, decoder, StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> list:
    return [linear]
