"""JMVAE: one encoder for all views, and one for each that is drawn to it."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported
from vaezoo.distributions import kl, normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import ELBO, require_density
from vaezoo.networks import Gaussian, StandardNormal
from vaezoo.views import Opinions, ViewEncoder, WriteViews, product, require_experts


class Joint(ViewEncoder):
    """q(z|x) by a network that reads all views; where any is lacking, by those of single views."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.joint = Gaussian(spec)

    def together(self, opinions: Opinions) -> Distribution:
        return product(opinions, prior=False)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        opinions = self.experts(x, c)
        whole = self.joint(x, c)
        parts = self.together(opinions)
        is_whole = opinions.there.all(0)[:, None]  # (B, 1)
        return normal(
            torch.where(is_whole, whole.mean, parts.mean),
            torch.where(is_whole, whole.stddev, parts.stddev),
        )


class JointKL(Loss):
    """R + KL(q(z|x) ‖ p(z)) + α Σ_v KL(q(z|x) ‖ q(z|x_v)), the last over rows that lack no view."""

    def __init__(self, alpha: NonNegative = 0.1) -> None:
        super().__init__()
        self.alpha = alpha
        self.elbo = ELBO()

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_experts(model, "JointKL")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae, encoder = require_experts(model, "JointKL")
        trace = vae.infer(x, c)
        terms = self.elbo.combine(-trace.log_px.mean(), trace.kl.mean(), progress)

        opinions = encoder.experts(x, c)
        apart = trace.log_px.new_zeros(len(x))
        for q_v in opinions.each:
            rate = kl(trace.latents[0].q, q_v)
            if rate is None:
                raise Unsupported("JointKL needs KL(q(z|x) ‖ q(z|x_v)) in closed form")
            apart = apart + torch.where(opinions.there.all(0), rate, 0.0)
        return {**terms, "loss": terms["loss"] + self.alpha * apart.mean(), "apart": apart.mean()}


@tags("views")
def jmvae(spec: Spec, alpha: NonNegative = 0.1) -> VAE:
    """One encoder reads all views, and each view has one that learns to say the same without them.

    R + KL(q(z|x) ‖ p(z)) + α Σ_v KL(q(z|x) ‖ q(z|x_v))

    Every view has networks of its own. A row of one view has that view's q(z|x_v). Of three views
    and more, of which two are there, the paper says nothing; their q(z|x_v) multiply.

    Paper: Suzuki, Nakayama & Matsuo 2016, "Joint Multimodal Learning with Deep Generative Models",
    arXiv:1611.01891, JMVAE-kl.
    """
    return VAE(Joint(spec), WriteViews(spec), StandardNormal(spec), JointKL(alpha))


@hookimpl
def vaezoo_variants() -> Variants:
    return [jmvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("joint_views", Joint), Part("jmvae", JointKL)]
