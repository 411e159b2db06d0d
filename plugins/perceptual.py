"""Reconstructions judged by structural similarity, or by log cosh of the error."""

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import to_length
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.likelihoods import head
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen_but_head
from vaezoo.similarity import SIGMA, WINDOW, gaussian_window, similarities

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli & Bovik 2003, §4


class Judged(Loss):
    """λ error(x, x̂) + KL, x̂ the mean of p(x|z).

    The scale of p(x|z), if it has one, is fitted by maximum likelihood.
    """

    def __init__(self, spec: Spec, weight: Positive) -> None:
        super().__init__()
        self.spec = spec
        self.weight = weight

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "a reconstruction error")

    @abstractmethod
    def error(self, x: Tensor, made: Tensor) -> Tensor:
        """(B, *shape) twice, with 0 in both where x has a gap -> (B,)."""

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "a reconstruction error")
        x = to_length(x, self.spec.shape[0]) if self.spec.is_sequence else x
        trace = vae.infer(x, c)
        seen = ~x.isnan()
        made = torch.where(seen, trace.px.mean[0], 0.0)
        error = self.error(torch.where(seen, x, 0.0), made).mean()

        # the scale of p(x|z) learns by maximum likelihood alone
        with frozen_but_head(vae.decoder):
            head = -vae.decoder(trace.z.detach(), c).log_prob(x).mean()

        rate = trace.kl.mean()
        distortion = -trace.log_px.mean().detach()
        loss = self.weight * error + rate + (head - head.detach())
        return {"loss": loss, "distortion": distortion, "rate": rate, "error": error}


class StructuralSimilarity(Judged):
    """λ D (1 - MS-SSIM(x, x̂)) + KL, D the number of pixels, for images with values in [0, 1]."""

    def __init__(self, spec: Spec, weight: Positive = 1.0) -> None:
        super().__init__(spec, weight)
        if not spec.is_image or min(spec.shape[1:]) < 4:
            raise Unsupported(
                "structural similarity needs images of 4×4 or more; "
                f"this data has shape {spec.shape}"
            )
        if not head(spec).is_bounded:
            raise Unsupported(
                "structural similarity is for values in [0, 1]; "
                f"the likelihood {spec.likelihood} speaks of {head(spec).values}"
            )

    def error(self, x: Tensor, made: Tensor) -> Tensor:
        return self.spec.size * (1 - ms_ssim(x, made))


class LogCosh(Judged):
    """λ Σ log cosh(a (x̂ - x)) / a + KL: like squared error near 0, like absolute error far away."""

    def __init__(self, spec: Spec, weight: Positive = 10.0, steepness: Positive = 1.0) -> None:
        super().__init__(spec, weight)
        self.steepness = steepness

    def error(self, x: Tensor, made: Tensor) -> Tensor:
        return log_cosh(self.steepness * (made - x)).flatten(1).sum(-1) / self.steepness


def log_cosh(t: Tensor) -> Tensor:
    """log cosh t, without overflow."""
    return t + F.softplus(-2 * t) - math.log(2)


def window(size: int) -> Tensor:
    """(n,): a Gaussian window of 11 pixels with σ = 1.5.

    It is narrower, in proportion, for images of a smaller `size`.
    """
    n = min(WINDOW, size - (1 - size % 2))
    return gaussian_window(n, SIGMA * n / WINDOW)


def n_scales(side: int) -> int:
    """How many scales an image of this side has, from 1 to 5.

    Every scale halves the image; each but the first must hold a window of 11 pixels.
    """
    return 1 + sum(side // 2**s >= 11 for s in range(1, len(SCALE_WEIGHTS)))


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """(B, C, H, W) twice, values in [0, 1] -> (B,), at most 1: Π_s structure_s^{w_s}.

    The last factor is the SSIM, with the luminance.

    An image too small for five scales has fewer, whose weights are brought back to a sum of 1; with
    one it is SSIM.
    """
    scales = n_scales(min(x.shape[2:]))
    weights = torch.tensor(SCALE_WEIGHTS[:scales]).to(x)
    product = x.new_ones(len(x))
    for s, weight in enumerate(weights / weights.sum()):
        ssim, structure = similarities(x, y, window(min(x.shape[2:])))
        factor = ssim if s == scales - 1 else structure
        if scales > 1:  # no power of a negative number
            factor = factor.clamp_min(1e-4) ** weight
        product = product * factor
        x = F.avg_pool2d(x, 2)
        y = F.avg_pool2d(y, 2)
    return product


@tags("perceptual")
def msssim(spec: Spec, weight: Positive = 1.0) -> VAE:
    """Judges by local luminance, contrast and structure at several scales, as the eye does.

    λ D (1 - MS-SSIM(x, x̂)) + KL, D pixels, x̂ the mean of p(x|z), λ called `weight`

    Only the scale of p(x|z) is trained as a likelihood: the ELBO is a true bound, but of a model
    trained for another objective. Small images have fewer scales than five, and 8×8 ones narrower
    windows.

    Paper: Snell et al. 2015, "Learning to Generate Images with Perceptual Similarity Metrics",
    arXiv:1511.06409, §3; MS-SSIM: Wang, Simoncelli & Bovik 2003, "Multiscale Structural Similarity
    for Image Quality Assessment", eq. 7.
    """
    encoder = Gaussian(spec)
    return VAE(encoder, Write(spec), StandardNormal(spec), StructuralSimilarity(spec, weight))


@tags("perceptual")
def logcosh(spec: Spec, weight: Positive = 10.0, steepness: Positive = 1.0) -> VAE:
    """Judges by an error that grows as the square at first and linearly far away.

    λ Σ log cosh(a (x̂ - x)) / a + KL, x̂ the mean of p(x|z), λ called `weight`, a called
    `steepness`

    Only the scale of p(x|z) is trained as a likelihood: the ELBO is a true bound, but of a model
    trained for another objective.

    Paper: Chen, Chen & Feng 2019, "Log hyperbolic cosine loss improves variational auto-encoder",
    OpenReview rkglvsC9Ym.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), LogCosh(spec, weight, steepness))


@hookimpl
def vaezoo_variants() -> Variants:
    return [msssim, logcosh]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("msssim", StructuralSimilarity), Part("logcosh", LogCosh)]
