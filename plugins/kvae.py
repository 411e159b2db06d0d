"""KVAE: linear-Gaussian dynamics over the codes of the steps, filtered and smoothed exactly."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import MaskedNormals
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import mlp
from vaezoo.recurrent import previous_steps
from vaezoo.stepwise import Normals, StepsLikelihood, as_steps, noise_of_steps, normals


class Belief(NamedTuple):
    """N(mean, covariance) of z_t for N rows; a covariance that all share is (1, D, D)."""

    mean: Tensor  # (N, D)
    covariance: Tensor  # (N, D, D)


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
        near_identity = 0.95 * torch.eye(size) + 0.05 * torch.randn(components, size, size)
        self.transitions = nn.Parameter(near_identity)
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
        alpha = self.weigh(h).softmax(-1)  # (N, T, M)
        # (N, T, M), (M, D, D) -> (N, T, D, D)
        forward = torch.einsum("ntm,mij->ntij", alpha, self.transitions)
        emit = torch.einsum("ntm,mij->ntij", alpha, self.emissions)
        return forward, emit, state

    def filter(self, a: Tensor) -> Filtered:
        """The exact filter over a (N, T, D).

        In float64: over a hundred steps float32 loses a covariance's positivity.
        """
        first, noise_z, noise_a = (torch.diag(v)[None].double() for v in self.variances)
        forward, emit = (each.double() for each in self.matrices(previous_steps(a))[:2])
        mean = self.first.double().expand(len(a), -1)
        predicted = Belief(mean, first.expand(len(emit), -1, -1))
        known = predicted
        steps = list[tuple[Tensor, ...]]()
        for t, a_t in enumerate(a.double().unbind(1)):
            if t:
                predicted = _predicted(known, _of_step(forward, t), noise_z)
            known, log_p = _updated(predicted, a_t, _of_step(emit, t), noise_a)
            steps.append((*known, *predicted, log_p))
        # T tuples of five (N, …) -> five (N, T, …), in single precision again
        return Filtered(*(torch.stack(each, 1).to(a) for each in zip(*steps, strict=True)))

    def smooth(self, a: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean (N, T, D) and covariance (N, T, D, D) of every z_t given all of a.

        Rauch, Tung & Striebel 1965. Steps outside `mask` (N, T) teach nothing.
        """
        known = self.filter(a)
        forward = self.matrices(previous_steps(a))[0]
        everywhere = torch.ones_like(a[:, 0, 0])
        covariance = known.covariance[:, -1].expand(len(a), -1, -1)
        later = Belief(known.mean[:, -1], covariance)
        backwards = [later]
        for t in reversed(range(a.shape[1] - 1)):
            there = everywhere if mask is None else mask[:, t + 1].to(a)
            later = _smoothed(known, t, later, _of_step(forward, t + 1), there)
            backwards.append(later)
        means, covariances = zip(*reversed(backwards), strict=True)
        return torch.stack(means, 1), torch.stack(covariances, 1)

    def draw(self, n: int, steps: int, like: Tensor) -> Tensor:
        """a (n, T, D) from the model itself."""
        p, q, r = (v.sqrt() for v in self.variances)
        state = None
        past = like.new_zeros(n, 1, self.size)
        path = []
        z = self.first + p * torch.randn(n, self.size, dtype=like.dtype, device=like.device)
        for t in range(steps):
            # the recurrence reads a_t-1 and gives the matrices of step t, (n, 1, D, D)
            forward, emit, state = self.matrices(past, state)
            if t:
                z = _apply(forward[:, 0], z) + q * torch.randn_like(z)
            a = _apply(emit[:, 0], z) + r * torch.randn_like(z)
            path.append(a)
            past = a[:, None]
        return torch.stack(path, 1)


def _of_step(matrices: Tensor, t: int) -> Tensor:
    """(N, T, D, D), or (1, 1, D, D) for all steps -> (N or 1, D, D), those of step t."""
    return matrices[:, t % matrices.shape[1]]


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """(N or 1, D, D) and (N, D) -> (N, D)."""
    return (matrix @ vector[..., None])[..., 0]


def _predicted(known: Belief, forward: Tensor, noise_z: Tensor) -> Belief:
    """z_t given a_<t, from z_t-1 given a_<t."""
    mean = _apply(forward, known.mean)
    return Belief(mean, forward @ known.covariance @ forward.mT + noise_z)


