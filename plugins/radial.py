"""A posterior that is drawn towards points, or pushed away from them."""

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Model, Spec
from vaezoo.distributions import Pushed
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write, split_normal

LEAST = 1e-3  # of α and of α + β: a radius is known to the last digits of a coordinate


class Radial(Encoder):
    """z ← z + β h (z - z_0), h = 1/(α + r), r = ‖z - z_0‖, `depth` times, all numbers from x.

    Rezende & Mohamed 2015, arXiv:1505.05770, eq. 14. α > 0 and β > -α (app. A.2), so that the new
    radius r (1 + β h) rises with r: with s = α + β the Jacobian's eigenvalues are (r + s)/(α + r),
    D - 1 times, and (r² + 2 α r + s α)/(α + r)², sums of positive terms. The radius before is the
    positive root of a quadratic.
    """

    def __init__(self, spec: Spec, depth: Count = 4) -> None:
        super().__init__()
        self.latent = spec.latent
        self.depth = depth
        self.numbers = spec.latent + 2  # z_0, α and s
        self.net = Read(spec, 2 * spec.latent + depth * self.numbers)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        sizes = [2 * self.latent, self.depth * self.numbers]
        base, rest = self.net(x, c).split(sizes, -1)
        steps = [self._step(raw) for raw in rest.split(self.numbers, -1)]

        def push(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for centre, alpha, s in steps:
                radius = length(z - centre)
                z = centre + (z - centre) * (radius + s) / (alpha + radius)
                total = total + self._log_det(radius, alpha, s)
            return z, total

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for centre, alpha, s in reversed(steps):
                radius = before(length(z - centre), alpha, s)
                z = centre + (z - centre) * (alpha + radius) / (radius + s)
                total = total + self._log_det(radius, alpha, s)
            return z, total

        return Pushed(split_normal(base), push, pull)

    def _step(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_0 (B, D), α and s (B, 1) from raw numbers; from zeros α = s, and nothing moves."""
        centre, raw_alpha, raw_s = raw.split([self.latent, 1, 1], -1)
        return centre, F.softplus(raw_alpha) + LEAST, F.softplus(raw_s) + LEAST

    def _log_det(self, radius: Tensor, alpha: Tensor, s: Tensor) -> Tensor:
        """(K, B), of radii (K, B, 1) before the step."""
        across = ((radius + s) / (alpha + radius)).log()
        growth = radius.square() + 2 * alpha * radius + s * alpha
        along = growth.log() - 2 * (alpha + radius).log()
        return ((self.latent - 1) * across + along).squeeze(-1)


def length(v: Tensor) -> Tensor:
    """‖v‖ (…, 1), with a gradient at 0."""
    return (v.square().sum(-1, keepdim=True) + 1e-12).sqrt()


def before(radius: Tensor, alpha: Tensor, s: Tensor) -> Tensor:
    """The r with r (r + s)/(α + r) = R: r² + (s - R) r - α R = 0.

    Of the two forms of the root the one that adds terms of one sign.
    """
    b = s - radius
    root = (b.square() + 4 * alpha * radius).sqrt()
    up = (root - b) / 2
    down = 2 * alpha * radius / (root + b.clamp_min(0))
    return torch.where(b > 0, down, up)


@tags("posterior", "flow")
def radial(spec: Spec, depth: Count = 4) -> Model:
    """The Gaussian draw is drawn towards `depth` points, or pushed away from them.

    R + E_q[log q(z_K|x) - log p(z_K)],
    log q(z_K) = log q(z_0) - Σ_k [(D - 1) log(1 + βh) + log(1 + βh + βh'r)]

    Every number of every step comes from x. Unlike `planar` it has an inverse in closed form, and
    so q(z|x) is known everywhere.

    Paper: Rezende & Mohamed 2015, "Variational Inference with Normalizing Flows", arXiv:1505.05770,
    eq. 14 and appendix A.2.
    """
    return VAE(Radial(spec, depth), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [radial]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("radial", Radial)]
