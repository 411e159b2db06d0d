"""Codes that can be identified, by something seen beside x: a label, or a pair of few changes.

`ivae` reads an observed u, here the label, on which p(z|u) depends. `ada_gvae` reads pairs that
share all but a few of their factors, without being told which.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Latent, Loss, Model, Prior, Spec, Trace, Unsupported
from vaezoo.distributions import draw, kl, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write, mlp, split_normal


class Auxiliary(Prior):
    """p(z|u) = N(μ(u), diag σ(u)²)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = mlp(spec.condition, spec.hidden, 2 * spec.latent)

    def forward(self, c: Tensor | None = None) -> Distribution:
        if c is None:
            raise Unsupported(
                "p(z|u) reads labels: it needs a condition c for every row, and none was given"
            )
        return split_normal(self.net(c))


class Adaptive:
    """Which units of two posteriors are one, and what they are then.

    Locatello et al. 2020, arXiv:2002.02886, §4, eqs. 4 and 5, with the threshold of their
    implementation halfway between the least and the largest KL.
    """

    def __init__(self, first: Distribution, second: Distribution) -> None:
        self.first = first
        self.second = second

    @property
    def is_shared(self) -> Tensor:
        """(B, D): the units whose KL(q(z_i|x_1) ‖ q(z_i|x_2)) is below the threshold."""
        apart = kl(
            torch.distributions.Normal(self.first.mean, self.first.stddev),
            torch.distributions.Normal(self.second.mean, self.second.stddev),
        )
        assert apart is not None  # two normals have one
        low = apart.amin(-1, keepdim=True)
        high = apart.amax(-1, keepdim=True)
        return apart < (low + high) / 2

    def averaged(self) -> tuple[Distribution, Distribution]:
        """Both posteriors, with means and variances averaged where a unit is shared (GVAE)."""
        shared = self.is_shared.detach()
        loc = (self.first.mean + self.second.mean) / 2
        variance = (self.first.variance + self.second.variance) / 2
        both = [
            normal(
                torch.where(shared, loc, q.mean),
                torch.where(shared, variance, q.variance).sqrt(),
            )
            for q in (self.first, self.second)
        ]
        return both[0], both[1]


class Pair(Model):
    """p(z_1) p(x_1|z_1) p(z_2) p(x_2|z_2), and q of both, one encoder and decoder for either.

    In training q(z_1|x_1, x_2) and q(z_2|x_1, x_2) share units; in evaluation each reads its own x.
    The latent of the first x comes first in `Trace.latents`, and it alone is the code: labels and
    factors are those of the first x, and the second has most of them too.
    """

    def __init__(self, spec: Spec, loss: Loss) -> None:
        super().__init__(loss)
        if not spec.is_image or spec.shape[0] != 2:
            raise Unsupported(
                "ada_gvae reads pairs, the two channels of an image such as those of "
                f"`sprite_pairs`; this data has shape {spec.shape}"
            )
        self.spec = spec
        single = replace(spec, shape=(1, *spec.shape[1:]))
        self.encoder = Gaussian(single)
        self.decoder = Write(single)
        self.prior = StandardNormal(single)
        loss.check(self)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        one = self.encoder(x[:, :1], c)
        two = self.encoder(x[:, 1:], c)
        if self.training:
            one, two = Adaptive(one, two).averaged()
        latents = []
        for q in (one, two):
            z, log_q = draw(q, (k,))
            latents.append(Latent(z, log_q, q, self.prior(c), is_code=q is one))
        return Trace(x, self.px(latents[0].z, latents[1].z, c), tuple(latents))

    def px(self, first: Tensor, second: Tensor, c: Tensor | None = None) -> Distribution:
        """p(x_1|z_1) p(x_2|z_2), over (2, H, W), from codes (K, B, D)."""
        raw = [self.decoder.raw(z, c) for z in (first, second)]  # (K, B, 1, H, W[, n])
        return self.decoder.likelihood(torch.cat(raw, 2))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        p = self.prior(c)
        shape = torch.Size((1, n))
        return self.px(p.sample(shape), p.sample(shape), c)


@tags("conditional", "labelled")
def ivae(spec: Spec) -> VAE:
    """The prior reads the label, the decoder does not: what a unit means can then be identified.

    R + KL(q(z|x, u) ‖ p(z|u)), a bound on log p(x|u), u the label

    Where the label moves means and variances enough, and the decoder is one to one, two models of
    equal likelihood have equal units, but for their order, a shift and a scale each. `cvae` differs
    in its decoder, which reads the label too. One network more: the prior's.

    Paper: Khemakhem, Kingma, Monti & Hyvärinen 2020, "Variational Autoencoders and Nonlinear ICA: A
    Unifying Framework", arXiv:1907.04809, eqs. 5 to 9 and theorem 1, which asks for 2 D + 1 values
    of u for D units.
    """
    seen = spec.conditioned()
    return VAE(Gaussian(seen), Write(spec), Auxiliary(seen), ELBO())


@tags("disentanglement")
def ada_gvae(spec: Spec, beta: Positive = 1.0) -> Pair:
    """Pairs that differ in few factors: units of like posteriors are shared, and averaged.

    Σ_{j=1,2} R_j + β KL(q̃(z_j|x_1, x_2) ‖ p(z_j)); q̃ has for both the means of μ and of σ² in each
    unit whose KL(q(z_i|x_1) ‖ q(z_i|x_2)) is below (max + min)/2

    For data sets of pairs, such as `sprite_pairs`, whose numbers are of both x. In evaluation each
    x is read alone, so that elbo, kl and codes are those of a VAE of the same weights; the codes
    are those of the first x.

    Paper: Locatello et al. 2020, "Weakly-Supervised Disentanglement Without Compromises",
    arXiv:2002.02886, §4.
    """
    return Pair(spec, ELBO(beta))


@hookimpl
def vaezoo_variants() -> Variants:
    return [ivae, ada_gvae]
