"""Two-stage VAE: after training, a second VAE learns how the first one's codes are distributed.

The density in the tables is that of the model that is sampled, p(u) p(z|u) p(x|z): its trace has
two latents, u with the posterior of the second stage given z, and z with the posterior of the
first. Both stages' bounds add up to one bound.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import draw, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write, mlp, split_normal

BATCH = 128


class Coder(nn.Module):
    """The second stage: p(u) = N(0, I), p(z|u) = N(m(u), γ²), and a Gaussian q(u|z).

    γ is one learned number; u is as wide as z.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        d = spec.latent
        h = spec.hidden
        self.read = mlp(d, h, h, 2 * d)
        self.write = mlp(d, h, h, d)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.prior = StandardNormal(spec)

    def q(self, z: Tensor) -> Distribution:
        """q(u|z), a batch of (K, B)."""
        return split_normal(self.read(z))

    def p(self, u: Tensor) -> Distribution:
        """p(z|u), a batch of (K, B)."""
        return normal(self.write(u), self.log_scale.exp())

    def latent(self, z: Tensor) -> Latent:
        q = self.q(z)
        return Latent(*draw(q), q, self.prior())


class FirstStage(Loss):
    """R + KL of the first stage alone, with its own prior N(0, I)."""

    def __init__(self) -> None:
        super().__init__()
        self.elbo = ELBO()

    def check(self, model: Model) -> None:
        if not isinstance(model, TwoStage):
            raise Unsupported(
                f"the loss of a first stage needs the variant two_stage, not {type(model).__name__}"
            )

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        self.check(model)
        return self.elbo(model.first, x, c, progress)


class TwoStage(Model):
    """p(u) p(z|u) p(x|z): `loss` trains p(x|z) and q(z|x), `fit_prior` the rest."""

    def __init__(self, spec: Spec, epochs: int, learning_rate: float) -> None:
        super().__init__(FirstStage())
        self.first = VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())
        self.second = Coder(spec).requires_grad_(False)
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.loss.check(self)

    def check(self) -> None:
        super().check()
        if not isinstance(self.loss, FirstStage):
            raise Unsupported(
                "the second stage is trained after the first, against whose prior N(0, I) the loss "
                f"of two_stage trains; {type(self.loss).__name__} would read the untrained one"
            )

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q = self.first.encoder(x, c)
        z, log_q = draw(q, (k,))
        upper = self.second.latent(z)
        lower = Latent(z, log_q, q, self.second.p(upper.z), p_follows_z=True)
        return Trace(x, self.first.decoder(z, c), (lower, upper))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        return self.first.decoder(self.sample_codes(n)[None], c)

    @torch.no_grad()
    def sample_codes(self, n: int) -> Tensor:
        """z ~ p(z|u) p(u), (n, D).

        γ's noise is part of the draw: the codes have a density, unlike pixels on a surface.
        """
        u = self.second.prior().sample(torch.Size((n,)))
        return self.second.p(u).sample()

    def fit_prior(self, x: Tensor, c: Tensor | None = None) -> None:
        """Trains the second stage on the posteriors of the training set.

        Every step draws codes anew.
        """
        loc, scale = self._posteriors(x, c)
        self.second.requires_grad_(True)
        optimiser = torch.optim.Adam(self.second.parameters(), self.learning_rate, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs)
        with torch.enable_grad():
            for _ in range(self.epochs):
                for rows in torch.randperm(len(loc), device=loc.device).split(BATCH):
                    z, _ = draw(normal(loc[rows], scale[rows]))
                    loss = -self.code_bound(z[None]).mean()
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    optimiser.step()
                decay.step()

        # from here on the second stage is as fixed as the first
        optimiser.zero_grad(set_to_none=True)
        self.second.requires_grad_(False)

    @torch.no_grad()
    def _posteriors(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and deviation of q(z|x), (N, D) each, a thousand rows at a time."""
        qs = []
        for i in range(0, len(x), 1000):
            rows = slice(i, i + 1000)
            qs.append(self.first.encoder(x[rows], None if c is None else c[rows]))
        return torch.cat([q.mean for q in qs]), torch.cat([q.stddev for q in qs])

    def code_bound(self, z: Tensor) -> Tensor:
        """The second stage's ELBO for codes z (K, B, D), (K, B)."""
        upper = self.second.latent(z)
        return self.second.p(upper.z).log_prob(z) - upper.kl


@tags("prior")
def two_stage(spec: Spec, epochs: Count = 100, learning_rate: Positive = 2e-3) -> Model:
    """A second VAE, trained on the first one's codes after it, is what samples come from.

    R + KL of the first stage; after it, -E_q(z|x) ELBO of the second

    The second stage is trained for `epochs` of Adam, at `learning_rate`, which falls by a cosine.
    Before that the bound is valid but loose. The table's bound is that of p(u) p(z|u) p(x|z), which
    is sampled. The second stage's networks are its own: two hidden layers of the spec's width each
    way.

    Paper: Dai & Wipf 2019, "Diagnosing and Enhancing VAE Models", arXiv:1903.05789, §4. There the
    first stage learns its γ too; here likelihood=normal does that.
    """
    return TwoStage(spec, epochs, learning_rate)


@hookimpl
def vaezoo_variants() -> Variants:
    return [two_stage]
