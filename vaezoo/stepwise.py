"""The base of models with a latent at every time step.

K draws, B rows, T steps, then channels. x is (B, *shape) as everywhere; a model of this kind sees
it as steps (B, T, C): a sequence as it is, an image as its rows in time. Each step has its own q, p
and likelihood; all that does not depend on z is computed for the whole sequence at once, before the
loop or after it, because the loop over T is the cost.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .core import Latent, Loss, Model, Spec, Trace
from .distributions import MaskedNormals, Observed, noise
from .likelihoods import head, numbers_of
from .losses import ELBO
from .networks import from_steps, step_mask, to_steps, without_gaps

__all__ = [
    "CarriedState",
    "Normals",
    "Parallel",
    "Path",
    "Seen",
    "StepsLikelihood",
    "Stepwise",
    "as_steps",
    "carried",
    "noise_of_steps",
    "normals",
    "same_for_every_state",
]


class Normals(NamedTuple):
    """Mean and standard deviation of independent Normals, (…, D) each."""

    loc: Tensor
    scale: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Σ over D: (…, D) -> (…)."""
        return torch.distributions.Normal(*self, validate_args=False).log_prob(z).sum(-1)


Path = tuple[Tensor, Tensor, Normals, Tensor]  # see `Stepwise.path`


def normals(raw: Tensor) -> Normals:
    """[μ, softplus⁻¹ σ] along the last axis -> μ and σ ≥ 0.001."""
    loc, raw_scale = raw.chunk(2, -1)
    return Normals(loc, F.softplus(raw_scale) + 1e-3)


def as_steps(x: Tensor, spec: Spec) -> tuple[Tensor, Tensor, Tensor | None]:
    """x (B, *shape) as steps (B, T, C), the same with 0 for gaps, and which steps are there (B, T),
    None where all are.
    """
    steps = to_steps(x, spec)
    return steps, without_gaps(steps, spec), step_mask(steps) if spec.has_gaps else None


def noise_of_steps(like: Tensor) -> Tensor:
    """N(0, I) of the shape (K, B, T, D), drawn step by step, so that longer padding changes no draw
    of an earlier step.
    """
    k, rows, steps, width = like.shape
    return torch.stack([noise(k, rows, width, like=like) for _ in range(steps)], 2)


