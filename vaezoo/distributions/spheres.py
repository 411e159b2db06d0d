"""Densities on the unit sphere S^{D-1}, with respect to its area: von Mises-Fisher, power spherical
and uniform.

A point has D coordinates, D ≥ 2, of which D - 1 are free. The first two draw the cosine w = μᵀz,
then a tangent direction that does not depend on μ and κ, and turn the pole to μ by a Householder
mirror, as in both papers.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution
from torch.nn import functional as F

from .cells import GAUSS, REACH, Cells
from .draws import Drawable


def log_area(d: int) -> float:
    """log of the area of S^{d-1}: 2 π^{d/2} / Γ(d/2)."""
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def turned(mu: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """z (*shape, B, D) with μᵀz = cosine and a uniform tangent direction.

    μ is (B, D); cosine and sine are (*shape, B, 1).

    The pole is +e_1 or -e_1, whichever is farther from μ: the mirror's normal then has a length of
    √2 at least, and for any given μ the map is smooth in μ for all draws. Projecting a Gaussian on
    μ's tangent plane is not, for D = 2.
    """
    free = mu[..., 1:].expand(*cosine.shape[:-1], -1)  # (*shape, B, D - 1)
    tangent = F.normalize(torch.randn_like(free), dim=-1)
    sign = 1 - 2 * (mu[..., :1] > 0).to(mu.dtype)
    at_pole = torch.cat([sign * cosine, sine * tangent], -1)
    normal = torch.cat([sign - mu[..., :1], -mu[..., 1:]], -1)
    along = 2 * (at_pole * normal).sum(-1, keepdim=True)
    return at_pole - along / normal.square().sum(-1, keepdim=True) * normal


class OnSphere(Drawable):
    """q(z) = f(μᵀz), with μ (B, D) of unit length and a concentration κ (B, 1) > 0."""

    def __init__(self, mu: Tensor, kappa: Tensor) -> None:
        super().__init__(mu.shape[:-1], mu.shape[-1:])
        self.mu = mu
        self.kappa = kappa
        self.d = mu.shape[-1]

    def centre(self) -> Tensor:
        return self.mu

    def one_minus_cosine(self, z: Tensor) -> Tensor:
        """1 - μᵀz = ‖μ - z‖²/2, (…, 1), in float64: κ is up to 1e6, and 1 - w then cancels."""
        mu = F.normalize(self.mu.double(), dim=-1)
        z = F.normalize(z.double(), dim=-1)
        return (mu - z).square().sum(-1, keepdim=True) / 2


def _log_shape(k: Tensor, n: int, t: Tensor) -> Tensor:
    """κ (cos t - 1) + n log sin t."""
    return -2 * k * (t / 2).sin().square() + n * t.sin().clamp_min(1e-300).log()


class VonMisesFisher(OnSphere):
    """f(w) ∝ exp(κ w): the angle t = arccos w has the density g(t) ∝ exp(κ cos t) sin^{D-2} t.

    Its distribution function G is integrated cell by cell, in float64, over `REACH` widths of the
    density on either side of its mode: at D = 50 and κ = 1,000 all of sin^{D-2} t is below what
    float32 holds. u = G(t) is solved by bisection and Newton inside a cell, with as many operations
    for every row, where the paper's rejection loop runs until each row is done. The gradient is
    implicit, ∂t/∂κ = -(∂G/∂κ)/g: a gradient through the rejection sampler that leaves out its
    correction is wrong for every D but 3 (Davidson et al. 2018, arXiv:1804.00891, app. D; Figurnov
    et al. 2018, arXiv:1805.08498).
    """

    def __init__(self, mu: Tensor, kappa: Tensor) -> None:
        super().__init__(mu, kappa)
        self.k = kappa.double()
        peak, width = self._peak_of(self.k.detach())
        low = (peak - REACH * width).clamp_min(0)
        high = (peak + REACH * width).clamp_max(math.pi)
        self.cells = Cells(partial(_log_shape, self.k, self.d - 2), peak, low, high)
        self.log_total = self.cells.log_total

    def _peak_of(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """The mode of g, where κ sin² t = (D - 2) cos t, and its width (-∂² log g/∂t²)^{-1/2}."""
        n = self.d - 2
        cosine = 2 * k / (n + (4 * k.square() + n * n).sqrt())
        if not n:
            return torch.zeros_like(k), k.rsqrt()
        sine2 = n * cosine / k
        return torch.atan2(sine2.sqrt(), cosine), (k * cosine + n / sine2).rsqrt()

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        t = self.cells.drawn(shape)
        z = turned(self.mu, t.cos().to(self.mu), t.sin().to(self.mu))
        return z, self._log_density(2 * (t / 2).sin().square())

    def _log_density(self, one_minus_w: Tensor) -> Tensor:
        log_f = (-self.k * one_minus_w - self.log_total).squeeze(-1) - log_area(self.d - 1)
        return log_f.to(self.mu)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._log_density(self.one_minus_cosine(value))

    def kl_to_uniform(self) -> Tensor:
        """log f at w = E w, for log f is linear in w, plus log of the sphere's area."""
        edges = self.cells.edges
        half = edges.diff(dim=-1) / 2
        middle = (edges[..., 1:] + edges[..., :-1]) / 2
        lost = torch.zeros_like(middle)  # ∫ (1 - cos t) g(t) of each cell
        for node, weight in GAUSS:
            for t in (middle - node * half, middle + node * half):
                lost = lost + weight * half * self.cells.density(t) * 2 * (t / 2).sin().square()
        mean = lost.sum(-1, keepdim=True) / self.cells.total
        return self._log_density(mean) + log_area(self.d)


