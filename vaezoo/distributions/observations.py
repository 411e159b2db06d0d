"""Distributions of one entry of x, and of all that was observed: an entry that is NaN does not
count.
"""

import math
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

MULTIPLIED = 32  # factors of ½ to 1 in one logarithm, 2⁻³² at least


class Bernoulli(D.Bernoulli):
    """torch's Bernoulli, whose draw is NaN where its parameter is, as of a path that has left all
    bounds.
    """

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if probs is not None or logits is None or validate_args is not False:
            super().__init__(probs, logits, validate_args)
            return
        # torch's own way, for numbers and arguments to be validated, is a hundredth of a training
        # step on small data
        self.logits = self._param = logits
        Distribution.__init__(self, logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """x l - log(1 + e^l), in fewer passes than torch's cross-entropy takes; exact to rounding
        of l, for from l = 40 on log(1 + e^l) is l in float64 too.
        """
        # in place: of a hundred draws of a picture the memory of one more tensor, touched for the
        # first time, takes longer than its arithmetic; neither gradient reads the product
        return (value * self.logits).sub_(F.softplus(self.logits, threshold=40))

    def log_prob_of_all(self, value: Tensor, event_dims: int) -> Tensor:
        """Σ log p over the last `event_dims` axes, without a gradient, in half the time of
        `log_prob`: within 10⁻⁷ nats of it an entry, or the rounding of the sum.

        log p is -(|l| - (2x - 1) l)/2 + log σ(|l|), and the second terms are the logarithm of a
        product. Each factor is ½ at least, so that as many as are multiplied do not underflow.
        """
        logits = self.logits.flatten(-event_dims)  # (…, D)
        signs = (2 * value - 1).flatten(-event_dims).to(logits)
        factors = logits.abs()
        on_wrong_side = torch.addcmul(factors, signs, logits, value=-1).sum(-1)

        factors.sigmoid_()
        multiplied = 1
        while factors.shape[-1] % 2 == 0 and multiplied < MULTIPLIED:
            one, other = factors.chunk(2, -1)
            factors = one * other
            multiplied *= 2
        return factors.log_().sum(-1) - on_wrong_side / 2

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach().expand(self._extended_shape(torch.Size(sample_shape)))
        return torch.where(p.isnan(), torch.nan, torch.bernoulli(p.nan_to_num()))


def bernoulli(logits: Tensor, event_dims: int = 1) -> "D.Independent[Bernoulli]":
    """Bernoulli(sigmoid(logits)), independent over the last `event_dims` axes."""
    return D.Independent(
        Bernoulli(logits=logits, validate_args=False), event_dims, validate_args=False
    )


class ContinuousBernoulli(Distribution):
    """p(x) = exp(l x) l/(e^l - 1) on [0, 1], from logits l (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845, eq. 7 and 8, in l = log λ/(1-λ)).

    Every part is finite, with its gradient, at every logit; near 0 by a series.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape, validate_args=False)
        self.logits = logits

    @property
    def _small(self) -> Tensor:
        return self.logits.abs() < 0.1

    @property
    def mean(self) -> Tensor:
        """1/(1 - e^-l) - 1/l; far from 0, by its distance from the end with the mass."""
        logits = self.logits
        far = torch.where(self._small, torch.ones_like(logits), logits)
        size = far.abs()
        near = 0.5 + logits / 12 - logits**3 / 720 + logits**5 / 30240
        distance = 1 / size + (-size).exp() / torch.expm1(-size)
        return torch.where(self._small, near, torch.where(far > 0, 1 - distance, distance))

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

    arg_constraints: dict[str, constraints.Constraint] = {}

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
        # log(σ(u) - σ(l)) = log σ(u) + log σ(-l) + log(1 - e^{l-u}), exact; nothing cancels where
        # u - l is the cell's width by its own formula, for u and l may be far larger
        width = 2 * half / self.scale
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
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

    arg_constraints: dict[str, constraints.Constraint] = {}

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

    arg_constraints: dict[str, constraints.Constraint] = {}

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
            return self._log_prob_of_start(value)
        if self.event_dims == 2:
            value = to_length(value, self.event_shape[0])
        seen = ~value.isnan()
        # NaN would poison the gradient even where it is masked
        log_p = self.base.log_prob(torch.where(seen, value, 0.0))
        return torch.where(seen, log_p, 0.0)

    def _log_prob_of_start(self, value: Tensor) -> Tensor:
        """The same without gaps; a sequence may be the start of one, whose further steps do not
        count.
        """
        whole = self.event_shape[0]
        if self.event_dims != 2 or value.shape[-2] >= whole:
            return self.base.log_prob(value)
        there = torch.arange(whole, device=value.device) < value.shape[-2]  # (T,)
        log_p = self.base.log_prob(F.pad(value, (0, 0, 0, whole - value.shape[-2])))
        return torch.where(there[:, None], log_p, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        is_whole = value.shape[-self.event_dims :] == self.event_shape and not self.has_gaps
        if type(self.base) is Bernoulli and is_whole and not torch.is_grad_enabled():
            return self.base.log_prob_of_all(value, self.event_dims)
        return self.log_prob_each(value).sum(tuple(range(-self.event_dims, 0)))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(torch.Size(sample_shape))


def to_length(x: Tensor, steps: int) -> Tensor:
    """(..., T, C) -> (..., steps, C): cut, or padded with NaN at the end."""
    if x.shape[-2] > steps:
        return x[..., :steps, :]
    return F.pad(x, (0, 0, 0, steps - x.shape[-2]), value=math.nan) if x.shape[-2] < steps else x
