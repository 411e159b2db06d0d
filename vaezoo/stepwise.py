"""The base of models with a latent at every time step.

K draws, B rows, T steps, then channels. x is (B, *shape) as everywhere; a model of this kind sees it as steps (B, T, C):
a sequence as it is, an image as its rows in time. Each step has its own q, p and likelihood; all that does not depend on
z is computed for the whole sequence at once, before the loop or after it, because the loop over T is the cost.
"""

import math
from abc import abstractmethod
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from .core import Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from .distributions import Observed, Steps, noise
from .likelihoods import HEADS, head
from .losses import ELBO, require_density
from .networks import from_steps, reverse_steps, step_mask, to_steps, without_gaps

Particles = Annotated[int, Field(ge=0)]  # 0: trained by the ELBO


class Moments(NamedTuple):
    """Mean and standard deviation of independent Normals, (…, D) each."""

    loc: Tensor
    scale: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Σ over D: (…, D) -> (…)."""
        return torch.distributions.Normal(*self, validate_args=False).log_prob(z).sum(-1)


def moments(raw: Tensor) -> Moments:
    """[μ, softplus⁻¹ σ] along the last axis -> μ and σ ≥ 0.001."""
    loc, raw_scale = raw.chunk(2, -1)
    return Moments(loc, F.softplus(raw_scale) + 1e-3)


def as_steps(x: Tensor, spec: Spec) -> tuple[Tensor, Tensor, Tensor | None]:
    """x (B, *shape) as steps (B, T, C), the same with 0 for gaps, and which steps are there (B, T), None where all are."""
    steps = to_steps(x, spec)
    return steps, without_gaps(steps, spec), step_mask(steps) if spec.has_gaps else None


def noise_of_steps(like: Tensor) -> Tensor:
    """N(0, I) of the shape (K, B, T, D), drawn step by step, so that longer padding changes no draw of an earlier step."""
    k, rows, steps, width = like.shape
    return torch.stack([noise(k, rows, width, like=like) for _ in range(steps)], 2)


def from_the_end(rnn: nn.GRU, x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, T, H): the state at each step of an RNN that starts at each row's last step and runs back."""
    if mask is None:
        return rnn(x.flip(1))[0].flip(1)
    return reverse_steps(rnn(reverse_steps(x, mask))[0], mask)


def before(x: Tensor) -> Tensor:
    """(…, T, F) -> (…, T, F): what each step has before it, zeros at the first."""
    return F.pad(x, (0, 0, 1, 0))[..., :-1, :]


