"""A posterior that is drawn towards points, or pushed away from them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vaezoo.bent import Bent
from vaezoo.core import VAE, Model, Spec
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write

LEAST = 1e-3  # of α and of α + β: a radius is known to the last digits of a coordinate


class Radial(Bent):
    """z ← z + β h (z - z_0), h = 1/(α + r), r = ‖z - z_0‖, `depth` times, all numbers from x.

    Rezende & Mohamed 2015, arXiv:1505.05770, eq. 14. α > 0 and β > -α (app. A.2), so that the new
    radius r (1 + β h) rises with r: with s = α + β the Jacobian's eigenvalues are (r + s)/(α + r),
    D - 1 times, and (r² + 2 α r + s α)/(α + r)², sums of positive terms. The radius before is the
    positive root of a quadratic.
    """

    def __init__(self, spec: Spec, depth: Count = 4) -> None:
        super().__init__(spec, depth, spec.latent + 2)  # z_0, α and s

    def step(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        centre, alpha, s = self._numbers(raw)
        radius = length(z - centre)
        z = centre + (z - centre) * (radius + s) / (alpha + radius)
        return z, self._log_det(radius, alpha, s)

    def undone(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        centre, alpha, s = self._numbers(raw)
        radius = before(length(z - centre), alpha, s)
        z = centre + (z - centre) * (alpha + radius) / (radius + s)
        return z, self._log_det(radius, alpha, s)

    def _numbers(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
