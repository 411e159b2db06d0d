"""GP-VAE: latents that are Gaussian processes over time, with a posterior of banded precision."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, distributions as D, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import mlp
from vaezoo.stepwise import StepsLikelihood, as_steps, noise_of_steps

Kernel = Literal["cauchy", "rbf", "ou"]
Nugget = Annotated[float, Field(ge=0)]


def covariance(kernel: Kernel, gaps: Tensor) -> Tensor:
    """k(Δ) at gaps |t - t'| in lengths; 1 at 0.

    Cauchy: 1/(1 + Δ²), a mixture of RBF kernels of all lengths (Fortuin et al. 2020, §3.3).
    """
    if kernel == "cauchy":
        return 1 / (1 + gaps.square())
    return torch.exp(-gaps.square() / 2) if kernel == "rbf" else torch.exp(-gaps)


def _step_sum(each: Tensor, mask: Tensor | None) -> Tensor:
    """Σ over D and over the steps that are there: (…, T, D) -> (…)."""
    of_step = each.sum(-1)
    return (of_step if mask is None else torch.where(mask, of_step, 0.0)).sum(-1)


class Processes(Distribution):
    """p(z): every dimension a Gaussian process at T times, over an event (T, D).

    It is known by W (D, T, T), the inverse of the lower root of each covariance. W z is white, and
    its first L numbers depend on the first L steps alone: steps outside `mask` (B, T), which stand
    behind the others, are integrated out by leaving them out.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, whiten: Tensor, mask: Tensor | None = None) -> None:
        super().__init__(torch.Size(), torch.Size((whiten.shape[1], len(whiten))), False)
        self.whiten = whiten
        self.mask = mask

    def white(self, z: Tensor) -> Tensor:
        """W z, (…, T, D)."""
        return torch.einsum("dts,...sd->...td", self.whiten.to(z), z)

    @property
    def log_scale(self) -> Tensor:
        """log W_tt, (T, D)."""
        return self.whiten.diagonal(dim1=-2, dim2=-1).log().T

    def log_prob(self, value: Tensor) -> Tensor:
        each = -0.5 * (self.white(value).square() + math.log(2 * math.pi))
        return _step_sum(each + self.log_scale.to(value), self.mask)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        e = torch.randn(shape, dtype=self.whiten.dtype, device=self.whiten.device)
        # (…, T, D) -> (…, D, T, 1), a column for each root
        column = e.transpose(-1, -2)[..., None]
        z = torch.linalg.solve_triangular(self.whiten, column, upper=False)
        return z[..., 0].transpose(-1, -2).to(torch.get_default_dtype())


