"""One likelihood for the columns of a table, each by the law of its type. A part, for any variant.

vaezoo bench --variants vae,missing --datasets 'table[path=people.csv]'

The heterogeneous likelihood of Nazábal, Olmos, Ghahramani & Valera 2020, "Handling Incomplete
Heterogeneous Data using VAEs", arXiv:1807.03653, §3.2. A category is one-hot in x and an ordinal a
thermometer, as there, so that a network reads no order where there is none, a gap is read as zeros,
and the mean of x is probabilities, which can be averaged over draws. Every entry of x has one raw
number; what a column's law says of x as a whole stands at one or two of its entries, the others
have 0, and the sum over entries is the sum of log p over the columns. Departures: σ of numbers and
r of counts are learned, one a column, and not read from z, where a density has no upper limit; a
count is negative binomial and not Poisson, which is its limit for large r.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn import functional as F

from vaezoo.columns import Kind, Run, kinds_of, runs_of, text_of
from vaezoo.core import Spec, Unsupported
from vaezoo.distributions import Bernoulli, Normal
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.likelihoods import Likelihood, moments

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


# what a law says beside being a distribution: `is_discrete`, `holds`, `raw_at` and `alone`
LAWS: dict[str, type[Any]] = {
    "number": Numbers,
    "amount": Numbers,
    "count": Counts,
    "yesno": YesNo,
    "category": OneHot,
    "ordinal": Thermometer,
}


class OfColumns(Constraint):
    """Every column has a value of its type, or is a gap in all its entries."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self.is_discrete = all(LAWS[run.kind.type].is_discrete for run in runs)

    def check(self, value: Tensor) -> Tensor:
        """(…, E) -> which entries belong to a column that holds, or is a gap."""
        found = []
        for run in self.runs:
            x = value[..., run.entries]
            gaps = grouped(x, run.kind.width).isnan()
            is_gap = gaps.all(-1, keepdim=True).expand_as(gaps).flatten(-2)
            found.append(is_gap | LAWS[run.kind.type].holds(x, run.kind))
        return torch.cat(found, -1)

    def __str__(self) -> str:
        return text_of([run.kind for run in self.runs for _ in range(run.count)])


class Mixed(Distribution):
    """The laws of the columns side by side, entry by entry."""

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, support: OfColumns, raw: Tensor, own: Tensor) -> None:
        super().__init__(raw.shape, validate_args=False)
        self.of_columns = support
        self.parts = [
            LAWS[run.kind.type](raw[..., run.entries], own[..., run.entries], run.kind)
            for run in support.runs
        ]

    @property
    def support(self) -> OfColumns:
        return self.of_columns

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        pairs = zip(self.of_columns.runs, self.parts, strict=True)
        return torch.cat([part.log_prob(value[..., run.entries]) for run, part in pairs], -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return torch.cat([part.sample(torch.Size(sample_shape)) for part in self.parts], -1)


class MixedHead(Likelihood):
    """Π_columns p(x_d|z), each by the law of its type.

    `columns` is a text as `vaezoo.columns` says them, "" for numbers alone.
    """

    support: OfColumns
    mixes = True
    lr = 10.0

    def __init__(self, spec: Spec, columns: str = "") -> None:
        super().__init__(spec)
        entries = spec.shape[-1]
        try:
            runs = runs_of(kinds_of(columns or f"{entries}*number"))
        except ValueError as error:
            raise Unsupported(f"likelihood=mixed: {error}") from None
        if runs[-1].entries.stop != entries:
            raise Unsupported(
                f"likelihood=mixed: its columns take {runs[-1].entries.stop} entries, and x has "
                f"{entries}"
            )
        self.support = OfColumns(runs)
        self.is_discrete = self.support.is_discrete
        self.values = f"columns of {self.support}"
        is_read = any(LAWS[run.kind.type] in (Numbers, Counts) for run in runs)
        # of numbers log σ, of counts log r; of words it is not read
        self.own = nn.Parameter(torch.zeros(entries)) if is_read else None

    def each(self, raw: Tensor) -> Distribution:
        own = raw.new_zeros(raw.shape[-1]) if self.own is None else self.own
        return Mixed(self.support, raw, own)

    def holds(self, x: Tensor) -> Tensor:
        return self.support.check(x)

    @property
    def is_bounded(self) -> bool:
        return all(LAWS[run.kind.type] not in (Numbers, Counts) for run in self.support.runs)

    def raw_at(self, mean: Tensor) -> Tensor:
        pieces = []
        for run in self.support.runs:
            pieces.append(LAWS[run.kind.type].raw_at(mean[..., run.entries], run.kind))
        return torch.cat(pieces, -1)

    def independent(self, train: Tensor) -> Distribution:
        means = []
        owns = []
        for run in self.support.runs:
            mean, own = LAWS[run.kind.type].alone(train[..., run.entries], run.kind)
            means.append(mean)
            owns.append(own)
        return Mixed(self.support, self.raw_at(torch.cat(means, -1)), torch.cat(owns, -1))


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("mixed", MixedHead)]
