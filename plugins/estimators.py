"""Gradients of lower variance for the encoder: sticking the landing, and doubly reparameterised."""

import math

from torch import Tensor

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported, require_parts
from vaezoo.distributions import Drawable, detached
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import log_q_at, require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


def log_w_by_path(trace: Trace, who: str) -> Tensor:
    """log p(x, z) - log q(z|x), (K, B), where the encoder acts through z alone.

    Raises: Unsupported where that would be biased or cannot be had. In a hierarchy or over time a
    lower q hangs on the encoder through the latents above it too, and that path must stay.
    """
    latent, *others = trace.latents
    if others or latent.stepwise:
        raise Unsupported(
            f"{who} is right for one latent that is drawn at once; "
            "this model has layers or steps of them"
        )
    return trace.log_px + latent.log_p - log_q_by_path(latent, who)


def log_q_by_path(latent: Latent, who: str) -> Tensor:
    """log q(z), (K, B), whose gradient reaches the encoder through z alone.

    A Drawable may hold its parameters in functions, so its score is taken off what it gives: the
    gradient of log q at draws held still.
    """
    if not isinstance(latent.q, Drawable):
        return detached(latent.q).log_prob(latent.z)
    score = log_q_at(latent.q, latent.z.detach(), who)
    return latent.q.log_prob(latent.z) - (score - score.detach())


class StickTheLanding(Loss):
    """-E log w, without the score of q, whose mean is zero."""

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "StickTheLanding")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        loss = -log_w_by_path(trace, "StickTheLanding").mean()
        distortion = -trace.log_px.mean()
        return {"loss": loss, "distortion": distortion, "rate": loss - distortion}


class DReG(Loss):
    """-L_k, with the doubly reparameterised gradient for the encoder.

    The gradient is Σ w̄_k ∂θ log w_k for the decoder and Σ w̄_k² (∂ log w_k/∂z_k) ∂φ z_k for the
    encoder.

    w̄ are the normalised weights. The loss gives ∂/∂z_k a factor w̄_k; the second one is put on
    z_k's gradient on its way.
    """

    def __init__(self, k: Count = 5) -> None:
        super().__init__()
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "DReG")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        log_w = log_w_by_path(trace, "DReG")
        z = trace.z
        weights = log_w.detach().softmax(0)
        if z.requires_grad:
            # (K, B) -> (K, B, 1, …), against the gradient (K, B, *event)
            z.register_hook(lambda g: g * weights[(...,) + (None,) * (g.ndim - 2)])
        bound = (log_w.logsumexp(0) - math.log(self.k)).mean()
        return {"loss": -bound, "distortion": -trace.log_px.mean(), "elbo": log_w.mean()}


@tags("estimator")
def stl(spec: Spec) -> VAE:
    """The ELBO by the path derivative, whose variance is 0 where q is the true posterior.

    R + E_q log q(z|x) - log p(z), where log q is blind to the encoder but for z

    Paper: Roeder, Wu & Duvenaud 2017, "Sticking the Landing: Simple, Lower-Variance Gradient
    Estimators for Variational Inference", arXiv:1703.09194, §3.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), StickTheLanding())


@tags("estimator", "bound")
def dreg(spec: Spec, k: Count = 5) -> VAE:
    """An importance-weighted bound whose encoder gradient does not fade as k grows.

    -L_k = -log (1/k) Σ_i w_i, the encoder's gradient by two reparameterisations

    Paper: Tucker et al. 2019, "Doubly Reparameterized Gradient Estimators for Monte Carlo
    Objectives", arXiv:1810.04152, §3 (IWAE-DReG).
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), DReG(k))


@hookimpl
def vaezoo_variants() -> Variants:
    return [stl, dreg]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("stl", StickTheLanding), Part("dreg", DReG)]
