"""VAE-GAN: reconstructions are compared in the features of a discriminator."""

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Loss, Model, Spec, Terms, Trace, require_parts
from vaezoo.distributions import to_length
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative, Positive
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, Read, StandardNormal, Write, frozen, frozen_but_head, mlp


class Adversarial(Loss):
    """Encoder: β KL + D + α R. Decoder: γ D + α R - E log D(x̂). D = ‖f(x) - f(x̂)‖²/2.

    The discriminator minimises its cross-entropy.

    f is the layer of the discriminator before the last. D is the negative log density of N(f(x̂),
    I), but for its constant. f(x) has mean 0 and variance 1 over its features: the paper's batch
    normalisation sets that scale, without which D would start near 0 and the KL would empty the
    code before the discriminator has learned anything.
    """

    def __init__(
        self,
        spec: Spec,
        beta: NonNegative = 1.0,
        gamma: NonNegative = 1.0,
        alpha: NonNegative = 1.0,
        critic_lr: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.lr = critic_lr
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.steps = spec.shape[0] if spec.is_sequence else 0
        self.width = spec.hidden
        self.features = Read(spec, spec.hidden)
        self.odds = mlp(spec.hidden, 1)

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "an adversarial loss")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "an adversarial loss")
        x = to_length(x, self.steps) if self.steps else x

        # each player's loss is blind to the parameters of the others
        with frozen(self, vae.decoder):
            trace = vae.infer(x, c)
            encoder = self.of_encoder(trace, x, c)
        z = trace.z.detach()
        prior_z = self.from_prior(trace.latents[0].p, len(x))
        with frozen(self):
            decoder, again, made = self.of_decoder(vae.decoder, z, prior_z, x, c)
        critic = self.told(x, again.detach(), made.detach(), c)

        # the scale of p(x|z) learns by maximum likelihood alone
        with frozen_but_head(vae.decoder):
            head = -vae.decoder(z, c).log_prob(x).mean()

        distortion = -trace.log_px.mean()
        return {
            "loss": encoder + decoder + critic + (head - head.detach()),
            "monitor": distortion,
            "distortion": distortion,
            "rate": trace.kl.mean(),
            "encoder": encoder,
            "decoder": decoder,
            "critic": critic,
        }

    def of_encoder(self, trace: Trace, x: Tensor, c: Tensor | None) -> Tensor:
        """β KL + α R + D."""
        distortion = -trace.log_px.mean()
        within = self.beta * trace.kl.mean() + self.alpha * distortion
        return within + self.distance(x, outputs(trace.px, x), c)

    def of_decoder(
        self, write: Decoder, z: Tensor, prior_z: Tensor, x: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's loss; reconstructions from z and samples from prior_z, (B, *shape) each."""
        px = write(z, c)
        again = outputs(px, x)
        made = outputs(write(prior_z, c), x)
        near = self.gamma * self.distance(x, again, c) - self.alpha * px.log_prob(x).mean()
        return near + self.fooled(again, c) + self.fooled(made, c), again, made

    @staticmethod
    def from_prior(p: Distribution, rows: int) -> Tensor:
        """(1, B, *event)."""
        one_a_row = p.batch_shape.numel() == rows
        z = p.sample(torch.Size((1,) if one_a_row else (1, rows)))
        return z.reshape(1, rows, *p.event_shape)  # a prior of batch (1,) gives one axis more

    def f(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(B, hidden): the features of x."""
        return F.layer_norm(self.features(x, c), (self.width,))

    def distance(self, x: Tensor, made: Tensor, c: Tensor | None) -> Tensor:
        """‖f(x) - f(x̂)‖²/2, a mean over the batch."""
        return (self.f(x, c) - self.f(made, c)).square().sum(-1).mean() / 2

    def log_odds(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(B,): log D(x) - log(1 - D(x)), D the probability that x is real."""
        return self.odds(F.silu(self.f(x, c))).squeeze(-1)

    def fooled(self, made: Tensor, c: Tensor | None) -> Tensor:
        """-E log D(x̂).

        Alg. 1 has E log(1 - D(x̂)): the same fixed point, but no slope where D wins (Goodfellow
        2014, §3).
        """
        return F.softplus(-self.log_odds(made, c)).mean()

    def told(self, x: Tensor, again: Tensor, made: Tensor, c: Tensor | None) -> Tensor:
        """-E log D(x) - E log(1 - D(reconstruction)) - E log(1 - D(sample))."""
        caught_again = F.softplus(self.log_odds(again, c)).mean()
        caught_made = F.softplus(self.log_odds(made, c)).mean()
        return F.softplus(-self.log_odds(x, c)).mean() + (caught_again + caught_made)


def outputs(px: Distribution, x: Tensor) -> Tensor:
    """(B, *shape): the mean of p(x|z), with the gaps of x.

    So no gap tells a real row from it.
    """
    return torch.where(x.isnan(), x, px.mean[0])


@tags("adversarial", "perceptual")
def vae_gan(
    spec: Spec,
    beta: NonNegative = 1.0,
    gamma: NonNegative = 1.0,
    alpha: NonNegative = 1.0,
    critic_lr: Positive = 0.02,
) -> VAE:
    """A reconstruction is to be close to x in the features of a discriminator.

    Encoder: β KL + D + α R. Decoder: γ D + α R - E log D(x̂). D = ‖f(x) - f(x̂)‖²/2

    f is the layer before the last of the discriminator, which minimises the cross-entropy of real
    rows against reconstructions and samples, at `critic_lr` times the learning rate of the rest. x̂
    is the mean of p(x|z). The scale of p(x|z) is fitted by maximum likelihood, and the ELBO is a
    true bound, but of a model trained for another objective. Early stopping watches R, since no
    player's own loss keeps its meaning while the others learn.

    The paper has α = 0. On small data the KL then empties the code before the discriminator has
    learned features that tell x from x̂; R = -log p(x|z) holds the code until then.

    Paper: Larsen, Sønderby, Larochelle & Winther 2016, "Autoencoding Beyond Pixels using a Learned
    Similarity Metric", arXiv:1512.09300, alg. 1 and §2.3 (D).
    """
    loss = Adversarial(spec, beta, gamma, alpha, critic_lr)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [vae_gan]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("vae_gan", Adversarial)]
