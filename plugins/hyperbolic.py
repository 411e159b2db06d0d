"""Codes on a hyperboloid: a hyperbolic space without an edge, and its two normals."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Encoder, Model, Prior, Spec
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperboloid import Carried, Moved, RiemannianNormal, length, velocity
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Read, Write

SPACE = "hyperboloid"
FAR = 20.0  # the most for a mean's distance, and for a draw's from its mean, but for its tail


def held(v: Tensor, size: Tensor, limit: float) -> Tensor:
    """v, of this size, made shorter than the limit, with a gradient that can bring it back."""
    return v / (1 + (size / limit).square()).sqrt()


def widest(d: int, is_wrapped: bool) -> float:
    """√κ σ at which a draw is nearer than `FAR`, but for a chance below 1e-6.

    ‖v‖/σ is below √D + 5; the Riemannian radius is about σ² (D - 1), and 5 σ above it at the most.
    """
    if is_wrapped:
        return FAR / (math.sqrt(d) + 5)
    linear = math.sqrt(d) + 5
    return 2 * FAR / (linear + math.sqrt(linear**2 + 4 * FAR * (d - 1)))


class Placed(Encoder):
    """q(z|x): m and σ from the shared network; σ is one number for a Riemannian normal."""

    space = SPACE
    law: type[Moved]

    def __init__(self, spec: Spec, curvature: Positive = 1.0) -> None:
        super().__init__()
        self.sizes = [spec.latent, spec.latent if self.law is Carried else 1]
        self.net = Read(spec, sum(self.sizes))
        self.curvature = float(curvature)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        m, raw_scale = self.net(x, c).split(self.sizes, -1)
        root = math.sqrt(self.curvature)
        m = root * m.double()
        scale = F.softplus(raw_scale) + 1e-3
        limit = widest(m.shape[-1], self.law is Carried) / root
        return self.law(held(m, length(m), FAR), held(scale, scale, limit), self.curvature)


class Wrapping(Placed):
    """q(z|x) = wrapped normal on the hyperboloid."""

    law = Carried


class Riemannian(Placed):
    """q(z|x) = Riemannian normal on the hyperboloid."""

    law = RiemannianNormal


class AtTheCentre(Prior):
    """p(z) of the encoder's kind at the centre, with scale 1, or less where that is too wide."""

    space = SPACE
    zero: Tensor
    scale: Tensor
    law: type[Moved]

    def __init__(self, spec: Spec, encoder: Encoder) -> None:
        super().__init__()
        self.curvature = encoder.curvature if isinstance(encoder, Placed) else 1.0
        size = spec.latent if self.law is Carried else 1
        limit = widest(spec.latent, self.law is Carried) / math.sqrt(self.curvature)
        self.register_buffer("zero", torch.zeros(spec.latent))
        self.register_buffer("scale", torch.full((size,), min(1.0, limit)))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return self.law(self.zero, self.scale, self.curvature)


class WrappingPrior(AtTheCentre):
    """p(z) = wrapped normal at the centre."""

    law = Carried


class RiemannianPrior(AtTheCentre):
    """p(z) = Riemannian normal at the centre."""

    law = RiemannianNormal


class FromTheCentre(Decoder):
    """The shared decoder, reading z's velocity at the centre: its direction by its distance."""

    space = SPACE

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = spec.latent
        self.write = Write(spec)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        return self.write(velocity(z), c)


@tags("posterior", "prior", "hyperbolic")
def lorentz(spec: Spec, curvature: Positive = 1.0) -> Model:
    """The codes lie in a hyperbolic space as points of a hyperboloid, far out as exact as near.

    R + E_q[log q(z|x) - log p(z)], both wrapped normals: v ~ N(0, diag σ²), carried to m, z = exp_m

    It has the densities of `poincare`, whose ball is the same space, without the ball's edge: codes
    are in the network's own type. The decoder reads the velocity at the centre that leads to z: no
    network can read coordinates that grow as e^r.

    Paper: Nagano et al. 2019, "A Wrapped Normal Distribution on Hyperbolic Space for Gradient-Based
    Learning", arXiv:1902.02992, §3. Means and draws are held within 20/√curvature each.
    """
    encoder = Wrapping(spec, curvature)
    return VAE(encoder, FromTheCentre(spec), WrappingPrior(spec, encoder), ELBO())


@tags("posterior", "prior", "hyperbolic")
def riemannian(spec: Spec, curvature: Positive = 1.0) -> Model:
    """The posterior falls with the squared hyperbolic distance alone, and so does the prior.

    R + E_q[log q(z|x) - log p(z)], both exp(-d(m, z)²/(2σ²))/Z(σ), Z = |S^{D-1}| ∫ exp(-r²/(2σ²))
    sinh^{D-1} r dr

    One σ for all directions. The radius is drawn through its distribution function, without
    rejection. The prior's σ is 1, or less where draws would be further than 20/√curvature from the
    centre: the volume puts them near σ² (D - 1).

    Paper: Mathieu et al. 2019, "Continuous Hierarchical Representations with Poincaré Variational
    Auto-Encoders", arXiv:1901.06033, §3.2 and app. B.4, there on the ball; on the hyperboloid of
    `lorentz` the density by volume is the same.
    """
    encoder = Riemannian(spec, curvature)
    return VAE(encoder, FromTheCentre(spec), RiemannianPrior(spec, encoder), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [lorentz, riemannian]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("lorentz", Wrapping),
        Part("lorentz_normal", WrappingPrior),
        Part("riemannian", Riemannian),
        Part("riemannian_normal", RiemannianPrior),
        Part("from_centre", FromTheCentre),
    ]
