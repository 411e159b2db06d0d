"""Posteriors bent by normalising flows: a Gaussian draw z_0 passes K steps, as `vaezoo.bent` says.

The mirrors and the masked networks have an inverse. The others have none in closed form, so log q
is known for q's own draws only.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.bent import Bent
from vaezoo.core import VAE, Encoder, Model, Spec
from vaezoo.distributions import Pushed
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write, split_normal


class Planar(Bent):
    """z + û tanh(wᵀz + b), û made such that wᵀû ≥ -1 (Rezende & Mohamed 2015, arXiv:1505.05770).

    û = u + (m(wᵀu) - wᵀu) w/‖w‖² with m(s) = softplus(s) - 1 (app. A.1), so that wᵀû = m(wᵀu) and
    1 + wᵀû tanh' = tanh² + softplus(wᵀu) tanh', a sum of two positive terms: no rounding makes it
    negative.
    """

    scores_any_code = False

    def __init__(self, spec: Spec, depth: Count = 4) -> None:
        super().__init__(spec, depth, 2 * spec.latent + 1)

    def step(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        u, w, b = raw.split([self.latent, self.latent, 1], -1)
        wu = (w * u).sum(-1, keepdim=True)
        ww = w.square().sum(-1, keepdim=True)
        positive = F.softplus(wu).clamp_min(1e-30)
        u = u + (positive - 1 - wu) * w / ww.clamp_min(1e-12)
        # 1 + wᵀû, of the û that is used where w is nearly 0
        positive = torch.lerp(1 + wu, positive, (ww / 1e-12).clamp_max(1.0))
        a = torch.tanh((w * z).sum(-1, keepdim=True) + b)
        slope = a.square() + positive * (1 - a.square())
        return z + u * a, slope.log().squeeze(-1)


class Sylvester(Bent):
    """z + Q R tanh(R̃ Qᵀz + b), Q orthogonal, R and R̃ upper triangular.

    Van den Berg et al. 2018, arXiv:1803.05649, §3. Q is a product of Householder reflections, the
    paper's H-SNF with as many columns as dimensions. The diagonals are tanh of raw numbers, so that
    r r̃ > -1 and the map can be inverted.
    """

    scores_any_code = False

    def __init__(self, spec: Spec, depth: Count = 2, reflections: Count = 4) -> None:
        d = spec.latent
        self.sizes = [reflections * d, d * d, d, d, d]
        super().__init__(spec, depth, sum(self.sizes))

    def step(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        v, square, raw_r, raw_s, b = raw.split(self.sizes, -1)
        square = square.unflatten(-1, (self.latent, self.latent))  # (B, D, D)
        r_diagonal = torch.tanh(raw_r)
        s_diagonal = torch.tanh(raw_s)

        # R and R̃ without their diagonals: the two halves of one square of numbers
        r = square.triu(1)
        s = square.tril(-1).mT
        mirrors = v.unflatten(-1, (-1, self.latent)).unbind(-2)  # H of (B, D)

        y = reflect(z, mirrors)  # Qᵀz
        a = torch.tanh(_times(s, y) + s_diagonal * y + b)
        step = reflect(_times(r, a) + r_diagonal * a, mirrors[::-1])

        # 1 + r r̃ tanh' = tanh² + (1 + r r̃) tanh', a sum of positive terms; see `Planar`.
        slope = a.square() + one_plus_product(raw_r, raw_s) * (1 - a.square())
        return z + step, slope.log().sum(-1)


def one_plus_product(a: Tensor, b: Tensor) -> Tensor:
    """1 + tanh a tanh b = cosh(a + b)/(cosh a cosh b): positive, whatever is rounded."""
    return (log_cosh(a + b) - log_cosh(a) - log_cosh(b)).exp().clamp_min(1e-30)


def log_cosh(x: Tensor) -> Tensor:
    return x.abs() + (-2 * x.abs()).exp().log1p() - math.log(2)


class Householder(Bent):
    """H_K … H_1 z with H = I - 2vvᵀ/‖v‖² (Tomczak & Welling 2016, arXiv:1611.09630), of volume 1.

    q(z|x) is a Gaussian with a full covariance. In the paper v_k is a linear map of v_{k-1}; here
    all come from x at once.
    """

    def __init__(self, spec: Spec, depth: Count = 4) -> None:
        super().__init__(spec, depth, spec.latent)

    def step(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return reflect(z, (raw,)), z.new_zeros(z.shape[:-1])

    def undone(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return self.step(z, raw)  # a mirror is its own inverse


def reflect(z: Tensor, mirrors: tuple[Tensor, ...]) -> Tensor:
    """z (K, B, D) mirrored at the planes with normals `mirrors` (B, D), the first mirror first.

    Normals of any length, whose squares may vanish or overflow; 0 mirrors nothing.
    """
    for v in mirrors:
        v = F.normalize(v, p=math.inf, dim=-1, eps=1e-38)
        along = 2 * (z * v).sum(-1, keepdim=True)
        z = z - along / v.square().sum(-1, keepdim=True).clamp_min(1.0) * v  # 1 at least, or 0
    return z


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """(B, D, D) and (K, B, D) -> (K, B, D)."""
    return (matrix @ vector[..., None]).squeeze(-1)


class Autoregressive(Encoder):
    """z ← σ z + (1 - σ) m, σ = sigmoid(s), with m and s masked networks of (z, h).

    Kingma et al. 2016, arXiv:1606.04934, algorithm 1. Dimension d of m and s reads z_1 … z_{d-1}
    and all of h(x); the order is reversed after every step.
    """

    mask_in: Tensor
    mask_out: Tensor

    def __init__(self, spec: Spec, depth: Count = 2) -> None:
        super().__init__()
        d = spec.latent
        width = spec.hidden
        self.latent = d
        self.net = Read(spec, 2 * d + width)

        # Hidden unit i reads h and the first degree_i numbers of z; output d reads the units of a
        # degree below d. Units of degree 0 read h alone: without them the first output knows no x.
        degree = torch.arange(width) * d // width
        order = torch.arange(1, d + 1)
        self.register_buffer("mask_in", (degree[:, None] >= order).float())
        self.register_buffer("mask_out", (order[:, None] > degree).float().repeat(2, 1))
        self.steps = nn.ModuleList()
        for _ in range(depth):  # of each masked network: it reads z, it reads h(x), it writes m, s
            read_z = nn.Linear(d, width)
            read_h = nn.Linear(width, width, bias=False)
            self.steps.append(nn.ModuleList([read_z, read_h, nn.Linear(width, 2 * d)]))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        raw = self.net(x, c)
        base = raw[..., : 2 * self.latent]
        h = F.silu(raw[..., 2 * self.latent :])

        def push(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(z.shape[:-1])
            for layers in self.steps:
                m, log_gate = self._masked(layers, z, h)
                gate = log_gate.exp()
                z = (gate * z + (1 - gate) * m).flip(-1)
                total = total + log_gate.sum(-1)
            return z, total

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            total = z.new_zeros(())
            for layers in reversed(self.steps):
                z, log_det = self._undone(layers, z.flip(-1), h)
                total = total + log_det
            return z, total

        return Pushed(split_normal(base), push, pull)

    def _undone(self, layers: Any, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The z whose step is y, and the step's log |det|.

        One dimension is found after the other, since each reads those before it. So what y was
        rounded by grows by 1/σ in each, and where many σ are far below 1 no precision is enough.
        """
        z = torch.zeros_like(y)
        for d in range(self.latent):
            m, log_gate = self._masked(layers, z, h)
            gate = log_gate.exp()
            is_next = torch.arange(self.latent, device=y.device) == d
            z = torch.where(is_next, (y - (1 - gate) * m) / gate, z)
        return z, log_gate.sum(-1)

    def _masked(self, layers: Any, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """m and log σ, (K, B, D) each, of one step.

        σ starts near 1, as the paper's §4 advises. It is 0.001 at least: a smaller one leaves
        nothing of z that the sum with m could hold.
        """
        read_z, read_h, out = layers
        a = F.silu(F.linear(z, read_z.weight * self.mask_in, read_z.bias) + read_h(h))
        m, s = F.linear(a, out.weight * self.mask_out, out.bias).chunk(2, -1)
        return m, torch.log(0.001 + 0.999 * torch.sigmoid(s + 2))


@tags("posterior", "flow")
def planar(spec: Spec, depth: Count = 4) -> Model:
    """The Gaussian draw is bent `depth` times along one direction.

    R + E_q[log q(z_K|x) - log p(z_K)], log q(z_K) = log q(z_0) - Σ_k log |1 + û_kᵀψ_k(z_{k-1})|

    Every number of every step comes from x.

    Paper: Rezende & Mohamed 2015, "Variational Inference with Normalizing Flows", arXiv:1505.05770.
    """
    return VAE(Planar(spec, depth), Write(spec), StandardNormal(spec), ELBO())


@tags("posterior", "flow")
def sylvester(spec: Spec, depth: Count = 2, reflections: Count = 4) -> Model:
    """The Gaussian draw is bent `depth` times along all directions at once.

    R + E_q[log q(z_K|x) - log p(z_K)], log |det| = Σ_i log(1 + (1 - a_i²) r_ii r̃_ii) for each step

    Paper: van den Berg, Hasenclever, Tomczak & Welling 2018, "Sylvester Normalizing Flows",
    arXiv:1803.05649, §3 (H-SNF).
    """
    return VAE(Sylvester(spec, depth, reflections), Write(spec), StandardNormal(spec), ELBO())


@tags("posterior", "flow")
def householder(spec: Spec, depth: Count = 4) -> Model:
    """The Gaussian draw is mirrored `depth` times, which gives q(z|x) a full covariance.

    R + E_q[log q(z_0|x) - log p(z_K)], for mirrors preserve volume

    With the prior N(0, I) they change neither term of KL, only which directions the decoder sees.

    Paper: Tomczak & Welling 2016, "Improving Variational Auto-Encoders using Householder Flow",
    arXiv:1611.09630.
    """
    return VAE(Householder(spec, depth), Write(spec), StandardNormal(spec), ELBO())


@tags("posterior", "flow")
def iaf(spec: Spec, depth: Count = 2) -> Model:
    """The Gaussian draw passes `depth` masked autoregressive networks.

    R + E_q[log q(z_K|x) - log p(z_K)], log |det| = Σ_d log σ_d for each step

    The masked networks are its own: one hidden layer of the spec's width each.

    Paper: Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow",
    arXiv:1606.04934, alg. 1.
    """
    return VAE(Autoregressive(spec, depth), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [planar, sylvester, householder, iaf]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("planar", Planar),
        Part("sylvester", Sylvester),
        Part("householder", Householder),
        Part("iaf", Autoregressive),
    ]
