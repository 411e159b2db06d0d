"""Wasserstein autoencoders: deterministic codes whose distribution is matched to the prior."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Loss, Model, Spec, Terms, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, NonNegative, Positive
from vaezoo.losses import aggregate, mmd, require_fixed_prior
from vaezoo.networks import Deterministic, StandardNormal, Write, frozen, mlp

# Of the kernels that are summed, as in the paper's own code.
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def imq_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared MMD of (N, D) and (M, D) under Σ_s C_s / (C_s + ‖·‖²), C_s = 2 D s."""
    return sum((mmd(a, b, _imq(2 * a.shape[-1] * s)) for s in SCALES), a.new_zeros(()))


def _imq(c: float) -> Callable[[Tensor], Tensor]:
    return lambda squared: c / (c + squared)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance of (N, D) and (N, D), a mean over directions.

    The directions (L, D) are of unit length; along each the distance is exact.
    """
    a_sorted = (a @ directions.T).sort(0).values  # (N, L)
    b_sorted = (b @ directions.T).sort(0).values
    return (a_sorted - b_sorted).square().mean()


class Matched(Loss):
    """R + λ D(q(z), p(z)). R, the cost of the reconstruction, is -log p(x|z)."""

    no_density = "trained for a transport cost, without a KL: q(z|x) is not a posterior"

    def __init__(self, weight: NonNegative = 10.0) -> None:
        super().__init__()
        self.weight = weight

    def check(self, model: Model) -> None:
        require_parts(model, "a Wasserstein autoencoder")
        require_fixed_prior(model, "a Wasserstein autoencoder")

    @abstractmethod
    def discrepancy(self, codes: Tensor, prior: Tensor) -> Terms:
        """ "discrepancy", what the encoder lowers, from codes (B, D) and draws of the prior (B, D).

        Perhaps also "critic", what a second player lowers, and "mmd", what early stopping watches
        in place of a discrepancy that shifts with that player.
        """

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        distortion = -trace.log_px.mean()
        terms = self.discrepancy(*aggregate(trace.latents[0]))
        loss = distortion + self.weight * terms["discrepancy"] + terms.get("critic", 0.0)
        monitor = distortion + self.weight * terms.get("mmd", terms["discrepancy"])
        return {"loss": loss, "monitor": monitor, "distortion": distortion, **terms}


class MMD(Matched):
    """R + λ MMD²(q(z), p(z)) under inverse multiquadratics.

    Tolstikhin et al. 2018, arXiv:1711.01558, alg. 2.
    """

    def discrepancy(self, codes: Tensor, prior: Tensor) -> Terms:
        return {"discrepancy": imq_mmd(codes, prior)}


class Sliced(Matched):
    """R + λ E_θ W₂²(θ·q(z), θ·p(z)) over random directions θ.

    Kolouri et al. 2018, arXiv:1804.01947, §3.
    """

    def __init__(self, weight: NonNegative = 10.0, directions: Count = 50) -> None:
        super().__init__(weight)
        self.directions = directions

    def discrepancy(self, codes: Tensor, prior: Tensor) -> Terms:
        size = (self.directions, codes.shape[-1])
        anywhere = torch.randn(size, dtype=codes.dtype, device=codes.device)
        along = sliced_wasserstein(codes, prior, F.normalize(anywhere, dim=-1))
        # the mean over directions is 1/D of a squared distance: times D it is a sum over the axes
        return {"discrepancy": codes.shape[-1] * along}


class Critic(Matched):
    """R - λ log odds that a code is a draw of the prior, by a critic that learns to tell.

    Tolstikhin et al. 2018, arXiv:1711.01558, alg. 1.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: Encoder,
        weight: NonNegative = 1.0,
        critic_lr: Positive = 0.5,
    ) -> None:
        super().__init__(weight)
        self.critic = mlp(encoder.width or spec.latent, spec.hidden, spec.hidden, 1)
        self.lr = critic_lr

    def discrepancy(self, codes: Tensor, prior: Tensor) -> Terms:
        # codes may be finer than the critic's network
        like = next(self.critic.parameters())
        codes = codes.to(like)
        prior = prior.to(like)
        with frozen(self.critic):
            fooled = F.softplus(-self.critic(codes)).mean()
        told_prior = F.softplus(-self.critic(prior)).mean()
        told_codes = F.softplus(self.critic(codes.detach())).mean()
        return {
            "discrepancy": fooled,
            "critic": told_prior + told_codes,
            "mmd": imq_mmd(codes, prior).detach(),
        }


@tags("deterministic")
def wae_mmd(spec: Spec, weight: NonNegative = 10.0) -> VAE:
    """Holds the distribution of all codes to the prior by maximum mean discrepancy.

    R + λ MMD²(q(z), p(z)), λ called `weight`

    The paper's cost is squared error, with λ = 10 on MNIST; here it is -log p(x|z), so that
    variants differ in their codes alone.

    Paper: Tolstikhin, Bousquet, Gelly & Schölkopf 2018, "Wasserstein Auto-Encoders",
    arXiv:1711.01558, eq. 4 and alg. 2.
    """
    return VAE(Deterministic(spec), Write(spec), StandardNormal(spec), MMD(weight))


@tags("deterministic", "adversarial")
def wae_gan(spec: Spec, weight: NonNegative = 1.0, critic_lr: Positive = 0.5) -> VAE:
    """Holds the distribution of all codes to the prior by a critic that learns to tell them apart.

    Encoder and decoder: R - λ E log D(z). Critic: -E_p log D(z) - E_q log(1 - D(z)), with one
    network more.

    `critic_lr` is the critic's learning rate as a multiple of the rest's: 0.5 as in the paper,
    whose critic has 5e-4 and the rest 1e-3. The paper's λ is 10; here it makes encoder and critic
    oscillate, and the codes do not settle on the prior. Early stopping watches R + λ MMD², since
    the critic's value changes its meaning as the critic learns.

    Paper: Tolstikhin, Bousquet, Gelly & Schölkopf 2018, "Wasserstein Auto-Encoders",
    arXiv:1711.01558, eq. 4 and alg. 1; with a critic on codes first in Makhzani et al. 2015,
    "Adversarial Autoencoders", arXiv:1511.05644, §2.
    """
    encoder = Deterministic(spec)
    decoder = Write(spec)
    loss = Critic(spec, encoder, weight, critic_lr)
    return VAE(encoder, decoder, StandardNormal(spec), loss)


@tags("deterministic")
def swae(spec: Spec, weight: NonNegative = 10.0, directions: Count = 50) -> VAE:
    """Holds the distribution of all codes to the prior along random directions.

    R + λ D E_θ W₂²(θ·q(z), θ·p(z))

    Each W₂ is exact, by sorting. D, the dimension of z, makes one λ serve all sizes of code.

    Paper: Kolouri, Pope, Martin & Rohde 2018, "Sliced-Wasserstein Autoencoder: An Embarrassingly
    Simple Generative Model", arXiv:1804.01947, §3 and alg. 1.
    """
    return VAE(Deterministic(spec), Write(spec), StandardNormal(spec), Sliced(weight, directions))


@hookimpl
def vaezoo_variants() -> Variants:
    return [wae_mmd, wae_gan, swae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("wae_mmd", MMD), Part("swae", Sliced), Part("wae_gan", Critic)]
