"""Wrapped and Riemannian normals on a hyperboloid: a hyperbolic space without an edge.

A point u of the sheet u_0² = 1 + ‖z‖² is given by its D last coordinates z, which may be any
numbers: at the distance r from the centre ‖z‖ is sinh r, and float32 holds r = 40 as well as r = 1,
where the ball's 1 - ‖z‖ is lost at 17. Densities are with respect to the space's own volume, at the
curvature -κ dz/(u_0 κ^{D/2}). A point's radius is known to a few roundings; its direction is too,
which at r means a place to e^r roundings. Draws have their log density from their own velocity, and
a prior at the centre reads the radius alone, so that neither loses anything far out.

Inside, all is float64 and in units of 1/√κ. A mean is given by its velocity at the centre, as is a
draw: v (…, D), whose length is the distance, carried in parallel from the centre to the mean.
"""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from .distributions import Drawable, Normal
from .distributions.cells import REACH, Cells

__all__ = [
    "Carried",
    "Moved",
    "RiemannianNormal",
    "at_radius",
    "exp_map",
    "length",
    "log_map",
    "velocity",
]


def length(v: Tensor) -> Tensor:
    """(…, D) -> (…, 1), with a gradient of 0 at v = 0."""
    return (v.square().sum(-1, keepdim=True) + 1e-24).sqrt()


def log_sinh(r: Tensor) -> Tensor:
    return r + torch.log(-torch.expm1(-2 * r)) - math.log(2)


def at_radius(v: Tensor) -> Tensor:
    """The point that the geodesic from the centre with velocity v reaches at time 1."""
    r = length(v)
    return r.sinh() * v / r


def velocity(z: Tensor) -> Tensor:
    """The inverse of `at_radius`, in the type of z; the square of a z far out is beyond float32."""
    wide = z.double()
    r = length(wide)
    return (r.asinh() * wide / r).to(z)


def split(a: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """m's direction, a's part along it (…, 1), and the rest of a."""
    direction = m / length(m)
    along = (a * direction).sum(-1, keepdim=True)
    return direction, along, a - along * direction


def exp_map(m: Tensor, v: Tensor) -> Tensor:
    """z at exp_m of v, which is carried from the centre to m (Nagano et al. 2019, eqs. 2 and 4).

    Along m it is sinh a cosh r + cosh a sinh r cos, with a and r the lengths of m and v; where the
    cosine is negative that cancels, and is sinh(a - r) + cosh a sinh r (1 + cos).
    """
    direction, along, rest = split(v, m)
    a, r = length(m), length(v)
    turned = length(rest).square() / (r + along.abs())  # r - |along|
    forth = (a + r).sinh() - a.cosh() * r.sinh() / r * turned
    back = (a - r).sinh() + a.cosh() * r.sinh() / r * turned
    return torch.where(along > 0, forth, back) * direction + r.sinh() / r * rest


def log_map(m: Tensor, z: Tensor) -> Tensor:
    """The v of `exp_map`: z boosted by -m, then seen from the centre.

    Along m it is z_m cosh a - u_0 sinh a; where that cancels, the difference of the two squares
    over their sum.
    """
    direction, along, rest = split(z, m)
    a = length(m)
    across = (1 + rest.square().sum(-1, keepdim=True)).sqrt()
    top = (1 + z.square().sum(-1, keepdim=True)).sqrt()  # u_0
    low = a.sinh() * across
    near = (along - low) * (along + low) / (along.abs() * a.cosh() + top * a.sinh())
    boosted = torch.where(along > 0, near, along * a.cosh() - top * a.sinh())
    return velocity(boosted * direction + rest)


class Moved(Drawable):
    """A law of v at the centre, carried to the mean m, (B, D), whose velocity is `loc`."""

    def __init__(self, loc: Tensor, scale: Tensor, k: float) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:])
        self.loc = loc.double()
        self.scale = scale
        self.k = k

    def centre(self) -> Tensor:
        return at_radius(self.loc).to(self.scale)

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        v = self.moves(shape)
        return exp_map(self.loc, v).to(self.scale), self.log_of_move(v)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_of_move(log_map(self.loc, value.double()))

    def moves(self, shape: tuple[int, ...]) -> Tensor:
        """v ~ its law, (*shape, B, D), float64 and with gradient."""
        raise NotImplementedError

    def log_of_move(self, v: Tensor) -> Tensor:
        """The log density of the point to which v leads, by volume; in the type of the scale."""
        raise NotImplementedError


