"""The laws that a table's columns follow, each with what it asks of a column's values.

A law is a distribution of entries of x, made of their raw numbers, of `own`, a learned number an
entry, and of the kind of the column. Beside that it says which entries hold (`holds`), from which
raw numbers a mean comes (`raw_at`), and mean and `own` of training data with every entry on its own
(`alone`).
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn import functional as F

from .columns import Kind
from .distributions import Bernoulli, Normal
from .likelihoods import moments

__all__ = ["LAWS", "Counts", "Numbers", "OneHot", "Thermometer", "YesNo", "grouped"]

# Of σ, for standardised columns: a column of few values would have a density without limit.
NARROWEST = 1e-3
LEAST = 1e-30  # of a mean count, so that it is above 0
STEEPEST = 1e8  # r, from where a negative binomial is a Poisson and log Γ is lost in rounding


def softplus_inverse(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))


def grouped(entries: Tensor, width: int) -> Tensor:
    """(…, n·width) -> (…, n, width)."""
    return entries.unflatten(-1, (-1, width))


class Numbers(Normal):
    """N(raw, σ²), σ = e^own + 0.001; of an amount, of the logarithm that x is."""

    is_discrete = False

    def __init__(self, raw: Tensor, own: Tensor, kind: Kind) -> None:
        super().__init__(raw, (own.exp() + NARROWEST).expand_as(raw), validate_args=False)

    @staticmethod
    def holds(x: Tensor, kind: Kind) -> Tensor:
        return x.isfinite()

    @staticmethod
    def raw_at(mean: Tensor, kind: Kind) -> Tensor:
        return mean

    @staticmethod
    def alone(train: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        """Mean, and the `own` of maximum likelihood, of entries (N, …) each on its own."""
        mean, deviation = moments(train)
        return mean, (deviation - NARROWEST).clamp_min(1e-6).log()


class Counts(Distribution):
    """x = c/S, c negative binomial of mean m = S softplus(raw) and variance m + m²/r, r = e^own.

    In float64: log Γ(r + c) - log Γ(r) - log Γ(c + 1) cancels.
    """

    arg_constraints: dict[str, Constraint] = {}
    is_discrete = True

    def __init__(self, raw: Tensor, own: Tensor, kind: Kind) -> None:
        super().__init__(raw.shape, validate_args=False)
        self.scale = kind.size
        self.m = kind.size * F.softplus(raw) + LEAST
        self.r = own.exp().clamp_max(STEEPEST).expand_as(raw)

    @property
    def mean(self) -> Tensor:
        return self.m / self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        c = value.double() * self.scale
        m = self.m.double()
        r = self.r.double()
        ways = torch.lgamma(r + c) - torch.lgamma(r) - torch.lgamma(c + 1)
        chances = torch.xlogy(c, m / (r + m)) - r * torch.log1p(m / r)
        return (ways + chances).to(self.m)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A Poisson whose rate is Gamma distributed; NaN where a parameter is."""
        shape = self._extended_shape(torch.Size(sample_shape))
        m = self.m.detach().expand(shape).double()
        r = self.r.detach().expand(shape).double()
        is_no_number = m.isnan() | r.isnan() | m.isinf()
        rate = torch._standard_gamma(r.masked_fill(is_no_number, 1.0)) * m / r
        c = torch.poisson(rate.masked_fill(is_no_number, 0.0))
        return c.masked_fill(is_no_number, torch.nan).to(self.m) / self.scale

    @staticmethod
    def holds(x: Tensor, kind: Kind) -> Tensor:
        c = x * kind.size
        return (c >= 0) & ((c - c.round()).abs() < 1e-3)

    @staticmethod
    def raw_at(mean: Tensor, kind: Kind) -> Tensor:
        return softplus_inverse(mean.clamp_min(1e-3 / kind.size))

    @staticmethod
    def alone(train: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        """By moments: r = m²/(v - m), and nearly a Poisson where v is no larger than m."""
        mean, deviation = moments(train)
        m = mean.clamp_min(1e-3 / kind.size) * kind.size
        variance = (deviation * kind.size).square()
        return mean, (m.square() / (variance - m).clamp_min(1e-3)).log()


class YesNo(Bernoulli):
    """Bernoulli(sigmoid(raw))."""

    is_discrete = True

    def __init__(self, raw: Tensor, own: Tensor, kind: Kind) -> None:
        super().__init__(logits=raw, validate_args=False)

    @staticmethod
    def holds(x: Tensor, kind: Kind) -> Tensor:
        return (x == 0) | (x == 1)

    @staticmethod
    def raw_at(mean: Tensor, kind: Kind) -> Tensor:
        return torch.logit(mean, 1e-3)

    @staticmethod
    def alone(train: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        return rates(train, 0.5)


class OneHot(Distribution):
    """softmax(raw) over the M entries of a category, x one-hot: log p at the entry that is 1."""

    arg_constraints: dict[str, Constraint] = {}
    is_discrete = True

    def __init__(self, raw: Tensor, own: Tensor, kind: Kind) -> None:
        super().__init__(raw.shape, validate_args=False)
        self.log_p = grouped(raw, kind.size).log_softmax(-1)  # (…, n, M)

    @property
    def mean(self) -> Tensor:
        return self.log_p.exp().flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.log_p.flatten(-2)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By Gumbel's maximum; NaN where a parameter is."""
        log_p = self.log_p.detach().expand(*sample_shape, *self.log_p.shape)
        gumbel = -torch.empty_like(log_p).exponential_().log()
        hot = F.one_hot((log_p + gumbel).argmax(-1), log_p.shape[-1]).to(log_p)
        return torch.where(log_p.isnan(), torch.nan, hot).flatten(-2)

    @staticmethod
    def holds(x: Tensor, kind: Kind) -> Tensor:
        hot = grouped(x, kind.size)
        are_bits = ((hot == 0) | (hot == 1)).all(-1, keepdim=True)
        return (are_bits & (hot.sum(-1, keepdim=True) == 1)).expand_as(hot).flatten(-2)

    @staticmethod
    def raw_at(mean: Tensor, kind: Kind) -> Tensor:
        return mean.clamp_min(1e-6).log()

    @staticmethod
    def alone(train: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        return rates(train, 1 / kind.size)


class Thermometer(Distribution):
    """P(rank ≤ j) = sigmoid(θ_j), θ_0 = raw_0, θ_j = θ_{j-1} + softplus(raw_j).

    x_j says whether the rank is above j.

    log p of rank r = log(σ(θ_r) - σ(θ_{r-1})) = log σ(θ_r) + log σ(-θ_{r-1}) + log(1 - e^{θ_{r-1} -
    θ_r}), exact: the first and the third term stand at entry r, the second at r - 1.
    """

    arg_constraints: dict[str, Constraint] = {}
    is_discrete = True

    def __init__(self, raw: Tensor, own: Tensor, kind: Kind) -> None:
        super().__init__(raw.shape, validate_args=False)
        raw = grouped(raw, kind.width)  # (…, n, M - 1)
        self.steps = F.softplus(raw[..., 1:]) + LEAST
        self.theta = torch.cat([raw[..., :1], self.steps], -1).cumsum(-1)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(-self.theta).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        above = grouped(value, self.theta.shape[-1])
        is_above_before = F.pad(above[..., :-1], (1, 0), value=1.0)
        is_above_after = F.pad(above[..., 1:], (0, 1))
        is_rank = is_above_before * (1 - above)  # at entry r, none for the highest rank
        is_last = above * (1 - is_above_after)  # at entry r - 1, none for the lowest
        # 1 - e^{-step} of the lowest rank is 1
        width = F.pad(torch.log(-torch.expm1(-self.steps)), (1, 0))
        log_p = is_rank * (F.logsigmoid(self.theta) + width) + is_last * F.logsigmoid(-self.theta)
        return log_p.flatten(-2)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A logistic draw, beside the thresholds; NaN where a parameter is."""
        theta = self.theta.detach().expand(*sample_shape, *self.theta.shape)
        u = torch.rand_like(theta[..., :1])
        above = (torch.logit(u, 1e-6) > theta).to(theta)
        return torch.where(theta.isnan(), torch.nan, above).flatten(-2)

    @staticmethod
    def holds(x: Tensor, kind: Kind) -> Tensor:
        above = grouped(x, kind.width)
        are_bits = ((above == 0) | (above == 1)).all(-1, keepdim=True)
        falls = (above.diff(dim=-1) <= 0).all(-1, keepdim=True)
        return (are_bits & falls).expand_as(above).flatten(-2)

    @staticmethod
    def raw_at(mean: Tensor, kind: Kind) -> Tensor:
        theta = torch.logit(1 - grouped(mean, kind.width), 1e-6)
        steps = softplus_inverse(theta.diff(dim=-1).clamp_min(1e-6))
        return torch.cat([theta[..., :1], steps], -1).flatten(-2)

    @staticmethod
    def alone(train: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        above = 1 - torch.arange(1, kind.size).to(train) / kind.size
        return rates(train, above.repeat(train.shape[-1] // kind.width))


def rates(train: Tensor, prior: Tensor | float) -> tuple[Tensor, Tensor]:
    """Rates of entries (N, …, n), with one made-up row of `prior` that keeps them off 0 and 1."""
    seen = ~train.isnan()
    mean = (torch.where(seen, train, 0.0).sum(0) + prior) / (seen.sum(0) + 1)
    return mean, torch.zeros_like(mean)


LAWS: dict[str, type[Any]] = {
    "number": Numbers,
    "amount": Numbers,
    "count": Counts,
    "yesno": YesNo,
    "category": OneHot,
    "ordinal": Thermometer,
}