class StepsLikelihood(nn.Module):
    """The head that the spec names, for raw numbers that come step by step."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.head = head(spec)
        self.numbers = numbers_of(spec)
        channels = spec.as_steps[1]
        self.raw_channels = channels * self.numbers  # raw numbers that one x_t asks for

    def forward(self, raw: Tensor) -> Observed:
        """p(x) over the event spec.shape, or over as many steps as there are, from raw (K, B, T,
        raw_channels).
        """
        return self.head(from_steps(self._entries(raw), self.spec))

    def of_step(self, raw: Tensor) -> Observed:
        """p(x_t) over an event (C,), from raw (…, raw_channels)."""
        return self.head(self._entries(raw), event_dims=1)

    def _entries(self, raw: Tensor) -> Tensor:
        return raw if self.numbers == 1 else raw.unflatten(-1, (-1, self.numbers))


class CarriedState:
    """The state with which a long sequence, read piece by piece, goes on; no gradient goes back
    through it.
    """

    state: Tensor | None = None  # (K, B, S), None at the first piece
    after: Tensor | None = None  # what the last passage through the piece ended with


_carry: ContextVar[CarriedState | None] = ContextVar("carry", default=None)


@contextmanager
def carried(carry: CarriedState) -> Iterator[None]:
    """Inside the block models with steps go on from `carry`; behind it, `carry` is where they
    ended.
    """
    token = _carry.set(carry)
    try:
        yield
    finally:
        _carry.reset(token)
    carry.state = carry.after


class Seen(NamedTuple):
    """x as the steps of a model see it."""

    x: Tensor  # (B, T, C), NaN where nothing was seen
    mask: Tensor | None  # (B, T): which steps are there; None where all are
    features: Tensor  # (B, T, F): what q of each step sees
    inputs: Tensor  # (B, T, I): what the state sees of each x_t


class Stepwise(Model):
    """Π_t p(z_t|s_t) p(x_t|z_t, s_t) with q = Π_t q(z_t|s_t, x), where the state s_t (K, B, S) sums
    up the past.

    The T latents make one latent of event (T, D), whose q and p are read along the drawn path: log
    p(z) and log q(z) are exact, and Σ_t KL(q_t ‖ p_t) estimates the KL without bias. Steps at
    padding never count.

    The five methods work on one step (K, B, ·) and on all steps at once (K, B, T, ·): they act on
    the last axis alone.
    """

    def __init__(self, spec: Spec, state: int, loss: Loss | None = None) -> None:
        loss = loss or ELBO()
        super().__init__(loss)
        self.spec = spec
        self.state_size = state
        self.steps, self.channels = spec.as_steps
        self.likelihood = StepsLikelihood(spec)
        self.raw_channels = self.likelihood.raw_channels
        loss.check(self)

    @abstractmethod
    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, F): what q of each step sees of x (B, T, C), in which gaps are 0, and of what
        `inputs` made of it.
        """

    @abstractmethod
    def p(self, state: Tensor) -> Normals:
        """p(z_t|s_t)."""

    @abstractmethod
    def q(self, state: Tensor, feature: Tensor) -> Normals:
        """q(z_t|s_t, x)."""

    @abstractmethod
    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        """The raw numbers (…, raw_channels) of p(x_t|z_t, s_t)."""

    @abstractmethod
    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        """s_t+1 from s_t, what `inputs` gave for x_t, and z_t."""

    def inputs(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """(B, T, I): what the state sees of each step of x (B, T, C); from the start, or after
        `state` (1, B, S).
        """
        return x

    def start(self, k: int, rows: int, like: Tensor) -> Tensor:
        """s_1, (K, B, S)."""
        return like.new_zeros(k, rows, self.state_size)

    def begin(self, k: int, rows: int, like: Tensor) -> Tensor:
        """The state before the first step at hand, (K, B, S): `start`, or inside `carried` the end
        of the piece before.
        """
        carry = _carry.get()
        if carry is None or carry.state is None:
            return self.start(k, rows, like)
        return carry.state[torch.arange(k, device=like.device) % len(carry.state)]

    def end(self, state: Tensor) -> None:
        """Called with the state (K, B, S) behind the last step at hand."""
        carry = _carry.get()
        if carry is not None:
            carry.after = state.detach()

    def sight(self, x: Tensor) -> Seen:
        """x (B, *shape) as the steps see it."""
        steps, full, mask = as_steps(x, self.spec)
        carry = _carry.get()
        state = None if carry is None or carry.state is None else carry.state[:1]
        inputs = self.inputs(full, state)
        return Seen(steps, mask, self.features(full, inputs, mask), inputs)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        seen = self.sight(x)
        states, z, q, raw = self.path(seen, k)
        steps_q = MaskedNormals(*q, seen.mask)
        steps_p = MaskedNormals(*self.p(states), seen.mask)
        return Trace(
            x,
            self.likelihood(raw),
            (Latent(z, steps_q.log_prob(z), steps_q, steps_p, stepwise=True),),
        )

    def path(self, seen: Seen, k: int) -> Path:
        """The states, draws, moments of q and what `emit` gives, along k drawn paths, (K, B, T, ·)
        each.
        """
        state = self.begin(k, len(seen.x), seen.features)
        trail = []
        for feature, inputs in zip(seen.features.unbind(1), seen.inputs.unbind(1), strict=True):
            q = self.q(state, feature)
            # step by step, so that longer padding changes no draw
            z = q.loc + q.scale * noise(*q.loc.shape, like=q.loc)
            trail.append((state, z, *q))
            state = self.advance(state, inputs, z)
        self.end(state)
        states, z, loc, scale = (torch.stack(each, 2) for each in zip(*trail, strict=True))
        return states, z, Normals(loc, scale), self.emit(states, z)

    def step(self, seen: Seen, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step of a particle filter with q as its proposal: log α_t (K, B) and s_t+1 (K, B, S).

        α_t = p(z_t|s_t) p(x_t|z_t, s_t) / q(z_t|s_t, x) at a draw z_t of q, and 1 at padding.
        """
        q = self.q(state, seen.features[:, t])
        z = q.loc + q.scale * noise(*q.loc.shape, like=q.loc)
        log_px = self.emission(state, z).log_prob(seen.x[:, t])
        log_alpha = self.p(state).log_prob(z) + log_px - q.log_prob(z)
        if seen.mask is not None:
            log_alpha = torch.where(seen.mask[:, t], log_alpha, 0.0)
        return log_alpha, self.advance(state, seen.inputs[:, t], z)

    def emission(self, state: Tensor, z: Tensor) -> Observed:
        """p(x_t|z_t, s_t) of one step, over an event (C,)."""
        return self.likelihood.of_step(self.emit(state, z))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        """n joint draws of x, (n, *shape): every x_t that is returned went back into the state.

        With `mean`, the mean of every p(x_t|z_t, s_t) along such a draw.
        """
        state = self.start(1, n, next(self.parameters()))
        xs = []
        for _ in range(self.steps):
            p = self.p(state)
            z = p.loc + p.scale * torch.randn_like(p.loc)
            px = self.emission(state, z)
            x = px.sample()[0]
            xs.append(px.mean[0] if mean else x)
            state = self.advance(state, self.inputs(x[:, None], state)[:, 0], z)
        return from_steps(torch.stack(xs, 1)[None], self.spec)[0]


class Parallel(Stepwise):
    """A model whose q(z_t|x) knows nothing of the states: all z are drawn at once, and no loop over
    the steps is needed.
    """

    @abstractmethod
    def states(self, first: Tensor, seen: Seen, z: Tensor) -> Tensor:
        """s_1 … s_T+1 along a drawn path z (K, B, T, D), from s_1 (K, B, S): (K, B, T + 1, S)."""

    def emit_along(self, states: Tensor, z: Tensor) -> Tensor:
        """What `emit` gives at all steps, from what `states` gave; for a model whose emission is
        part of the next state.
        """
        return self.emit(states[:, :, :-1], z)

    def path(self, seen: Seen, k: int) -> Path:
        q = self.q(seen.features.new_zeros(k, *seen.features.shape[:2], 0), seen.features)
        z = q.loc + q.scale * noise_of_steps(q.loc)
        states = self.states(self.begin(k, len(seen.x), seen.features), seen, z)
        self.end(states[:, :, -1])
        return states[:, :, :-1], z, q, self.emit_along(states, z)


def same_for_every_state(each: Normals, state: Tensor) -> Normals:
    """The same Normals (…, D) whatever the state (K, …, S): (K, …, D)."""
    return Normals(*(m.expand(*state.shape[:-1], -1) for m in each))