class Carried(Moved):
    """The wrapped normal, √κ⁻¹ v ~ N(0, diag σ²) (Nagano et al. 2019, eq. 7; Mathieu et al. 2019).

    log p(z) = log N(v/√κ; 0, σ²) - (D - 1) log(sinh r/r), r = ‖v‖.
    """

    def _flat(self) -> Normal:
        scale = self.scale.double() * math.sqrt(self.k)
        return Normal(torch.zeros_like(scale), scale, validate_args=False)

    def moves(self, shape: tuple[int, ...]) -> Tensor:
        return self._flat().rsample(torch.Size(shape))

    def log_of_move(self, v: Tensor) -> Tensor:
        d = v.shape[-1]
        flat = self._flat().log_prob(v).sum(-1) + d / 2 * math.log(self.k)
        r = length(v).squeeze(-1).clamp_min(1e-4)  # below, the ratio is 1 to 2e-9
        return (flat - (d - 1) * (log_sinh(r) - r.log())).to(self.scale)


def _log_shape(s: Tensor, n: int, r: Tensor) -> Tensor:
    """-r²/(2σ²) + n log sinh r."""
    shape = -0.5 * (r / s).square()
    return shape + n * log_sinh(r.clamp_min(1e-300)) if n else shape


class RiemannianNormal(Moved):
    """p(z) = exp(-d(m, z)²/(2σ²))/Z(σ), with one σ, (B, 1), for all directions.

    Mathieu et al. 2019, §3.2 and app. B.4: the radius r = d(m, z) has the density g(r) ∝
    exp(-r²/(2σ²)) sinh^{D-1} r, and the direction is uniform. Z is the sphere's area by ∫ g, which
    is integrated cell by cell: in the paper's sum of erf, of alternating signs, all digits cancel
    from D = 10 on. The radius solves G(r) = u, by bisection and Newton, where the paper rejects;
    its gradient is implicit, ∂r/∂σ = -(∂G/∂σ)/g.
    """

    def __init__(self, loc: Tensor, scale: Tensor, k: float) -> None:
        super().__init__(loc, scale, k)
        self.s = scale.double() * math.sqrt(k)
        peak, width = self._peak_of(self.s.detach())
        low = (peak - REACH * width).clamp_min(0)
        shape = partial(_log_shape, self.s, loc.shape[-1] - 1)
        self.cells = Cells(shape, peak, low, peak + REACH * width)

    @property
    def log_normaliser(self) -> Tensor:
        """log Z, (B, 1), of the volume in units of the curvature."""
        d = self.loc.shape[-1]
        log_area = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)
        return log_area + self.cells.log_total

    def _peak_of(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The mode of g, where r = σ² (D - 1) coth r, by halving; and its width."""
        n = self.loc.shape[-1] - 1
        if not n:
            return torch.zeros_like(s), s
        low = torch.zeros_like(s)
        high = s.square() * n + s * math.sqrt(n)  # coth r < 1 + 1/r
        for _ in range(60):
            r = (low + high) / 2
            rises = s.square() * n > r * r.tanh()
            low = torch.where(rises, r, low)
            high = torch.where(rises, high, r)
        return high, (s.square().reciprocal() + n / high.sinh().square()).rsqrt()

    def moves(self, shape: tuple[int, ...]) -> Tensor:
        direction = torch.randn(*shape, *self.loc.shape, dtype=torch.float64, device=self.s.device)
        return self.cells.drawn(shape) * F.normalize(direction, dim=-1)

    def log_of_move(self, v: Tensor) -> Tensor:
        away = -0.5 * (length(v) / self.s).square() - self.log_normaliser
        return (away.squeeze(-1) + v.shape[-1] / 2 * math.log(self.k)).to(self.scale)
