"""MVTCAE: the code is to hold what the views share, and each view alone is to say it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported
from vaezoo.distributions import kl
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction, NonNegative
from vaezoo.losses import require_density
from vaezoo.networks import StandardNormal
from vaezoo.views import Opinions, ViewEncoder, WriteViews, product, require_experts


class ProductOfViews(ViewEncoder):
    """q(z|x) ∝ Π_v r(z|x_v), over the views that are there."""

    def together(self, opinions: Opinions) -> Distribution:
        return product(opinions, prior=False)


class TotalCorrelation(Loss):
    """(V - α)/V R + β [(1 - α) KL(q(z|x) ‖ p(z)) + α/V Σ_v KL(q(z|x) ‖ r(z|x_v))].

    V counts the views that a row has.
    """

    def __init__(self, alpha: Fraction = 0.9, beta: NonNegative = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_experts(model, "TotalCorrelation")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae, encoder = require_experts(model, "TotalCorrelation")
        trace = vae.infer(x, c)
        opinions = encoder.experts(x, c)
        views = opinions.there.sum(0).clamp_min(1)  # (B,)
        apart = trace.log_px.new_zeros(len(x))
        for r_v, is_there in zip(opinions.each, opinions.there, strict=True):
            rate = kl(trace.latents[0].q, r_v)
            if rate is None:
                raise Unsupported("TotalCorrelation needs KL(q(z|x) ‖ r(z|x_v)) in closed form")
            apart = apart + torch.where(is_there, rate, 0.0)

        distortion = -((views - self.alpha) / views * trace.log_px).mean()
        rate_of_all = trace.kl.mean()
        consistency = (apart / views).mean()
        bottleneck = (1 - self.alpha) * rate_of_all + self.alpha * consistency
        return {
            "loss": distortion + self.beta * bottleneck,
            "distortion": -trace.log_px.mean(),
            "rate": rate_of_all,
            "apart": consistency,
        }


@tags("views")
def mvtcae(spec: Spec, alpha: Fraction = 0.9, beta: NonNegative = 1.0) -> VAE:
    """Draws the product of the experts to each of them, so that the code holds what views share.

    (V - α)/V R + β [(1 - α) KL(q(z|x) ‖ p(z)) + α/V Σ_v KL(q(z|x) ‖ r(z|x_v))],
    q(z|x) ∝ Π_v r(z|x_v)

    A bound on the total correlation that the code explains. The larger α, the more the code is
    held by the single views and the less by the prior, so that draws of p(z) are worse for it.
    Every view has networks of its own.

    Paper: Hwang, Kim, Hong & Kim 2021, "Multi-View Representation Learning via Total Correlation
    Objective", NeurIPS 34, the convex combination of its two bounds by α.
    """
    return VAE(
        ProductOfViews(spec), WriteViews(spec), StandardNormal(spec), TotalCorrelation(alpha, beta)
    )


@hookimpl
def vaezoo_variants() -> Variants:
    return [mvtcae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("product_of_views", ProductOfViews), Part("mvtcae", TotalCorrelation)]
