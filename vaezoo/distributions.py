"""Distributions as this package needs them: drawn together with their log density, and safe under
`torch.func.vmap`.

K draws, B rows, then one event: a tensor of draws is (K, B, *event), a log density is (K, B), in
nats.

torch's own distributions are used where they will do. `Normal.rsample` will not: it fills an empty
tensor in place, which vmap refuses under randomness="different". Arguments are not validated here:
under stacked training one seed's NaN would end all seeds, and the trainer looks for NaN anyway.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

__all__ = [
    "Bernoulli",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Drawable",
    "Grid",
    "Levels",
    "MaskedNormals",
    "Normal",
    "Observed",
    "Point",
    "Push",
    "Pushed",
    "at_centre",
    "bernoulli",
    "detached",
    "draw",
    "kl",
    "mixture",
    "noise",
    "normal",
    "one_hot",
    "to_length",
]

Push = Callable[[Tensor], tuple[Tensor, Tensor]]  # a map of draws, with the logarithm of its |det|
_at_centre: ContextVar[bool] = ContextVar("at_centre", default=False)


class Normal(D.Normal):
    """torch's Normal with a reparameterised draw that vmap accepts."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(
            shape, dtype=self.loc.dtype, device=self.loc.device
        )

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        # scale is always a tensor here, so torch's branch for a Python number is not needed
        return (
            -0.5 * ((value - self.loc) / self.scale).square()
            - self.scale.log()
            - 0.5 * math.log(2 * math.pi)
        )


class Bernoulli(D.Bernoulli):
    """torch's Bernoulli, whose draw is NaN where its parameter is, as of a path that has left all
    bounds.
    """

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach().expand(self._extended_shape(torch.Size(sample_shape)))
        return torch.where(p.isnan(), torch.nan, torch.bernoulli(p.nan_to_num()))


