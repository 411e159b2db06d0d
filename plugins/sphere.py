"""Codes on the unit sphere S^{D-1}: von Mises-Fisher and power spherical posteriors.

A code z has D = spec.latent coordinates, D ≥ 2, of which D - 1 are free. The densities are those of
`vaezoo.distributions`, with respect to the sphere's area.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Model, Prior, Spec, Unsupported
from vaezoo.distributions import PowerSpherical, UniformOnSphere, VonMisesFisher
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction
from vaezoo.losses import WarmUp
from vaezoo.networks import Read, Write


class Concentrated(Encoder):
    """η = 16 D m(x), μ = η/‖η‖ and κ = ‖η‖ + 0.001.

    The natural parameter η in place of the κ = softplus(k) + 1 of Davidson et al. 2018. A fresh
    network gives nearly the same μ for every x, so that KL first drives κ down. Where κ has a
    number of its own that ends in the flat part of softplus, and q stays uniform. η passes its
    origin smoothly, as the μ of a Gaussian does, and what all x have in common vanishes first. κ is
    in units of D, for E μᵀz is about κ/D where κ is small; the 16 makes a fresh q narrow enough to
    be read.
    """

    space = "sphere"

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if spec.latent < 2:
            raise Unsupported("a sphere of codes needs latent ≥ 2")
        self.net = Read(spec, spec.latent)

    def parameters_of_q(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        m = self.net(x, c) + 1e-12  # 0 itself has no direction
        return F.normalize(m, dim=-1), 16 * m.shape[-1] * m.norm(dim=-1, keepdim=True) + 1e-3


class Fisher(Concentrated):
    """q(z|x) von Mises-Fisher."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return VonMisesFisher(*self.parameters_of_q(x, c))


class Power(Concentrated):
    """q(z|x) power spherical."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return PowerSpherical(*self.parameters_of_q(x, c))


class UniformSphere(Prior):
    """p(z) uniform on S^{D-1}."""

    space = "sphere"
    zero: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return UniformOnSphere(self.zero)


@tags("posterior", "prior", "sphere")
def vmf(spec: Spec, until: Fraction = 0.3) -> Model:
    """The codes lie on a sphere, with a von Mises-Fisher posterior and a uniform prior.

    R + β(t) KL, KL = κ E w + log C_D(κ) + log area(S^{D-1}), which does not depend on μ

    β rises to 1 over the first part `until` of the training.

    Paper: Davidson et al. 2018, "Hyperspherical Variational Auto-Encoders", arXiv:1804.00891, §3;
    the gradient is the implicit one of Figurnov, Mohamed & Mnih 2018, arXiv:1805.08498, in place of
    the paper's corrected rejection sampler. The warm-up is ours, and so is the network that
    gives η = κμ, the natural parameter: see `Concentrated`. With a number of its own for κ, q ended
    uniform on many data sets.
    """
    return VAE(Fisher(spec), Write(spec), UniformSphere(spec), WarmUp(until))


@tags("posterior", "prior", "sphere")
def power(spec: Spec, until: Fraction = 0.3) -> Model:
    """The codes lie on a sphere, with a power spherical posterior, drawn without rejection.

    R + β(t) KL, KL = -H(q) + log area(S^{D-1})

    β rises to 1 over the first part `until` of the training.

    Paper: De Cao & Aziz 2020, "The Power Spherical Distribution", arXiv:2006.04437, §3. The warm-up
    is that of `vmf`.
    """
    return VAE(Power(spec), Write(spec), UniformSphere(spec), WarmUp(until))


@hookimpl
def vaezoo_variants() -> Variants:
    return [vmf, power]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("vmf", Fisher), Part("power", Power), Part("uniform_sphere", UniformSphere)]
