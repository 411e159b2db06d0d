"""Autoencoders that are their own critic, or have one for codes: soft introspection, and AAE."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative, Positive
from vaezoo.likelihoods import head
from vaezoo.losses import (
    aggregate,
    mmd,
    require_density,
    require_fixed_prior,
    require_separate_parts,
)
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen, mlp


class SoftIntrospection(Loss):
    """The encoder tells data from samples by its ELBO, and the decoder raises that of its samples.

    With R and KL of data x, R_f and KL_f of x̂ = E p(x|z), z ~ p(z), and s = 1/(numbers of x):

        encoder:  s (R + β KL) + ½ exp(-2 s (R_f + β_f KL_f))
        decoder:  s (R + β KL_f + γ R_f)

    Each player's terms are blind to the other's parameters.
    """

    def __init__(
        self,
        spec: Spec,
        beta: NonNegative = 1.0,
        fake: NonNegative = 1.0,
        gamma: NonNegative = 1e-8,
    ) -> None:
        super().__init__()
        if spec.has_gaps:
            raise Unsupported("soft introspection compares whole samples with data that has gaps")
        likelihood = head(spec)
        if likelihood.is_discrete and likelihood.levels != 2:
            raise Unsupported(
                "soft introspection reads the mean of p(x|z) as an x, and this likelihood's x are "
                f"counts or levels: {spec.likelihood}"
            )
        self.beta = beta
        self.fake = fake
        self.gamma = gamma
        self.share = 1 / spec.size

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_separate_parts(model, "soft introspection")
        require_fixed_prior(model, "soft introspection")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_separate_parts(model, "soft introspection")
        distortion, rate = self.costs(vae, x, c)
        with frozen(vae.decoder):  # the encoder's turn
            fake = self.dream(vae, x, c).detach()
            fake_distortion, fake_rate = self.costs(vae, fake, c)
            lower = -2 * self.share * (fake_distortion + self.fake * fake_rate)
            told = 0.5 * lower.clamp_max(0.0).exp().mean()
        with frozen(vae.encoder):  # the decoder's
            dreamt, dreamt_rate = self.costs(vae, self.dream(vae, x, c), c)
            raised = self.share * (self.beta * dreamt_rate + self.gamma * dreamt).mean()

        distortion = distortion.mean()
        rate = rate.mean()
        return {
            "loss": self.share * (distortion + self.beta * rate) + told + raised,
            "monitor": (distortion + rate).detach(),
            "distortion": distortion,
            "rate": rate,
            "rate_of_samples": fake_rate.mean(),
        }

    def costs(self, vae: VAE, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """-log p(x|z) (K, B) and KL, nats."""
        trace = vae.infer(x, c)
        return -trace.log_px, trace.kl

    def dream(self, vae: VAE, x: Tensor, c: Tensor | None) -> Tensor:
        """Means of p(x|z), (B, *shape), for as many draws of p(z) as there are rows."""
        p = vae.prior(c)
        z = p.sample(torch.Size((1,) if p.batch_shape == (len(x),) else (1, len(x))))
        return vae.decoder(z, c).mean[0]


class CodeCritic(Loss):
    """R - log D(z), z ~ q(z|x), by a critic D that learns to tell draws of p(z) from codes."""

    no_density = "trained without a KL: codes are matched to the prior all together, by a critic"

    def __init__(self, spec: Spec, encoder: Encoder, critic_lr: Positive = 0.5) -> None:
        super().__init__()
        self.critic = mlp(encoder.width or spec.latent, spec.hidden, spec.hidden, 1)
        self.lr = critic_lr

    def check(self, model: Model) -> None:
        require_parts(model, "an adversarial autoencoder")
        require_fixed_prior(model, "an adversarial autoencoder")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        like = next(self.critic.parameters())
        codes, prior = (draws.to(like) for draws in aggregate(trace.latents[0]))  # may be finer
        with frozen(self.critic):
            fooled = F.softplus(-self.critic(codes)).mean()
        told_prior = F.softplus(-self.critic(prior)).mean()
        told_codes = F.softplus(self.critic(codes.detach())).mean()
        distortion = -trace.log_px.mean()
        return {
            "loss": distortion + fooled + told_prior + told_codes,
            "monitor": (distortion + apart(codes, prior)).detach(),
            "distortion": distortion,
            "fooled": fooled,
            "critic": told_prior + told_codes,
        }


def apart(codes: Tensor, prior: Tensor) -> Tensor:
    """10 MMD² of codes and prior (B, D), under 2 D/(2 D + ‖·‖²), which no player shifts."""
    size = 2 * codes.shape[-1]
    return 10 * mmd(codes, prior, lambda squared: size / (size + squared))


@tags("adversarial")
def soft_intro(
    spec: Spec, beta: NonNegative = 1.0, fake: NonNegative = 1.0, gamma: NonNegative = 1e-8
) -> VAE:
    """The encoder is the critic: it gives samples a low ELBO, and the decoder raises it.

    Encoder: s (R + β KL) + ½ exp(-2 s (R_f + β_f KL_f)). Decoder: s (R + β KL_f + γ R_f)

    R_f and KL_f are those of a sample's mean, s = 1/(numbers of x), β_f is `fake`. No network is
    added. The bound is that of the model that it trains, and early stopping watches it. The
    exponent is 0 at most, where a density makes R_f negative.

    Paper: Daniel & Tamar 2021, "Soft-IntroVAE: Analyzing and Improving the Introspective
    Variational Autoencoder", arXiv:2012.13253, eqs. 5 to 7, weighted as in the authors' program.
    There β_f is 256 and more on images; here 1, with the ELBO of the samples in its own units.
    There reconstructions count as samples too, and the decoder's R_f has no gradient through the
    sample and its code; here it has one.
    """
    loss = SoftIntrospection(spec, beta, fake, gamma)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@tags("adversarial")
def aae(spec: Spec, critic_lr: Positive = 0.5) -> VAE:
    """Draws of a Gaussian q(z|x) are matched to the prior all together, by a critic.

    Encoder and decoder: R - E log D(z), z ~ q(z|x). Critic: -E_p log D(z) - E_q log(1 - D(z))

    `wae_gan` has points for codes; here they have noise, the paper's second posterior of three.
    `critic_lr` is the critic's learning rate as a multiple of the rest's. Early stopping watches
    R + 10 MMD², since the critic's value changes its meaning as it learns. One network more.

    Paper: Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, "Adversarial Autoencoders",
    arXiv:1511.05644, §2, eq. 2.
    """
    encoder = Gaussian(spec)
    loss = CodeCritic(spec, encoder, critic_lr)
    return VAE(encoder, Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [soft_intro, aae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("soft_intro", SoftIntrospection), Part("aae", CodeCritic)]