class ContinuousBernoulli(Distribution):
    """p(x) = exp(l x) l/(e^l - 1) on [0, 1], from logits l (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845, eq. 7 and 8, in l = log λ/(1-λ)).

    Every part is finite, with its gradient, at every logit; near 0 by a series.
    """

    arg_constraints: dict = {}

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape, validate_args=False)
        self.logits = logits

    @property
    def _small(self) -> Tensor:
        return self.logits.abs() < 0.1

    @property
    def mean(self) -> Tensor:
        """1/(1 - e^-l) - 1/l."""
        logits = self.logits
        far = torch.where(self._small, torch.ones_like(logits), logits)
        near = 0.5 + logits / 12 - logits**3 / 720 + logits**5 / 30240
        return torch.where(self._small, near, -1 / torch.expm1(-far) - 1 / far)

    def log_prob(self, value: Tensor) -> Tensor:
        """l x - log((e^l - 1)/l); far from 0, by the distance of x from the end with the mass."""
        logits = self.logits
        square = logits.square()
        near = (
            logits * value - logits / 2 - square / 24 + square.square() / 2880 - square**3 / 181440
        )
        far = torch.where(self._small, torch.ones_like(logits), logits)
        size = far.abs()
        distance = torch.where(far > 0, 1 - value, value)
        log_far = -size * distance - torch.log(-torch.expm1(-size)) + size.log()
        return torch.where(self._small, near, log_far)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the distribution function, log(1 + u (e^l - 1))/l."""
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            logits = self.logits.expand(shape)
            u = torch.rand(shape, dtype=logits.dtype, device=logits.device)
            far = torch.where(logits.abs() < 1e-3, torch.ones_like(logits), logits.abs())
            # of -|l|, whose mass is at 0; x of l > 0 is 1 - x of -l
            x = -torch.log1p(u * torch.expm1(-far)) / far
            x = torch.where(logits > 0, 1 - x, x)
            return torch.where(logits.abs() < 1e-3, u, x).clamp(0, 1)


class Grid(constraints.Constraint):
    """The values 0, 1/(levels-1), …, 1."""

    is_discrete = True

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def check(self, value: Tensor) -> Tensor:
        steps = value * (self.levels - 1)
        return (value >= 0) & (value <= 1) & ((steps - steps.round()).abs() < 1e-3)


class DiscretisedLogistic(Distribution):
    """Logistic(loc, scale) gathered into `levels` equal cells of [0, 1]; the outer cells take the
    tails.

    x takes the values 0, 1/(levels-1), …, 1. Kingma et al. 2016, arXiv:1606.04934, appendix C
    (there on 256 levels).
    """

    arg_constraints: dict = {}

    def __init__(self, loc: Tensor, scale: Tensor, levels: int) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def support(self) -> Grid:
        return Grid(self.levels)

    @property
    def mean(self) -> Tensor:
        """Σ_{j ≥ 1} P(x ≥ j/(M-1))/(M-1): the tails pull it away from the location."""
        total = torch.zeros_like(self.loc)
        for j in range(1, self.levels):
            edge = (j - 0.5) / (self.levels - 1)
            total = total + torch.sigmoid((self.loc - edge) / self.scale)
        return total / (self.levels - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        upper = (value + half - self.loc) / self.scale
        lower = (value - half - self.loc) / self.scale
        # log(σ(u) - σ(l)) = log σ(u) + log σ(-l) + log(1 - e^{l-u}), exact and without cancellation
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        outer_low = F.logsigmoid(upper)
        outer_high = F.logsigmoid(-lower)
        log_p = torch.where(
            value < half, outer_low, torch.where(value > 1 - half, outer_high, inside)
        )
        return log_p.where(self.support.check(value), -math.inf)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = torch.rand(
            self._extended_shape(torch.Size(sample_shape)),
            dtype=self.loc.dtype,
            device=self.loc.device,
        )
        x = self.loc + self.scale * torch.logit(u, eps=1e-6)
        return (x.clamp(0, 1) * (self.levels - 1)).round().detach() / (self.levels - 1)


class Levels(Distribution):
    """A categorical distribution over the values 0, 1/(M-1), …, 1, from logits (..., M)."""

    arg_constraints: dict = {}

    def __init__(self, logits: Tensor) -> None:
        self.log_p = logits.log_softmax(-1)
        self.values = torch.linspace(
            0, 1, logits.shape[-1], dtype=logits.dtype, device=logits.device
        )
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def support(self) -> Grid:
        return Grid(len(self.values))

    @property
    def mean(self) -> Tensor:
        return (self.log_p.exp() * self.values).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        index = (value * (len(self.values) - 1)).round().long()
        index = index.clamp(0, len(self.values) - 1)
        index, log_p = torch.broadcast_tensors(index[..., None], self.log_p)
        found = log_p.gather(-1, index[..., :1]).squeeze(-1)
        return found.where(self.support.check(value), -math.inf)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        i = D.Categorical(logits=self.log_p, validate_args=False).sample(torch.Size(sample_shape))
        return self.values[i]


class Observed(Distribution):
    """Independent `base` over the last `event_dims` axes, of which an entry of x that is NaN does
    not count.

    NaN marks padding and missing entries. Nothing can read it by accident: a network that does
    gives NaN, and the trial ends as `diverged`. A sequence x may be shorter or longer than the T of
    `base`; steps beyond it must be padding.
    """

    arg_constraints: dict = {}

    def __init__(self, base: Distribution, event_dims: int, has_gaps: bool) -> None:
        cut = len(base.batch_shape) - event_dims
        super().__init__(base.batch_shape[:cut], base.batch_shape[cut:], validate_args=False)
        self.base = base
        self.event_dims = event_dims
        self.has_gaps = has_gaps

    @property
    def support(self) -> constraints.Constraint | None:
        """Of every entry."""
        return self.base.support

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    def log_prob_each(self, value: Tensor) -> Tensor:
        """log p of every entry, (K, B, *event), zero where x is NaN."""
        if not self.has_gaps:
            return self.base.log_prob(value)
        if self.event_dims == 2:
            value = to_length(value, self.event_shape[0])
        seen = ~value.isnan()
        # NaN would poison the gradient even where it is masked
        log_p = self.base.log_prob(torch.where(seen, value, 0.0))
        return torch.where(seen, log_p, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob_each(value).flatten(-self.event_dims).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(torch.Size(sample_shape))


def to_length(x: Tensor, steps: int) -> Tensor:
    """(..., T, C) -> (..., steps, C): cut, or padded with NaN at the end."""
    if x.shape[-2] > steps:
        return x[..., :steps, :]
    return F.pad(x, (0, 0, 0, steps - x.shape[-2]), value=math.nan) if x.shape[-2] < steps else x


class MaskedNormals(Distribution):
    """Independent Normals over an event (T, D), of which only the steps where `mask` (B, T) holds
    count.
    """

    arg_constraints: dict = {}

    def __init__(self, loc: Tensor, scale: Tensor, mask: Tensor | None = None) -> None:
        super().__init__(loc.shape[:-2], loc.shape[-2:], validate_args=False)
        self.each = Normal(loc, scale, validate_args=False)
        self.mask = mask

    @property
    def mean(self) -> Tensor:
        return self.each.loc

    @property
    def variance(self) -> Tensor:
        return self.each.scale.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.each.rsample(sample_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.each.sample(sample_shape)

    def per_step(self, of_each: Tensor) -> Tensor:
        """Σ over D of something (..., T, D), zero at padding: (..., T)."""
        of_step = of_each.sum(-1)
        return of_step if self.mask is None else torch.where(self.mask, of_step, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.per_step(self.each.log_prob(value)).sum(-1)


@D.register_kl(Normal, Normal)
def _kl_normal(q: Normal, p: Normal) -> Tensor:
    ratio = (q.scale / p.scale).square()
    return 0.5 * (ratio + ((q.loc - p.loc) / p.scale).square() - 1 - ratio.log())


@D.register_kl(MaskedNormals, MaskedNormals)
def _kl_steps(q: MaskedNormals, p: MaskedNormals) -> Tensor:
    return q.per_step(_kl_normal(q.each, p.each)).sum(-1)


class Drawable(Distribution):
    """A distribution that gives the log density of its own draws, though perhaps not of any other
    point.
    """

    arg_constraints: dict = {}

    def __init__(self, batch: torch.Size, event: torch.Size) -> None:
        super().__init__(batch, event, validate_args=False)

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """z (*shape, *batch, *event), with gradient, and log q(z) (*shape, *batch)."""
        raise NotImplementedError

    def centre(self) -> Tensor:
        """The point that stands for q where one is wanted (*batch, *event): its mean, its mode …"""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        return self.centre()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.draw(tuple(sample_shape))[0]


class Point(Drawable):
    """All mass at z: no density. Its log q is taken as 0, and whoever uses it must say that there
    is no bound.
    """

    def __init__(self, z: Tensor, event_dims: int = 1) -> None:
        super().__init__(z.shape[: z.ndim - event_dims], z.shape[z.ndim - event_dims :])
        self.z = z

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        z = self.z.expand(*shape, *self.z.shape)
        return z, z.new_zeros(z.shape[: z.ndim - len(self.event_shape)])

    def centre(self) -> Tensor:
        return self.z


class Pushed(Drawable):
    """z = f(e), e ~ base, where f gives z and log |det ∂z/∂e|.

    f needs no inverse. With one, which gives e and the same log-determinant from z, the density of
    any z is known.
    """

    def __init__(self, base: Distribution, f: Push, inverse: Push | None = None) -> None:
        super().__init__(base.batch_shape, base.event_shape)
        self.base = base
        self.f = f
        self.inverse = inverse

    def log_prob(self, value: Tensor) -> Tensor:
        if self.inverse is None:
            raise NotImplementedError(
                "this flow has no inverse: it knows the density of its own draws alone"
            )
        e, log_det = self.inverse(value)
        return self.base.log_prob(e) - log_det

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        e, log_q = draw(self.base, shape)
        z, log_det = self.f(e)
        return z, log_q - log_det

    def centre(self) -> Tensor:
        return self.f(self.base.mean[None])[0][0]


def normal(loc: Tensor, scale: Tensor, event_dims: int = 1) -> D.Independent:
    """N(loc, scale²), independent over the last `event_dims` axes."""
    loc, scale = torch.broadcast_tensors(loc, scale)
    return D.Independent(Normal(loc, scale, validate_args=False), event_dims, validate_args=False)


def bernoulli(logits: Tensor, event_dims: int = 1) -> D.Independent:
    """Bernoulli(sigmoid(logits)), independent over the last `event_dims` axes."""
    return D.Independent(
        Bernoulli(logits=logits, validate_args=False), event_dims, validate_args=False
    )


def mixture(logits: Tensor, parts: Distribution) -> D.MixtureSameFamily:
    """Σ softmax(logits)_m parts_m, where m is the last batch axis of `parts`."""
    return D.MixtureSameFamily(
        D.Categorical(logits=logits, validate_args=False), parts, validate_args=False
    )


def draw(q: Distribution, shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """z ~ q, with gradient, and log q(z): (*shape, *batch, *event) and (*shape, *batch).

    Inside `at_centre()`, q's centre instead.
    """
    if _at_centre.get():
        z = q.centre() if isinstance(q, Drawable) else q.mean
        z = z.expand(*shape, *z.shape)
        # A Drawable may not know the density of a given point: nothing that asks for centres reads
        # log q.
        return z, z.new_zeros(z.shape[: z.ndim - len(q.event_shape)])
    if isinstance(q, Drawable):
        return q.draw(shape)
    z = q.rsample(torch.Size(shape))
    return z, q.log_prob(z)


def noise(*shape: int, like: Tensor) -> Tensor:
    """e ~ N(0, I) of this shape, on the device and in the type of `like`; zeros inside
    `at_centre()`.

    For a model that draws step by step, where a distribution object at every step would be the
    cost.
    """
    return (
        like.new_zeros(shape)
        if _at_centre.get()
        else torch.randn(shape, dtype=like.dtype, device=like.device)
    )


@contextmanager
def at_centre() -> Iterator[None]:
    """Inside the block `draw` gives the centre of q instead of a random point: codes and
    reconstructions without noise.
    """
    token = _at_centre.set(True)
    try:
        yield
    finally:
        _at_centre.reset(token)


def one_hot(index: Tensor, size: int) -> Tensor:
    """(*) -> (*, size), floating point; torch's own `one_hot` is refused by vmap."""
    is_it = index[..., None] == torch.arange(size, device=index.device)
    return is_it.to(torch.get_default_dtype())


def kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) in nats where a closed form is known, else None."""
    try:
        return D.kl_divergence(q, p)
    except NotImplementedError:
        return None


def detached(q: Distribution) -> Distribution:
    """The same distribution, through whose parameters no gradient flows."""
    new = copy(q)
    for name, value in vars(q).items():
        if isinstance(value, Tensor):
            new.__dict__[name] = value.detach()
        elif isinstance(value, Distribution):
            new.__dict__[name] = detached(value)
    return new
