"""Likelihoods of counts, and of real numbers with heavy tails. Each is a part, for any variant:

vaezoo bench --variants vae --datasets 'arrays[path=counts.npy,likelihood=poisson]'
vaezoo bench --variants vae --datasets gaussian --set 'likelihood=student_t[df=5]'
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, NegativeBinomial, Poisson, StudentT, constraints
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Positive
from vaezoo.likelihoods import Likelihood, moments, start_scale

# Of a rate, so that it is above 0; small beside softplus(-50), so that a rate can come back.
LEAST = 1e-30


def softplus_inverse(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))


class Counts(Poisson):
    """A Poisson whose log p is computed in float64.

    x log λ - log x! cancels, and float32 loses a nat of it at counts of 10⁶.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        rate = self.rate.double()
        x = value.double()
        return (torch.xlogy(x, rate) - rate - torch.lgamma(x + 1)).to(self.rate)


class SpreadCounts(NegativeBinomial):
    """Counts of mean m and variance m + m²/r, log p in float64 as above.

    r counts as 10⁸ where it is larger: the law is then a Poisson, and log Γ(r + x) - log Γ(r) is
    lost in rounding.
    """

    def __init__(self, mean: Tensor, r: Tensor) -> None:
        self.m = mean
        self.r = r.expand_as(mean).clamp_max(1e8)
        logits = mean.log() - self.r.log()
        super().__init__(self.r, logits=logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.m

    def log_prob(self, value: Tensor) -> Tensor:
        x = value.double()
        m = self.m.double()
        r = self.r.double()
        ways = torch.lgamma(r + x) - torch.lgamma(r) - torch.lgamma(x + 1)
        # r log r/(r+m) + x log m/(r+m)
        chances = torch.xlogy(x, m / (r + m)) - r * torch.log1p(m / r)
        return (ways + chances).to(self.m)


class Tailed(StudentT):
    """A Student's t whose normaliser, a difference of two log Γ of df, is computed in float64."""

    def __init__(self, df: float, loc: Tensor, scale: Tensor) -> None:
        super().__init__(df, loc, scale, validate_args=False)
        self.number = df

    def log_prob(self, value: Tensor) -> Tensor:
        half = (self.number + 1) / 2
        log_norm = math.lgamma(half) - math.lgamma(self.number / 2)
        log_norm = log_norm - 0.5 * math.log(self.number * math.pi)
        y = (value - self.loc) / self.scale
        return log_norm - self.scale.log() - half * torch.log1p(y.square() / self.number)


class PoissonHead(Likelihood):
    """Poisson(softplus(raw))."""

    support = constraints.nonnegative_integer
    values = "the counts 0, 1, 2, …"
    is_discrete = True

    def each(self, raw: Tensor) -> Distribution:
        return Counts(F.softplus(raw) + LEAST, validate_args=False)

    def raw_at(self, mean: Tensor) -> Tensor:
        return softplus_inverse(mean.clamp_min(1e-3))

    def independent(self, train: Tensor) -> Distribution:
        """The rate of maximum likelihood is the mean; half a made-up row of one keeps it off 0."""
        seen = ~train.isnan()
        total = torch.where(seen, train, 0.0).sum(0) + 0.5
        return Counts(total / (seen.sum(0) + 0.5), validate_args=False)


class NegativeBinomialHead(Likelihood):
    """A count of mean m = softplus(raw) and variance m + m²/r, with one learned r for all entries.

    A Poisson whose rate is Gamma distributed: the usual choice for counts that vary more than their
    mean (Grønbech et al. 2020, "scVAE", Bioinformatics 36(16), §2).
    """

    support = constraints.nonnegative_integer
    values = "the counts 0, 1, 2, …"
    is_discrete = True
    lr = 10.0

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.log_r = nn.Parameter(torch.zeros(()))

    def each(self, raw: Tensor) -> Distribution:
        return SpreadCounts(F.softplus(raw) + LEAST, self.log_r.exp())

    def raw_at(self, mean: Tensor) -> Tensor:
        return softplus_inverse(mean.clamp_min(1e-3))

    def independent(self, train: Tensor) -> Distribution:
        """By moments: r = m²/(v - m), and nearly a Poisson where v is no larger than m."""
        mean, deviation = moments(train)
        mean = mean.clamp_min(1e-3)
        r = mean.square() / (deviation.square() - mean).clamp_min(1e-3)
        return SpreadCounts(mean, r)


class StudentTHead(Likelihood):
    """t_df(raw, s) with one learned scale s for all entries; its mean is raw for df > 1.

    Tails that do not pull the mean (Takahashi et al. 2018, "Student-t Variational Autoencoder for
    Robust Density Estimation", IJCAI, §3; there df is learned too).
    """

    support = constraints.real
    values = "the real numbers"
    lr = 10.0
    first_log_scale = -1.0

    def __init__(self, spec: Spec, df: Positive = 4.0) -> None:
        super().__init__(spec)
        self.df = df
        self.log_scale = nn.Parameter(torch.tensor(self.first_log_scale))

    def each(self, raw: Tensor) -> Distribution:
        return Tailed(self.df, raw, self.log_scale.exp().expand_as(raw))

    @torch.no_grad()
    def start_at(self, residuals: Tensor) -> None:
        deviation = residuals.square().mean().sqrt()
        start_scale(self, self._shrink * deviation)

    def raw_at(self, mean: Tensor) -> Tensor:
        return mean

    def independent(self, train: Tensor) -> Distribution:
        """By moments."""
        mean, deviation = moments(train)
        return Tailed(self.df, mean, self._shrink * deviation)

    @property
    def _shrink(self) -> float:
        """s over the deviation: the variance of t is s² df/(df - 2).

        For df ≤ 2 it has none, and s is the deviation.
        """
        return ((self.df - 2) / self.df) ** 0.5 if self.df > 2 else 1.0


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("poisson", PoissonHead),
        Part("negative_binomial", NegativeBinomialHead),
        Part("student_t", StudentTHead),
    ]
