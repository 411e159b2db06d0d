"""KVAE: linear-Gaussian dynamics over the codes of the steps, filtered and smoothed exactly."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import MaskedNormals
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.kalman import Filtered, System, applied, filtered, log_density, smoothed
from vaezoo.losses import ELBO
from vaezoo.networks import mlp
from vaezoo.recurrent import previous_steps
from vaezoo.stepwise import Normals, StepsLikelihood, as_steps, noise_of_steps, normals


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
        alpha, state = self._weights(past, state)
        return *self._mixed(alpha), state

    def _weights(self, past: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """α_t (N, T, M), or (1, 1, 1) for one component, and the recurrence's state."""
        if self.memory is None or self.weigh is None:
            return past.new_ones(1, 1, 1), None
        h, state = self.memory(past, state)
        return self.weigh(h).softmax(-1), state

    def _mixed(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Σ_m α^m A^m and Σ_m α^m C^m, (…, D, D) in the precision of α (…, M)."""
        square = (self.size, self.size)
        forward = alpha @ self.transitions.to(alpha).flatten(1)  # (…, D D)
        emit = alpha @ self.emissions.to(alpha).flatten(1)
        return forward.unflatten(-1, square), emit.unflatten(-1, square)

    def system(self, a: Tensor) -> System:
        """What the codes a (N, T, D) meet; A_t and C_t depend on those before a_t."""
        alpha, _ = self._weights(previous_steps(a), None)
        noise = (self.first, *self.variances)
        return System(*self._mixed(alpha.double().transpose(0, 1)), *(v.double() for v in noise))

    def log_prob(self, a: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(a) of each row of a (N, T, D), (N,); steps outside `mask` (N, T) do not count."""
        there = None if mask is None else mask.T
        return log_density(self.system(a), a.double().transpose(0, 1), there).to(a)

    @torch.no_grad()
    def filter(self, a: Tensor) -> Filtered:
        """The exact filter over a (N, T, D), in float64."""
        return filtered(self.system(a), a.double().transpose(0, 1))

    @torch.no_grad()
    def smooth(self, a: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean (N, T, D) and covariance (N, T, D, D) of every z_t given all of a.

        Steps outside `mask` (N, T) teach nothing.
        """
        system = self.system(a)
        known = filtered(system, a.double().transpose(0, 1))
        mean, covariance, _ = smoothed(system, known, None if mask is None else mask.T)
        covariance = covariance.expand(-1, len(a), -1, -1)
        return mean.transpose(0, 1).to(a), covariance.transpose(0, 1).to(a)

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
                z = applied(forward[:, 0], z) + q * torch.randn_like(z)
            a = applied(emit[:, 0], z) + r * torch.randn_like(z)
            path.append(a)
            past = a[:, None]
        return torch.stack(path, 1)


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
        lead, steps = value.shape[:-2], value.shape[-2]
        rows = value.flatten(0, -3)  # (*, T, D) -> (N, T, D)
        each = None if self.mask is None else self.mask.expand(*lead, steps).flatten(0, -2)
        return self.space.log_prob(rows, each).unflatten(0, lead)

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