class StepsLikelihood(nn.Module):
    """The head that the spec names, for raw numbers that come step by step."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.head = spec, head(spec)
        self.numbers, channels = HEADS[spec.likelihood].numbers(spec), spec.as_steps[1]
        self.raw_channels = channels * self.numbers  # raw numbers that one x_t asks for

    def forward(self, raw: Tensor) -> Observed:
        """p(x) over the event spec.shape, or over as many steps as there are, from raw (K, B, T, raw_channels)."""
        return self.head(from_steps(self._entries(raw), self.spec))

    def of_step(self, raw: Tensor) -> Observed:
        """p(x_t) over an event (C,), from raw (…, raw_channels)."""
        return self.head(self._entries(raw), event_dims=1)

    def _entries(self, raw: Tensor) -> Tensor:
        return raw if self.numbers == 1 else raw.unflatten(-1, (-1, self.numbers))


class Sight(NamedTuple):
    """x as the steps of a model see it."""

    x: Tensor  # (B, T, C), NaN where nothing was seen
    mask: Tensor | None  # (B, T): which steps are there; None where all are
    features: Tensor  # (B, T, F): what q of each step sees
    inputs: Tensor  # (B, T, I): what the state sees of each x_t


class Stepwise(Model):
    """Π_t p(z_t|s_t) p(x_t|z_t, s_t) with q = Π_t q(z_t|s_t, x), where the state s_t (K, B, S) sums up the past.

    The T latents make one latent of event (T, D), whose q and p are read along the drawn path: log p(z) and log q(z) are
    exact, and Σ_t KL(q_t ‖ p_t) estimates the KL without bias. Steps at padding never count.

    The five methods work on one step (K, B, ·) and on all steps at once (K, B, T, ·): they act on the last axis alone.
    """

    def __init__(self, spec: Spec, state: int, loss: Loss | None = None) -> None:
        loss = loss or ELBO()
        super().__init__(loss)
        self.spec, self.state_size = spec, state
        self.steps, self.channels = spec.as_steps
        self.likelihood = StepsLikelihood(spec)
        self.raw_channels = self.likelihood.raw_channels
        loss.check(self)

    @abstractmethod
    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, F): what q of each step sees of x (B, T, C), in which gaps are 0, and of what `inputs` made of it."""

    @abstractmethod
    def p(self, state: Tensor) -> Moments:
        """p(z_t|s_t)."""

    @abstractmethod
    def q(self, state: Tensor, feature: Tensor) -> Moments:
        """q(z_t|s_t, x)."""

    @abstractmethod
    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        """The raw numbers (…, raw_channels) of p(x_t|z_t, s_t)."""

    @abstractmethod
    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        """s_t+1 from s_t, what `inputs` gave for x_t, and z_t."""

    def inputs(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """(B, T, I): what the state sees of each step of x (B, T, C); from the start, or for one step after `state`."""
        return x

    def start(self, k: int, rows: int, like: Tensor) -> Tensor:
        """s_1, (K, B, S)."""
        return like.new_zeros(k, rows, self.state_size)

    def sight(self, x: Tensor) -> Sight:
        """x (B, *shape) as the steps see it."""
        steps, full, mask = as_steps(x, self.spec)
        inputs = self.inputs(full)
        return Sight(steps, mask, self.features(full, inputs, mask), inputs)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        seen = self.sight(x)
        states, z, q = self.path(seen, k)
        steps_q, steps_p = Steps(*q, seen.mask), Steps(*self.p(states), seen.mask)
        return Trace(
            x, self.likelihood(self.emit(states, z)), (Latent(z, steps_q.log_prob(z), steps_q, steps_p, stepwise=True),)
        )

    def path(self, seen: Sight, k: int) -> tuple[Tensor, Tensor, Moments]:
        """The states, draws and moments of q along k drawn paths, (K, B, T, ·) each."""
        state, trail = self.start(k, len(seen.x), seen.features), []
        for feature, inputs in zip(seen.features.unbind(1), seen.inputs.unbind(1), strict=True):
            q = self.q(state, feature)
            z = q.loc + q.scale * noise(*q.loc.shape, like=q.loc)  # step by step, so that longer padding changes no draw
            trail.append((state, z, *q))
            state = self.advance(state, inputs, z)
        states, z, loc, scale = (torch.stack(each, 2) for each in zip(*trail, strict=True))
        return states, z, Moments(loc, scale)

    def step(self, seen: Sight, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
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
        state, xs = self.start(1, n, next(self.parameters())), []
        for _ in range(self.steps):
            p = self.p(state)
            z = p.loc + p.scale * torch.randn_like(p.loc)
            px = self.emission(state, z)
            x = px.sample()[0]
            xs.append(px.mean[0] if mean else x)
            state = self.advance(state, self.inputs(x[:, None], state)[:, 0], z)
        return from_steps(torch.stack(xs, 1)[None], self.spec)[0]


class Gates(nn.Module):
    """A GRU step whose input comes in two parts, so that the one known beforehand is computed for all steps at once.

    r, u = σ(W_x x + W_z z + U s),  n = tanh(W_x x + W_z z + r (U s)),  s' = (1 - u) n + u s   (Cho et al. 2014, 1406.1078)
    """

    def __init__(self, seen: int, drawn: int, state: int) -> None:
        super().__init__()
        # One recurrent layer initialises all three as PyTorch does: ±1/√state.
        cell = nn.GRUCell(seen + drawn, state)
        w_seen, w_drawn = (nn.Parameter(w.detach().clone()) for w in cell.weight_ih.split([seen, drawn], 1))
        self.w_seen, self.w_drawn = w_seen if seen else None, w_drawn
        self.b_input, self.w_state, self.b_state = cell.bias_ih, cell.weight_hh, cell.bias_hh

    def known(self, seen: Tensor) -> Tensor:
        """(…, seen) -> (…, 3 S): the part of the gates that does not depend on z."""
        return self.b_input if self.w_seen is None else F.linear(seen, self.w_seen, self.b_input)

    def forward(self, state: Tensor, known: Tensor, drawn: Tensor) -> Tensor:
        ahead, back = known + F.linear(drawn, self.w_drawn), F.linear(state, self.w_state, self.b_state)
        size = self.w_state.shape[1]
        r, u = torch.sigmoid(ahead[..., : 2 * size] + back[..., : 2 * size]).chunk(2, -1)
        n = torch.tanh(ahead[..., 2 * size :] + r * back[..., 2 * size :])
        return torch.lerp(n, state, u)


class FIVO(Loss):
    """−log p̂(x), where p̂ = Π_t Σ_k w_t-1^k α_t^k is the likelihood estimate of a particle filter with q as its proposal.

    Maddison et al. 2017, arXiv:1705.09279, algorithm 1. The paths are resampled where fewer than `threshold` K of the K
    particles are effective (1: always, 0: never, which is the bound of Burda et al. 2016). No gradient is taken through
    the choice of paths, as in the paper's experiments: it is a bound all the same, with less noise and some bias.
    """

    def __init__(self, particles: int = 4, threshold: float = 0.5) -> None:
        super().__init__()
        self.particles, self.threshold = particles, threshold

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_steps(model, "FIVO")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        log_p, resampled = self.filter(model, x)
        return {"loss": -log_p.mean(), "resampled": resampled.mean()}

    def filter(self, model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
        """log p̂(x) and the number of times that the paths were resampled, (B,) each."""
        model, k = require_steps(model, "FIVO"), self.particles
        seen = model.sight(x)
        state = model.start(k, len(x), seen.features)
        even = state.new_full((k, len(x)), -math.log(k))
        log_w, log_p, count = even, even.new_zeros(len(x)), even.new_zeros(len(x))
        for t in range(seen.x.shape[1]):
            log_alpha, state = model.step(seen, t, state)
            log_w = log_w + log_alpha
            gain = log_w.logsumexp(0)
            log_p, log_w = log_p + gain, log_w - gain
            poor = (2 * log_w).logsumexp(0).neg().exp() < self.threshold * k + 1e-6  # 1/Σw² particles are effective
            state = torch.where(poor[:, None], chosen(state, log_w), state)
            log_w, count = torch.where(poor, even, log_w), count + poor
        return log_p, count


def require_steps(model: Model, who: str) -> Stepwise:
    """The model as one that can be advanced step by step.

    Raises: Unsupported for any other.
    """
    if not isinstance(model, Stepwise):
        raise Unsupported(f"{who} advances paths step by step, which {type(model).__name__} cannot; take vrnn, srnn, dmm, …")
    return model


def chosen(state: Tensor, log_w: Tensor) -> Tensor:
    """K states (K, B, S) drawn with replacement, for each row, by the weights exp(log_w) (K, B)."""
    edges = log_w.detach().exp().T.cumsum(1)  # (B, K)
    u = torch.rand_like(edges) * edges[:, -1:]
    index = torch.searchsorted(edges, u).clamp_max(edges.shape[1] - 1).T
    return torch.take_along_dim(state, index[..., None], 0)


def bound(particles: int) -> Loss:
    """FIVO with that many particles, or the ELBO for none."""
    return FIVO(particles) if particles else ELBO()


__all__ = [
    "FIVO", "Gates", "Moments", "Particles", "Sight", "StepsLikelihood", "Stepwise", "as_steps", "before", "bound",
    "from_the_end", "moments", "noise_of_steps", "require_steps",
]  # fmt: skip