def _updated(predicted: Belief, a: Tensor, emit: Tensor, noise_a: Tensor) -> tuple[Belief, Tensor]:
    """z_t once a_t (N, D) is seen, and log p(a_t|a_<t) (N,)."""
    mean, spread = predicted
    # S = C Σ Cᵀ + R = L Lᵀ; where there is no factor cholesky_ex gives NaN, and cholesky raises
    root = torch.linalg.cholesky_ex(emit @ spread @ emit.mT + noise_a)[0]
    gain = torch.linalg.solve_triangular(root, emit @ spread, upper=False)  # L⁻¹ C Σ
    error = (a - _apply(emit, mean))[..., None]  # (N, D, 1)
    surprise = torch.linalg.solve_triangular(root, error, upper=False)[..., 0]  # (N, D)

    # log N(a_t; C m, S)
    log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_p = -0.5 * (surprise.square() + math.log(2 * math.pi)).sum(-1) - log_det

    # Joseph's form of the covariance, which is positive however K is rounded
    full = torch.linalg.solve_triangular(root.mT, gain, upper=True).mT  # K = Σ Cᵀ S⁻¹
    rest = torch.eye(mean.shape[-1]).to(a) - full @ emit
    covariance = rest @ spread @ rest.mT + full @ noise_a @ full.mT
    return Belief(mean + _apply(gain.mT, surprise), covariance), log_p


def _smoothed(known: Filtered, t: int, later: Belief, forward: Tensor, there: Tensor) -> Belief:
    """z_t given all of a, from z_t+1 given all of a.

    `there` (N,) is 0 where step t + 1 is padding, which teaches nothing.
    """
    filtered = known.covariance[:, t]
    gain = torch.linalg.solve(known.spread[:, t + 1], forward @ filtered).mT
    surprise = later.mean - known.predicted[:, t + 1]
    mean = known.mean[:, t] + there[:, None] * _apply(gain, surprise)
    change = gain @ (later.covariance - known.spread[:, t + 1]) @ gain.mT
    return Belief(mean, filtered + there[:, None, None] * change)


class Chain(Distribution):
    """p(a_1:T) of a state space, by its filter, over an event (T, D).

    Steps outside `mask` (B, T) do not count.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, space: StateSpace, shape: torch.Size, mask: Tensor | None) -> None:
        super().__init__(shape[:-2], shape[-2:], validate_args=False)
        self.space = space
        self.mask = mask

    def log_prob(self, value: Tensor) -> Tensor:
        rows = value.flatten(0, -3)  # (*, T, D) -> (N, T, D)
        log_p = self.space.filter(rows).log_p.unflatten(0, value.shape[:-2])  # (*, T)
        if self.mask is not None:
            log_p = torch.where(self.mask, log_p, 0.0)
        return log_p.sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        paths = self.space.draw(shape[:-2].numel(), shape[-2], self.space.first)
        return paths.reshape(shape)  # (N, T, D) -> (*, T, D)


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
        self.steps, channels = spec.as_steps
        self.spec = spec
        self.likelihood = StepsLikelihood(spec)
        raw_channels = self.likelihood.raw_channels
        self.space = StateSpace(d, h, components)
        self.encode: nn.Module = Spread(channels, d) if linear else mlp(channels, h, 2 * d)
        self.write: nn.Module = nn.Linear(d, raw_channels) if linear else mlp(d, h, raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        each = normals(self.encode(full))
        q = Normals(*(m.expand(k, *m.shape) for m in each))  # (B, T, D) -> (K, B, T, D)
        a = q.loc + q.scale * noise_of_steps(q.loc)
        steps_q = MaskedNormals(*q, mask)
        p = Chain(self.space, a.shape, mask)
        latent = Latent(a, steps_q.log_prob(a), steps_q, p, stepwise=True)
        return Trace(x, self.likelihood(self.write(a)), (latent,))

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, T, D) and covariance (B, T, D, D) of z given all of x.

        The codes a are at the centre of q(a|x).
        """
        _, full, mask = as_steps(x, self.spec)
        return self.space.smooth(normals(self.encode(full)).loc, mask)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        a = self.space.draw(n, self.steps, next(self.parameters()))
        return self.likelihood(self.write(a[None]))


@tags("recurrent")
def kvae(spec: Spec, components: Count = 3, linear: bool = False) -> KVAE:
    """Linear-Gaussian dynamics over the codes of the steps, filtered and smoothed exactly.

    −E_q(a|x) [Σ_t log p(x_t|a_t) + log p(a) − log q(a|x)]

    A recurrence over the codes before it mixes `components` matrices at every step. With `linear`,
    encoder and decoder are linear maps.

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
