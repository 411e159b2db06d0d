"""MMVAE: the posterior is a mixture of what each view says."""

import math

from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import detached
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import require_density
from vaezoo.networks import StandardNormal
from vaezoo.views import MixtureOfNormals, Opinions, ViewEncoder, WriteViews, mixture_of


class MixtureOfExperts(ViewEncoder):
    """q(z|x) = 1/V Σ_v q(z|x_v), over the views that are there."""

    def together(self, opinions: Opinions) -> Distribution:
        return mixture_of(opinions.loc, opinions.scale, opinions.there)


class Stratified(Loss):
    """-1/V Σ_v E_{z_1 … z_K ~ q(z|x_v)} log (1/K) Σ_k p(x, z_k)/q(z_k|x), q the mixture.

    With the doubly reparameterised gradient (Tucker et al. 2019, arXiv:1810.04152): of w̄_k, the
    normalised weights, decoder and prior have Σ_k w̄_k ∂θ log w_k, experts Σ_k w̄_k² (∂ log w_k/∂z_k)
    ∂φ z_k. The latter has the mean of the bound's gradient for K = 1, and for more where experts
    agree; else another, for it takes draws of one expert for draws of q.
    """

    def __init__(self, k: Count = 5) -> None:
        super().__init__()
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "Stratified")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "Stratified")
        q = vae.encoder(x, c)
        if not isinstance(q, MixtureOfNormals):
            raise Unsupported(
                f"Stratified draws from every component of a mixture of Normals, and q(z|x) is a "
                f"{type(q).__name__}"
            )
        each = q.of_each(self.k)  # (K, M, B, D)
        log_px, log_w = self.weighed(vae, each.flatten(0, 1), q, x, c)
        weights = log_w.detach().softmax(0)
        if each.requires_grad:
            each.register_hook(lambda g: g * weights[..., None])

        bounds = log_w.logsumexp(0) - math.log(self.k)  # (M, B)
        bound = (q.weights * bounds).sum(0).mean()
        elbo = (q.weights * log_w.mean(0)).sum(0).mean()
        distortion = -(q.weights * log_px.mean(0)).sum(0).mean()
        return {"loss": -bound, "distortion": distortion, "elbo": elbo}

    def weighed(
        self, vae: VAE, z: Tensor, q: Distribution, x: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """log p(x|z) and log p(x, z)/q(z|x), (K, M, B) each, of codes (K·M, B, D)."""
        log_px = vae.decoder(z, c).log_prob(x)
        log_w = log_px + vae.prior(c).log_prob(z) - detached(q).log_prob(z)
        each = (self.k, -1)
        return log_px.unflatten(0, each), log_w.unflatten(0, each)


@tags("views", "bound")
def mmvae(spec: Spec, k: Count = 5) -> VAE:
    """The posterior is a mixture of what each view says, so that each must explain all the others.

    -1/V Σ_v E_{z_1 … z_K ~ q(z|x_v)} log (1/K) Σ_k p(x, z_k)/q(z_k|x), q(z|x) = 1/V Σ_v q(z|x_v)

    Draws of every view's expert are decoded to all views; the gradient is doubly reparameterised,
    which for K > 1 has not the mean of the bound's for experts that differ. Every view has networks
    of its own.

    Paper: Shi, Siddharth, Paige & Torr 2019, "Variational Mixture-of-Experts Autoencoders for
    Multi-Modal Deep Generative Models", arXiv:1911.03393, §3, with stratified draws. The paper's
    experts and prior are Laplace with a learned scale, its views weigh by their sizes, and K is 30.
    """
    return VAE(MixtureOfExperts(spec), WriteViews(spec), StandardNormal(spec), Stratified(k))


@hookimpl
def vaezoo_variants() -> Variants:
    return [mmvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("mixture_of_experts", MixtureOfExperts), Part("stratified", Stratified)]
