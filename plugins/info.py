"""InfoVAE: less KL of each posterior, and in its place the discrepancy of their aggregate."""

import torch
from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative, Real
from vaezoo.losses import aggregate, mmd, require_density, require_fixed_prior
from vaezoo.networks import Gaussian, StandardNormal, Write


def gaussian_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared MMD of (N, D) and (M, D) under exp(-‖·‖² / (2 D)).

    The kernel's variance D grows with the typical squared distance.
    """
    width = 2.0 * a.shape[-1]
    return mmd(a, b, lambda squared: torch.exp(-squared / width))


class InfoLoss(Loss):
    """R + (1 - α) KL + (α + λ - 1) MMD(q(z), p(z))."""

    def __init__(self, alpha: Real = 0.5, weight: NonNegative = 100.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.weight = weight

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_fixed_prior(model, "a discrepancy from draws of the prior")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        gap = sum((gaussian_mmd(*aggregate(latent)) for latent in trace.latents), x.new_zeros(()))
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        loss = distortion + (1 - self.alpha) * rate + (self.alpha + self.weight - 1) * gap
        return {"loss": loss, "distortion": distortion, "rate": rate, "mmd": gap}


@tags("disentanglement")
def info(spec: Spec, alpha: Real = 0.5, weight: NonNegative = 100.0) -> VAE:
    """Keeps information in the code: the prior holds the aggregate, not each posterior.

    R + (1 - α) KL + (α + λ - 1) MMD(q(z), p(z)), λ called `weight`

    The kernel is Gaussian with variance D, the dimension of z. α = 0 and λ = 1 is the plain bound;
    α = 1 is the paper's MMD-VAE, in which nothing holds a single posterior: they shrink to points,
    and the ELBO is poor. The default lies between.

    Paper: Zhao, Song & Ermon 2017, "InfoVAE: Information Maximizing Variational Autoencoders",
    arXiv:1706.02262, eq. 6, and §3.2 for the MMD.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), InfoLoss(alpha, weight))


@hookimpl
def vaezoo_variants() -> Variants:
    return [info]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("info", InfoLoss)]