class PowerSpherical(OnSphere):
    """f(w) ∝ (1 + w)^κ: w = 2 b - 1 with b ~ Beta((D-1)/2 + κ, (D-1)/2).

    De Cao & Aziz 2020, arXiv:2006.04437, §3. In float64: log Γ(α) - log Γ(α + β) cancels where κ
    is large.
    """

    def __init__(self, mu: Tensor, kappa: Tensor) -> None:
        super().__init__(mu, kappa)
        self.beta = (self.d - 1) / 2
        self.k = kappa.double()
        self.alpha = self.beta + self.k

    def _log_density(self, log_half_1_plus_w: Tensor) -> Tensor:
        """From log((1 + w)/2)."""
        a = self.alpha
        b = self.beta
        log_norm = (a + b - self.k) * math.log(2) + b * math.log(math.pi)
        log_norm = log_norm + torch.lgamma(a) - torch.lgamma(a + b)
        return (self.k * log_half_1_plus_w - log_norm).squeeze(-1).to(self.mu)

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        # A Beta of two Gammas, for vmap has no Dirichlet draws.
        alpha = self.alpha.expand(*shape, *self.alpha.shape)
        one = torch._standard_gamma(alpha).clamp_min(1e-300)
        two = torch._standard_gamma(torch.full_like(alpha, self.beta)).clamp_min(1e-300)
        total = one + two
        cosine = (one - two) / total
        sine = 2 * (one * two).sqrt() / total
        z = turned(self.mu, cosine.to(self.mu), sine.to(self.mu))
        return z, self._log_density(-(two / one).log1p())

    def log_prob(self, value: Tensor) -> Tensor:
        half = 1 - self.one_minus_cosine(value) / 2  # (1 + w)/2
        return self._log_density(half.clamp_min(1e-300).log())

    def kl_to_uniform(self) -> Tensor:
        """-H + log of the sphere's area, E log((1 + w)/2) = ψ(α) - ψ(α + β) (§3, entropy)."""
        mean = torch.digamma(self.alpha) - torch.digamma(self.alpha + self.beta)
        return self._log_density(mean) + log_area(self.d)


class UniformOnSphere(Distribution):
    """The uniform distribution on S^{D-1}."""

    arg_constraints: dict[str, D.constraints.Constraint] = {}

    def __init__(self, zero: Tensor) -> None:
        super().__init__(torch.Size(), zero.shape, validate_args=False)
        self.zero = zero  # (D,)

    def log_prob(self, value: Tensor) -> Tensor:
        return value.new_full(value.shape[:-1], -log_area(value.shape[-1]))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        anywhere = torch.randn(shape, dtype=self.zero.dtype, device=self.zero.device)
        return F.normalize(anywhere, dim=-1)


@D.register_kl(OnSphere, UniformOnSphere)
def _kl_to_uniform(q: Any, p: UniformOnSphere) -> Tensor:
    return q.kl_to_uniform()
