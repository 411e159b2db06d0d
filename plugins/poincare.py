"""Codes in the Poincaré ball of curvature -κ, under wrapped normals.

A point z has ‖z‖ < 1/√κ and λ_z = 2/(1 - κ‖z‖²). Densities are with respect to the ball's own
volume λ_z^D dz.

At the hyperbolic distance r from the centre 1 - √κ‖z‖ is 2e^-r: float32 cannot tell r = 17 from the
edge, float64 resolves r = 30 to three digits. So codes are float64, and what a network emits is
held where draws stay within that: means within `FAR` of the centre, scales such that a draw goes
no further than that again, save with a chance below 1e-6. Distances are in units of 1/√κ there.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Encoder, Model, Prior, Spec
from vaezoo.distributions import Drawable, Normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Read, Write

FAR = 15.0  # √κ d(0, m), the most for a mean; and √κ ‖v‖ of a draw, but for its tail
EDGE = 2e-13  # points are kept within 1 - EDGE of the ball's radius, at r = 30


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
    """Möbius addition a ⊕ b (Mathieu et al. 2019, §2), in terms of s = a + b.

    1 + 2κ⟨a, b⟩ + κ‖b‖² = κ‖s‖² + 1 - κ‖a‖²: so written, nothing cancels near the edge.
    """
    s = a + b
    ss = k * dot(s, s)
    aa = 1 - k * dot(a, a)
    bb = 1 - k * dot(b, b)
    return (aa * s + ss * a) / (ss + aa * bb).clamp_min(1e-300)


def factor(z: Tensor, k: float) -> Tensor:
    """λ_z."""
    return 2 / (1 - k * dot(z, z))


def exp_map(m: Tensor, v: Tensor, k: float) -> Tensor:
    """The point that the geodesic from m with velocity v reaches at time 1."""
    n = length(v)
    s = math.sqrt(k)
    step = torch.tanh(s * factor(m, k) * n / 2) * v / (s * n)
    return inside(add(m, step, k), k)


def held(v: Tensor, size: Tensor, limit: float) -> Tensor:
    """v, of this size, made shorter than the limit: hardly changed where it is small beside it.

    A hard limit would have no gradient beyond, and what has gone there could not come back.
    """
    return v / (1 + (size / limit).square()).sqrt()


def gap(a: Tensor, b: Tensor, k: float) -> Tensor:
    """1 - κ‖-a ⊕ b‖², without the cancellation of a difference from 1."""
    inner = (1 - k * dot(a, a)) * (1 - k * dot(b, b))
    return inner / (k * dot(a - b, a - b) + inner).clamp_min(1e-300)


def distance(a: Tensor, b: Tensor, k: float) -> Tensor:
    """The hyperbolic distance: sinh²(√κ d/2) = κ‖a - b‖²/((1 - κ‖a‖²)(1 - κ‖b‖²))."""
    inner = (1 - k * dot(a, a)) * (1 - k * dot(b, b))
    s = math.sqrt(k)
    return 2 / s * torch.asinh(s * length(a - b) / inner.sqrt())


def log_map(m: Tensor, z: Tensor, k: float) -> Tensor:
    """The velocity at m with which the geodesic reaches z at time 1: the inverse of `exp_map`."""
    y = add(-m, z, k)
    return distance(m, z, k) / factor(m, k) * y / length(y)


class WrappedNormal(Drawable):
    """z = exp_m(v/λ_m), v ~ N(0, diag σ²) (Mathieu et al. 2019, arXiv:1901.06033, §3.2 and app. B).

    log p(z) = log N(v; 0, σ²) - (D - 1) log(sinh(√κ r)/(√κ r)), with r = ‖v‖ the distance from m to
    z. Points are float64, log densities have the type of σ. The density of a draw is taken from its
    own v.
    """

    def __init__(self, loc: Tensor, scale: Tensor, k: float) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:])
        self.loc = loc.double()
        self.scale = scale
        self.k = k

    def centre(self) -> Tensor:
        """m, the wrapped normal's centre of mass."""
        return self.loc

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        v = self._flat().rsample(torch.Size(shape))
        z = exp_map(self.loc, v / factor(self.loc, self.k), self.k)
        return z, self._log_density(v)

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.double()
        return self._log_density(factor(self.loc, self.k) * log_map(self.loc, value, self.k))

    def _flat(self) -> Normal:
        """N(0, diag σ²), of v, number by number."""
        scale = self.scale.double()
        return Normal(torch.zeros_like(scale), scale, validate_args=False)

    def _log_density(self, v: Tensor) -> Tensor:
        flat = self._flat().log_prob(v).sum(-1)
        # Below 1e-4 the ratio is 1 to 2e-9.
        r = math.sqrt(self.k) * length(v).squeeze(-1).clamp_min(1e-4)
        log_ratio = r + torch.log(-torch.expm1(-2 * r)) - math.log(2) - r.log()
        return (flat - (v.shape[-1] - 1) * log_ratio).to(self.scale)


class Wrapped(Encoder):
    """q(z|x) = wrapped normal at exp_0(m/2) with scale σ; m and σ from the shared network."""

    space = "ball"

    def __init__(self, spec: Spec, curvature: Positive = 1.0) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)
        self.curvature = float(curvature)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        m, raw_scale = self.net(x, c).chunk(2, -1)
        s = math.sqrt(self.curvature)
        m = m.double()
        m = held(m, length(m), FAR / s)  # its length is the distance from 0
        loc = exp_map(torch.zeros_like(m), m / 2, self.curvature)  # λ_0 = 2
        scale = F.softplus(raw_scale) + 1e-3
        widest = FAR / s / (math.sqrt(m.shape[-1]) + 5)  # ‖v‖/σ is below √D + 5
        return WrappedNormal(loc, held(scale, scale, widest), self.curvature)


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

    space = "ball"

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
        """(K, B, D) -> (K, B, hidden), computed in float64."""
        k = self.curvature
        s = math.sqrt(k)
        z = z.double()[..., None, :]  # (K, B, 1, D), beside the planes (hidden, D)
        offset = self.offset.double()
        p = exp_map(torch.zeros_like(offset), offset, k)
        a = self.direction.double()
        size = length(a).squeeze(-1)
        along = (add(-p, z, k) * a).sum(-1)
        ratio = 2 * s * along / (gap(p, z, k).squeeze(-1) * size)
        return (size / s * torch.asinh(ratio)).to(self.direction)


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
