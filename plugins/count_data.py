"""Likelihoods of counts, and of real numbers with heavy tails. Each is a part, for any variant:

vaezoo bench --variants vae --datasets 'arrays[path=counts.npy,likelihood=poisson]'
vaezoo bench --variants vae --datasets gaussian --set 'likelihood=student_t[df=5]'
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, NegativeBinomial, Poisson, StudentT, constraints
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Positive
from vaezoo.likelihoods import Likelihood, moments

LEAST = 1e-6  # of a rate: a count above 0 has a probability everywhere


def softplus_inverse(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))


class PoissonHead(Likelihood):
    """Poisson(softplus(raw))."""

    support = constraints.nonnegative_integer
    values = "the counts 0, 1, 2, …"
    is_discrete = True

    def each(self, raw: Tensor) -> Distribution:
        return Poisson(F.softplus(raw) + LEAST, validate_args=False)

    def raw_at(self, mean: Tensor) -> Tensor:
        return softplus_inverse(mean.clamp_min(1e-3))

    def independent(self, train: Tensor) -> Distribution:
        """The rate of maximum likelihood is the mean; half a made-up row of one keeps it off 0."""
        seen = ~train.isnan()
        total = torch.where(seen, train, 0.0).sum(0) + 0.5
        return Poisson(total / (seen.sum(0) + 0.5), validate_args=False)


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
        return _of_mean(F.softplus(raw) + LEAST, self.log_r.exp())

    def raw_at(self, mean: Tensor) -> Tensor:
        return softplus_inverse(mean.clamp_min(1e-3))

    def independent(self, train: Tensor) -> Distribution:
        """By moments: r = m²/(v - m), and nearly a Poisson where v is no larger than m."""
        mean, deviation = moments(train)
        mean = mean.clamp_min(1e-3)
        r = mean.square() / (deviation.square() - mean).clamp_min(1e-3)
        return _of_mean(mean, r)


def _of_mean(mean: Tensor, r: Tensor) -> NegativeBinomial:
    return NegativeBinomial(r.expand_as(mean), logits=mean.log() - r.log(), validate_args=False)


class StudentTHead(Likelihood):
    """t_df(raw, s) with one learned scale s for all entries; its mean is raw for df > 1.

    Tails that do not pull the mean (Takahashi et al. 2018, "Student-t Variational Autoencoder for
    Robust Density Estimation", IJCAI, §3; there df is learned too).
    """

    support = constraints.real
    values = "the real numbers"
    lr = 10.0

    def __init__(self, spec: Spec, df: Positive = 4.0) -> None:
        super().__init__(spec)
        self.df = df
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def each(self, raw: Tensor) -> Distribution:
        return StudentT(self.df, raw, self.log_scale.exp().expand_as(raw), validate_args=False)

    @torch.no_grad()
    def start_at(self, residuals: Tensor) -> None:
        deviation = residuals.square().mean().sqrt()
        self.log_scale.copy_((self._shrink * deviation).clamp_min(1e-6).log())

    def raw_at(self, mean: Tensor) -> Tensor:
        return mean

    def independent(self, train: Tensor) -> Distribution:
        """By moments."""
        mean, deviation = moments(train)
        return StudentT(self.df, mean, self._shrink * deviation, validate_args=False)

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
