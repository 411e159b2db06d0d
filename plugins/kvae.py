"""KVAE: linear-Gaussian dynamics over the codes of the steps, with exact filtering and smoothing."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import Steps
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import mlp
from vaezoo.recurrent import before
from vaezoo.stepwise import Moments, StepsLikelihood, as_steps, moments, noise_of_steps


class Filtered(NamedTuple):
    """What a Kalman filter knows of the states of N rows.

    Covariances are (1, …) where all rows share them.
    """

    mean: Tensor  # (N, T, D), of z_t given a_≤t
    covariance: Tensor  # (N, T, D, D)
    predicted: Tensor  # (N, T, D), of z_t given a_<t
    spread: Tensor  # (N, T, D, D)
    log_p: Tensor  # (N, T): log p(a_t|a_<t)


class StateSpace(nn.Module):
    """z_1 ~ N(m, P), z_t = A_t z_t-1 + N(0, Q), a_t = C_t z_t + N(0, R).

    A_t = Σ_m α_t^m A^m and C_t = Σ_m α_t^m C^m.

    α_t is a softmax over what a recurrence makes of a_<t (Fraccaro et al. 2017, arXiv:1710.05741,
    §3.3). Q, R and P are diagonal. Given a, all of this is linear and Gaussian, so that the filter
    is exact.
    """

    def __init__(self, size: int, hidden: int, components: int) -> None:
        super().__init__()
        self.size = size
        self.transitions = nn.Parameter(
            0.95 * torch.eye(size) + 0.05 * torch.randn(components, size, size)
        )
        self.emissions = nn.Parameter(torch.randn(components, size, size) / math.sqrt(size))
        self.raw_scales = nn.Parameter(torch.zeros(3, size))
        self.first = nn.Parameter(torch.zeros(size))
        self.memory = nn.GRU(size, hidden, batch_first=True) if components > 1 else None
        self.weigh = nn.Linear(hidden, components) if components > 1 else None

    @property
    def variances(self) -> tuple[Tensor, Tensor, Tensor]:
        """The diagonals of P, Q and R. No deviation is below 0.01, for the filter's sake."""
        p, q, r = (F.softplus(self.raw_scales) + 0.01).square()
        return p, q, r

    def matrices(
        self, past: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """A_t and C_t of each step, and the recurrence's state, from a_t-1 (N, T, D).

        They are (N, T, D, D), or (1, 1, D, D) where all steps share them.
        """
        if self.memory is None or self.weigh is None:
            return self.transitions[None], self.emissions[None], None
        h, state = self.memory(past, state)
        alpha = self.weigh(h).softmax(-1)
        forward, emit = (
            torch.einsum("ntm,mij->ntij", alpha, each)
            for each in (self.transitions, self.emissions)
        )
        return forward, emit, state

    def filter(self, a: Tensor) -> Filtered:
        """The exact filter over a (N, T, D).

        In float64: over a hundred steps float32 loses a covariance's positivity.
        """
        first, noise_z, noise_a = (torch.diag(v)[None].double() for v in self.variances)
        steps = list[tuple[Tensor, ...]]()
        forward, emit = (each.double() for each in self.matrices(before(a))[:2])
        mean = self.first.double().expand(len(a), -1)
        spread = first.expand(len(emit), -1, -1)
        for t, a_t in enumerate(a.double().unbind(1)):
            f = forward[:, t % forward.shape[1]]
            e = emit[:, t % emit.shape[1]]
            if t:
                mean = _apply(f, steps[-1][0])
                spread = f @ steps[-1][1] @ f.mT + noise_z
            steps.append((*_update(a_t, e, noise_a, mean, spread), mean, spread))
        mean, covariance, log_p, predicted, spread = (
            torch.stack(each, 1).to(a) for each in zip(*steps, strict=True)
        )
        return Filtered(mean, covariance, predicted, spread, log_p)

    def smooth(self, a: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean (N, T, D) and covariance (N, T, D, D) of every z_t given all of a.

        Rauch, Tung & Striebel 1965. Steps outside `mask` (N, T) teach nothing.
        """
        known = self.filter(a)
        forward = self.matrices(before(a))[0]
        mean, covariance = known.mean[:, -1], known.covariance[:, -1]
        smoothed = [(mean, covariance.expand(len(a), -1, -1))]
        for t in range(a.shape[1] - 2, -1, -1):
            f = forward[:, (t + 1) % forward.shape[1]]
            filtered = known.covariance[:, t]
            gain = torch.linalg.solve(known.spread[:, t + 1], f @ filtered).mT
            there = (
                torch.ones_like(a[:, 0, 0]) if mask is None else mask[:, t + 1].to(a)
            )  # padding teaches nothing
            mean = known.mean[:, t] + there[:, None] * _apply(
                gain, smoothed[-1][0] - known.predicted[:, t + 1]
            )
            change = gain @ (smoothed[-1][1] - known.spread[:, t + 1]) @ gain.mT
            smoothed.append((mean, filtered + there[:, None, None] * change))
        return torch.stack([m for m, _ in smoothed[::-1]], 1), torch.stack(
            [c for _, c in smoothed[::-1]], 1
        )

    def draw(self, n: int, steps: int, like: Tensor) -> Tensor:
        """a (n, T, D) from the model itself."""
        (p, q, r) = (v.sqrt() for v in self.variances)
        state = None
        a = like.new_zeros(n, 1, self.size)
        path = []
        z = self.first + p * torch.randn(n, self.size, dtype=like.dtype, device=like.device)
        for t in range(steps):
            forward, emit, state = self.matrices(a, state)
            z = _apply(forward[:, 0], z) + q * torch.randn_like(z) if t else z
            a = (_apply(emit[:, 0], z) + r * torch.randn_like(z))[:, None]
            path.append(a)
        return torch.cat(path, 1)


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """(N or 1, D, D) and (N, D) -> (N, D)."""
    return (matrix @ vector[..., None])[..., 0]


def _update(
    a: Tensor, emit: Tensor, noise_a: Tensor, mean: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and covariance of z_t once a_t is seen, and log p(a_t|a_<t)."""
    root = torch.linalg.cholesky_ex(emit @ spread @ emit.mT + noise_a)[
        0
    ]  # of no factor it gives NaN, where cholesky raises
    gain = torch.linalg.solve_triangular(root, emit @ spread, upper=False)
    surprise = torch.linalg.solve_triangular(
        root, (a - _apply(emit, mean))[..., None], upper=False
    )[..., 0]
    log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_p = -0.5 * (surprise.square() + math.log(2 * math.pi)).sum(-1) - log_det
    full = torch.linalg.solve_triangular(root.mT, gain, upper=True).mT  # K = Σ Cᵀ S⁻¹
    rest = torch.eye(mean.shape[-1]).to(a) - full @ emit
    covariance = (
        rest @ spread @ rest.mT + full @ noise_a @ full.mT
    )  # positive however K is rounded (Joseph's form)
    return mean + _apply(gain.mT, surprise), covariance, log_p


class Chain(Distribution):
    """p(a_1:T) of a state space, by its filter, over an event (T, D).

    Steps outside `mask` (B, T) do not count.
    """

    arg_constraints: dict = {}

    def __init__(self, space: StateSpace, shape: torch.Size, mask: Tensor | None) -> None:
        super().__init__(shape[:-2], shape[-2:], validate_args=False)
        self.space = space
        self.mask = mask

    def log_prob(self, value: Tensor) -> Tensor:
        log_p = self.space.filter(value.flatten(0, -3)).log_p.unflatten(0, value.shape[:-2])
        return (log_p if self.mask is None else torch.where(self.mask, log_p, 0.0)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.space.draw(shape[:-2].numel(), shape[-2], self.space.first).reshape(shape)


class Spread(nn.Module):
    """N(W x + b, σ²) with one σ for all x."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, size)
        self.raw_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        loc = self.linear(x)
        return torch.cat([loc, self.raw_scale.expand_as(loc)], -1)


class KVAE(Model):
    """−E_q(a|x) [Σ_t log p(x_t|a_t) + log p(a) − log q(a|x)], with log p(a) from the filter.

    Its states z are integrated out exactly, which is what E_p(z|a) log p(a, z)/p(z|a) in the
    paper's bound amounts to.
    """

    def __init__(self, spec: Spec, components: int, linear: bool) -> None:
        super().__init__(ELBO())
        d = spec.latent
        h = spec.hidden
        (self.steps, channels) = spec.as_steps
        self.spec = spec
        self.likelihood = StepsLikelihood(spec)
        self.space = StateSpace(d, h, components)
        self.encode: nn.Module = Spread(channels, d) if linear else mlp(channels, h, 2 * d)
        self.write: nn.Module = (
            nn.Linear(d, self.likelihood.raw_channels)
            if linear
            else mlp(d, h, self.likelihood.raw_channels)
        )

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        each = moments(self.encode(full))
        q = Moments(*(m.expand(k, *m.shape) for m in each))
        a = q.loc + q.scale * noise_of_steps(q.loc)
        steps_q = Steps(*q, mask)
        latent = Latent(
            a, steps_q.log_prob(a), steps_q, Chain(self.space, a.shape, mask), stepwise=True
        )
        return Trace(x, self.likelihood(self.write(a)), (latent,))

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, T, D) and covariance (B, T, D, D) of z given all of x.

        The codes a are at the centre of q(a|x).
        """
        _, full, mask = as_steps(x, self.spec)
        return self.space.smooth(moments(self.encode(full)).loc, mask)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        a = self.space.draw(n, self.steps, next(self.parameters()))
        return self.likelihood(self.write(a[None]))


@tags("recurrent")
def kvae(spec: Spec, components: Count = 3, linear: bool = False) -> KVAE:
    """Linear-Gaussian dynamics over the codes of the steps, filtered and smoothed exactly.

    −E_q(a|x) [Σ_t log p(x_t|a_t) + log p(a) − log q(a|x)]; `components` matrices are mixed at every
    step by a recurrence over the codes before it; `linear` makes encoder and decoder linear maps

    Paper: Fraccaro, Kamronn, Paquet, Winther 2017, "A Disentangled Recognition and Nonlinear
    Dynamics Model for Unsupervised Learning", arXiv:1710.05741, §3.1, §3.2 (model, bound), §3.3
    (mixed dynamics). Codes and states have one size, a GRU stands in place of the LSTM, the noise
    is learned, and everything is trained from the start where the paper holds back the dynamics'
    parameters.
    """
    return KVAE(spec, components, linear)


@hookimpl
def vaezoo_variants() -> Variants:
    return [kvae]
