"""VR-IWAE: from the importance-weighted bound to the ELBO, with one gradient that suits all."""

import math

from torch import Tensor

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import Drawable, detached
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import log_q_at, require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


def vr_iwae_bound(log_w: Tensor, alpha: float) -> Tensor:
    """(K, B) -> (B,): 1/(1-α) log (1/K) Σ_j w_j^{1-α}, in nats; at α = 1 the mean of log w."""
    power = 1 - alpha
    if power < 1e-4:  # single precision loses the difference of logarithms below
        return log_w.mean(0)
    return ((power * log_w).logsumexp(0) - math.log(len(log_w))) / power


def log_q_by_path(latent: Latent) -> Tensor:
    """log q(z), (K, B), whose gradient reaches the encoder through z alone.

    A Drawable may hold its parameters in functions, so its score is taken off what it gives.
    """
    if not isinstance(latent.q, Drawable):
        return detached(latent.q).log_prob(latent.z)
    score = log_q_at(latent.q, latent.z.detach(), "VRIWAE")
    return latent.q.log_prob(latent.z) - (score - score.detach())


class VRIWAE(Loss):
    """-1/(1-α) log (1/K) Σ_j w_j^{1-α}, with a doubly reparameterised gradient for the encoder.

    w̄ are the normalised w^{1-α}. The gradient is Σ_j w̄_j ∂θ log w_j for the decoder and
    Σ_j (α w̄_j + (1-α) w̄_j²) (∂ log w_j/∂z_j) ∂φ z_j for the encoder: the bound gives ∂/∂z_j a
    factor w̄_j, and α + (1-α) w̄_j is put on z_j's gradient on its way.
    """

    def __init__(self, alpha: Fraction = 0.2, k: Count = 8) -> None:
        super().__init__()
        self.alpha = alpha
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "VRIWAE")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        latent, *others = trace.latents
        if others or latent.stepwise:
            raise Unsupported(
                "VRIWAE is right for one latent that is drawn at once; "
                "this model has layers or steps of them"
            )
        log_w = trace.log_px + latent.log_p - log_q_by_path(latent)
        weights = ((1 - self.alpha) * log_w.detach()).softmax(0)
        factors = self.alpha + (1 - self.alpha) * weights
        if trace.z.requires_grad:
            # (K, B) -> (K, B, 1, …), against the gradient (K, B, *event)
            trace.z.register_hook(lambda g: g * factors[(...,) + (None,) * (g.ndim - 2)])
        bound = vr_iwae_bound(log_w, self.alpha).mean()
        return {"loss": -bound, "distortion": -trace.log_px.mean(), "elbo": log_w.mean()}


@tags("bound", "estimator")
def vr_iwae(spec: Spec, alpha: Fraction = 0.2, k: Count = 8) -> VAE:
    """Trades the bound's tightness for weights that are even: α = 0 is IWAE, α = 1 the ELBO.

    -1/(1-α) log (1/K) Σ_j w_j^{1-α}, w = p(x, z_j) / q(z_j|x), with a gradient of low variance

    The value is that of `renyi`; the encoder's gradient has the same mean and less variance. It is
    that of `dreg` at α = 0 and of `stl` at α = 1.

    Paper: Daudel, Benton, Shi & Doucet 2023, "Alpha-divergence Variational Inference Meets
    Importance Weighted Auto-Encoders: Methodology and Asymptotics", arXiv:2210.06226, the VR-IWAE
    bound and its doubly reparameterised gradient.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), VRIWAE(alpha, k))


@hookimpl
def vaezoo_variants() -> Variants:
    return [vr_iwae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("vr_iwae", VRIWAE)]
