"""Codes in the Poincaré ball of curvature -κ, under wrapped normals.

A point z has ‖z‖ < 1/√κ and λ_z = 2/(1 - κ‖z‖²). Densities are with respect to the ball's own
volume λ_z^D dz.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Encoder, Model, Prior, Spec
from vaezoo.distributions import Normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Read, Write

# Points stay within 1 - EDGE of the ball's radius. Nearer to the edge, single precision cannot tell
# them from it.
EDGE = 1e-5


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(…, D) twice -> (…, 1)."""
    return (a * b).sum(-1, keepdim=True)


def length(v: Tensor) -> Tensor:
    """(…, D) -> (…, 1)."""
    return (dot(v, v) + 1e-24).sqrt()  # a gradient of 0 at v = 0, where the root's is infinite


def inside(z: Tensor, k: float) -> Tensor:
    """z, moved back into the ball where rounding has put it on the edge or beyond."""
    return z * ((1 - EDGE) / math.sqrt(k) / length(z)).clamp_max(1.0)


def add(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Möbius addition a ⊕ b (Mathieu et al. 2019, §2)."""
    ab = dot(a, b)
    aa = dot(a, a)
    bb = dot(b, b)
    above = (1 + 2 * k * ab + k * bb) * a + (1 - k * aa) * b
    below = 1 + 2 * k * ab + k * k * aa * bb
    return above / below.clamp_min(1e-15)


def factor(z: Tensor, k: float) -> Tensor:
    """λ_z."""
    return 2 / (1 - k * dot(z, z))


def exp_map(m: Tensor, v: Tensor, k: float) -> Tensor:
    """The point that the geodesic from m with velocity v reaches at time 1."""
    n = length(v)
    s = math.sqrt(k)
    step = torch.tanh(s * factor(m, k) * n / 2) * v / (s * n)
    return inside(add(m, step, k), k)


def log_map(m: Tensor, z: Tensor, k: float) -> Tensor:
    """The velocity at m with which the geodesic reaches z at time 1: the inverse of `exp_map`."""
    y = add(-m, z, k)
    s = math.sqrt(k)
    n = length(y)
    return 2 / (s * factor(m, k)) * torch.atanh((s * n).clamp_max(1 - 1e-7)) * y / n


class WrappedNormal(Distribution):
    """z = exp_m(v/λ_m), v ~ N(0, diag σ²) (Mathieu et al. 2019, arXiv:1901.06033, §3.2 and app. B).

    log p(z) = log N(v; 0, σ²) - (D - 1) log(sinh(√κ r)/(√κ r)), with r = ‖v‖ the distance from m to
    z.
    """

    arg_constraints: dict = {}

    def __init__(self, loc: Tensor, scale: Tensor, k: float) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc = loc
        self.scale = scale
        self.k = k

    @property
    def mean(self) -> Tensor:
        """m, the wrapped normal's centre of mass."""
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        v = self._flat().rsample(torch.Size(sample_shape))
        return exp_map(self.loc, v / factor(self.loc, self.k), self.k)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def _flat(self) -> Normal:
        """N(0, diag σ²), of v, number by number."""
        return Normal(torch.zeros_like(self.scale), self.scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        v = factor(self.loc, self.k) * log_map(self.loc, value, self.k)
        flat = self._flat().log_prob(v).sum(-1)
        distance = length(v).squeeze(-1).clamp_min(1e-4)  # below, the ratio is 1 to 2e-9
        r = math.sqrt(self.k) * distance
        log_ratio = r + torch.log(-torch.expm1(-2 * r)) - math.log(2) - r.log()
        return flat - (v.shape[-1] - 1) * log_ratio


class Wrapped(Encoder):
    """q(z|x) = wrapped normal at exp_0(m/2) with scale σ; m and σ from the shared network."""

    space = "ball"

    def __init__(self, spec: Spec, curvature: Positive = 1.0) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)
        self.curvature = float(curvature)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        m, raw_scale = self.net(x, c).chunk(2, -1)
        # λ_0 = 2, so ‖m‖ is the distance from 0
        loc = exp_map(torch.zeros_like(m), m / 2, self.curvature)
        return WrappedNormal(loc, F.softplus(raw_scale) + 1e-3, self.curvature)


class WrappedPrior(Prior):
    """p(z) = wrapped normal at 0 with scale 1, in the ball of the given encoder."""

    space = "ball"
    zero: Tensor

    def __init__(self, spec: Spec, encoder: Encoder) -> None:
        super().__init__()
        self.curvature = encoder.curvature if isinstance(encoder, Wrapped) else 1.0
        self.register_buffer("zero", torch.zeros(spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return WrappedNormal(self.zero, torch.ones_like(self.zero), self.curvature)


class Gyroplanes(Decoder):
    """The shared decoder, reading signed distances from z to `hidden` learned hyperplanes.

    ⟨a, ·⟩ with offset p becomes ‖a‖ sign(⟨a, -p ⊕ z⟩) d(z, H_{a,p}) = ‖a‖/√κ asinh(2√κ⟨-p ⊕ z,
    a⟩/((1-κ‖-p ⊕ z‖²)‖a‖)).
    """

    def __init__(self, spec: Spec, encoder: Encoder) -> None:
        super().__init__()
        self.width = spec.latent
        self.curvature = encoder.curvature if isinstance(encoder, Wrapped) else 1.0
        self.write = Write(spec, spec.hidden)
        direction = torch.randn(spec.hidden, spec.latent) / math.sqrt(spec.latent)
        self.direction = nn.Parameter(direction)
        self.offset = nn.Parameter(0.1 * torch.randn(spec.hidden, spec.latent))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        return self.write(self.distances(z), c)

    def distances(self, z: Tensor) -> Tensor:
        """(K, B, D) -> (K, B, hidden)."""
        k = self.curvature
        s = math.sqrt(self.curvature)
        p = exp_map(torch.zeros_like(self.offset), self.offset, k)
        y = add(-p, z[..., None, :], k)  # -p ⊕ z, (K, B, hidden, D)
        a = self.direction
        size = length(a).squeeze(-1)  # (hidden,)
        along = 2 * s * (y * a).sum(-1)  # (K, B, hidden)
        to_edge = (1 - k * dot(y, y).squeeze(-1)).clamp_min(1e-6)
        ratio = along / (to_edge * size)
        return size / s * torch.asinh(ratio)


@tags("posterior", "prior", "hyperbolic")
def poincare(spec: Spec, curvature: Positive = 1.0, gyroplanes: bool = True) -> Model:
    """The codes lie in a hyperbolic space, whose volume grows exponentially, as a tree's leaves do.

    R + E_q[log q(z|x) - log p(z)], both wrapped normals

    With gyroplanes=false the decoder reads z's coordinates in the ball as they are; gyroplanes add
    a layer of the spec's width.

    Paper: Mathieu et al. 2019, "Continuous Hierarchical Representations with Poincaré Variational
    Auto-Encoders", arXiv:1901.06033, §3.
    """
    encoder = Wrapped(spec, curvature)
    decoder = Gyroplanes(spec, encoder) if gyroplanes else Write(spec)
    return VAE(encoder, decoder, WrappedPrior(spec, encoder), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [poincare]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("wrapped", Wrapped),
        Part("wrapped_normal", WrappedPrior),
        Part("gyroplanes", Gyroplanes),
    ]