class Banded(Distribution):
    """q(z|x) = Π_d N(m_d, (B_dᵀ B_d)⁻¹) over an event (T, D), with B_d upper bidiagonal.

    Fortuin et al. 2020, eq. 7 and 8: b_tt > 0 is `diagonal`, b_t,t+1 is `beside`, (…, T, D) each;
    of the last step, and of the last in `mask` (B, T), `beside` is 0.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, loc: Tensor, diagonal: Tensor, beside: Tensor, mask: Tensor | None) -> None:
        super().__init__(loc.shape[:-2], loc.shape[-2:], False)
        self.loc = loc
        self.diagonal = diagonal
        follows = torch.ones_like(loc[..., 0], dtype=torch.bool) if mask is None else mask
        follows = F.pad(follows[..., 1:], (0, 1), value=False)[..., None]  # (…, T, 1)
        self.beside = torch.where(follows, beside, 0.0)
        self.mask = mask

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of (BᵀB)⁻¹ = B⁻¹ B⁻ᵀ: v_t = (1 + b_t,t+1² v_t+1)/b_tt²."""
        later = torch.zeros_like(self.loc[..., 0, :])
        found = []
        for diagonal, beside in self._steps_back():
            later = (1 + beside.square() * later) / diagonal.square()
            found.append(later)
        return torch.stack(found[::-1], -2)

    def at(self, e: Tensor) -> Tensor:
        """m + B⁻¹ e, for e (…, T, D): from the last step back to the first."""
        later = torch.zeros_like(e[..., 0, :])
        found = []
        for e_t, (diagonal, beside) in zip(e.flip(-2).unbind(-2), self._steps_back(), strict=True):
            later = (e_t - beside * later) / diagonal
            found.append(later)
        return self.loc + torch.stack(found[::-1], -2)

    def _steps_back(self) -> Iterator[tuple[Tensor, Tensor]]:
        """b_tt and b_t,t+1, (…, D) each, from the last step to the first."""
        both = (self.diagonal, self.beside)
        diagonals, besides = (b.flip(-2).unbind(-2) for b in both)
        return zip(diagonals, besides, strict=True)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.at(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        away = value - self.loc
        after = F.pad(away[..., 1:, :], (0, 0, 0, 1))
        e = self.diagonal * away + self.beside * after
        each = self.diagonal.log() - 0.5 * (e.square() + math.log(2 * math.pi))
        return _step_sum(each, self.mask)


@D.register_kl(Banded, Processes)
def _kl(q: Banded, p: Processes) -> Tensor:
    """½ [tr(K⁻¹ Λ⁻¹) + mᵀ K⁻¹ m - T + log |K| + log |Λ|], over all D: (…)."""
    white = p.white(q.loc)
    spread = torch.zeros_like(white)
    column = torch.zeros_like(white)
    # W B⁻¹, whose squares add up to the trace: c_s = (w_s - b_s-1,s c_s-1)/b_ss
    for s, of_step in enumerate(p.whiten.to(white).permute(2, 1, 0)):  # (T, D), column s of W
        if s:
            of_step = of_step - q.beside[..., s - 1, None, :] * column
        column = of_step / q.diagonal[..., s, None, :]
        is_there = 1.0 if q.mask is None else q.mask[..., s, None, None].to(white)
        spread = spread + is_there * column.square()
    each = 0.5 * (spread + white.square() - 1) + q.diagonal.log() - p.log_scale.to(white)
    return _step_sum(each, q.mask)


class Smoother(nn.Module):
    """m_t, b_tt and b_t,t+1, (B, T, D) each, from a convolution over time and a network a step."""

    def __init__(self, channels: int, hidden: int, size: int, window: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(channels, hidden, window, padding="same")
        self.each = mlp(hidden, hidden, 3 * size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.over_time(x.transpose(1, 2)).transpose(1, 2)  # (B, T, H)
        loc, raw, beside = self.each(F.silu(h)).chunk(3, -1)
        return loc, F.softplus(raw) + 1e-3, beside


class LinearSmoother(nn.Module):
    """The same with m a convolution of x, and one b_tt and b_t,t+1 for all steps and x."""

    def __init__(self, channels: int, size: int, window: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(channels, size, window, padding="same")
        self.raw = nn.Parameter(torch.zeros(size))
        self.beside = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loc = self.over_time(x.transpose(1, 2)).transpose(1, 2)  # (B, T, D)
        diagonal = F.softplus(self.raw) + 1e-3
        return loc, diagonal.expand_as(loc), self.beside.expand_as(loc)


class GPVAE(Model):
    """-E_q(z|x) Σ_t log p(x_t|z_t) + Σ_d KL(q(z_d|x) ‖ GP(0, k))."""

    whiten: Tensor  # (D, T, T), float64

    def __init__(self, spec: Spec, process: Tensor, window: int, linear: bool) -> None:
        super().__init__(ELBO())
        self.spec = spec
        self.register_buffer("whiten", process, persistent=False)  # worked out from the times
        d = spec.latent
        h = spec.hidden
        self.likelihood = StepsLikelihood(spec)
        raw_channels = self.likelihood.raw_channels
        channels = spec.as_steps[1]
        if linear:
            self.smooth: nn.Module = LinearSmoother(channels, d, window)
            self.write: nn.Module = nn.Linear(d, raw_channels)
        else:
            self.smooth = Smoother(channels, h, d, window)
            self.write = mlp(d, h, raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        # behind the last step there is no time, and nothing but padding
        steps = min(full.shape[1], self.whiten.shape[1])
        mask = None if mask is None else mask[:, :steps]
        loc, diagonal, beside = self.smooth(full[:, :steps])
        q = Banded(loc, diagonal, beside, mask)
        z = q.at(noise_of_steps(q.loc.expand(k, *q.loc.shape)))
        p = Processes(self.whiten[:, :steps, :steps], mask)
        latent = Latent(z, q.log_prob(z), q, p, stepwise=True)
        return Trace(x, self.likelihood(self.write(z)), (latent,))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        z = Processes(self.whiten).sample(torch.Size((1, n)))
        return self.likelihood(self.write(z.to(next(self.parameters()))))


def whitening(
    times: tuple[float, ...], kernel: Kernel, lengths: list[float], nugget: float
) -> Tensor:
    """(D, T, T): the inverse of the lower root of K + nugget 1 for each length, float64.

    Raises: Unsupported where the covariance is singular to rounding.
    """
    t = torch.tensor(times, dtype=torch.float64)
    gaps = (t[:, None] - t).abs() / torch.tensor(lengths, dtype=torch.float64)[:, None, None]
    identity = torch.eye(len(t), dtype=torch.float64)
    root, failed = torch.linalg.cholesky_ex(covariance(kernel, gaps) + nugget * identity)
    if failed.any():
        raise Unsupported(
            f"the kernel {kernel} of lengths {lengths} with the nugget {nugget:g} is singular at "
            f"{len(t)} such times; give it a larger nugget, such as 1e-3, or a shorter length"
        )
    return torch.linalg.solve_triangular(root, identity.expand_as(root), upper=False)


@tags("recurrent", "prior", "posterior", "missing", "times")
def gpvae(
    spec: Spec,
    kernel: Kernel = "cauchy",
    length: Positive = 1.0,
    scales: Count = 1,
    nugget: Nugget = 0.1,
    window: Count = 11,
    linear: bool = False,
) -> GPVAE:
    """Every dimension of the latent is a Gaussian process over time.

    −E_q(z|x) Σ_t log p(x_t|z_t) + Σ_d KL(N(m_d, (B_dᵀ B_d)⁻¹) ‖ GP(0, k))

    The prior is at the times of the spec, equally spaced or not: a step that nobody saw is
    integrated out. `kernel` is cauchy, rbf or ou (exp(−Δ), the Matérn of order 1/2), of `length` in
    units of time; with `scales`, dimensions take turns at length, length/2, length/4 … The
    posterior is a Markov chain in z, by a convolution of `window` steps over x. With `linear`,
    encoder and decoder are linear maps, and the band is the same for all x.

    Paper: Fortuin, Baranchuk, Rätsch, Mandt 2020, "GP-VAE: Deep Probabilistic Time Series
    Imputation", arXiv:1907.04155, §3 (model, Cauchy kernel, banded precision in eq. 7 and 8). The
    `nugget` is the white noise that its authors' code adds to the kernel, as are the scales; theirs
    is 1e-3, under which the rate of a posterior that does not know of the kernel starts in the
    thousands of nats, and training does not come down from it. β, which the paper tunes, is 1 here,
    so that the bound is one.
    """
    lengths = [length / 2 ** (d % scales) for d in range(spec.latent)]
    return GPVAE(spec, whitening(spec.clock, kernel, lengths, nugget), window, linear)


@hookimpl
def vaezoo_variants() -> Variants:
    return [gpvae]
