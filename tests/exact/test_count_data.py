"""Poisson, negative binomial and Student's t: sums, integrals, means, SciPy; in both precisions."""

import pytest
import scipy.stats
import torch
from vaezoo_plugins.count_data import (
    Counts,
    NegativeBinomialHead,
    PoissonHead,
    SpreadCounts,
    StudentTHead,
    Tailed,
)

from vaezoo.core import Spec
from vaezoo.likelihoods import Likelihood

SPEC = Spec((3,), "normal")
RAW = [-8.0, -1.0, 0.0, 2.0, 30.0]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def distribution(head: Likelihood, dtype: torch.dtype):
    return head.to(dtype).each(torch.tensor(RAW, dtype=dtype))


@DTYPES
@pytest.mark.parametrize("head", [PoissonHead, NegativeBinomialHead])
def test_counts_sum_to_one_and_have_their_mean(head, dtype):
    q = distribution(head(SPEC), dtype)
    counts = torch.arange(0, 20_000, dtype=dtype)[:, None]
    p = q.log_prob(counts).double().exp()
    slack = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(p.sum(0), torch.ones(len(RAW)).double(), rtol=0, atol=slack)
    torch.testing.assert_close((p * counts).sum(0), q.mean.double(), rtol=slack, atol=1e-6)


@DTYPES
def test_the_poisson_is_scipys(dtype):
    q = distribution(PoissonHead(SPEC), dtype)
    rate = torch.nn.functional.softplus(torch.tensor(RAW).double()).numpy()
    for count in (0, 1, 7, 40):
        expected = torch.as_tensor(scipy.stats.poisson(rate).logpmf(count))
        found = q.log_prob(torch.tensor(float(count), dtype=dtype)).double()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@DTYPES
def test_the_negative_binomial_is_scipys(dtype):
    head = NegativeBinomialHead(SPEC)
    with torch.no_grad():
        head.log_r.fill_(0.7)
    q = distribution(head, dtype)
    r = float(torch.tensor(0.7).double().exp())
    mean = torch.nn.functional.softplus(torch.tensor(RAW).double()).numpy()
    for count in (0, 1, 7, 40):
        expected = torch.as_tensor(scipy.stats.nbinom(r, r / (r + mean)).logpmf(count))
        found = q.log_prob(torch.tensor(float(count), dtype=dtype)).double().detach()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@DTYPES
@pytest.mark.parametrize("df", [1.5, 4.0, 30.0])
def test_students_t_is_scipys(df, dtype):
    q = distribution(StudentTHead(SPEC, df), dtype)
    scale = float(torch.tensor(-1.0).exp())
    for x in (-3.0, 0.2, 50.0):
        expected = torch.as_tensor(scipy.stats.t(df, RAW, scale).logpdf(x))
        found = q.log_prob(torch.tensor(x, dtype=dtype)).double().detach()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", [PoissonHead, NegativeBinomialHead])
def test_counts_on_their_own_have_the_moments_of_the_data(head):
    torch.manual_seed(0)
    rate = torch.distributions.Gamma(2.0, 0.5).sample((4000, 3))
    x = torch.poisson(rate)
    x[::7, 1] = torch.nan
    q = head(SPEC).independent(x)
    torch.testing.assert_close(q.mean, x.nanmean(0), rtol=1e-2, atol=0)
    if head is NegativeBinomialHead:
        seen = x[:, 0]
        torch.testing.assert_close(q.variance[0], seen.var(unbiased=False), rtol=1e-2, atol=0)


def test_students_t_on_its_own_has_the_moments_of_the_data():
    torch.manual_seed(1)
    x = 3 + 2 * torch.randn(5000, 3)
    q = StudentTHead(SPEC, 5.0).independent(x)
    torch.testing.assert_close(q.mean, x.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(q.variance, x.var(0, unbiased=False), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", [PoissonHead, NegativeBinomialHead, StudentTHead])
def test_raw_numbers_of_a_mean_give_it_back(head):
    mean = torch.tensor([0.01, 1.0, 25.0])
    torch.testing.assert_close(
        head(SPEC).each(head(SPEC).raw_at(mean)).mean, mean, rtol=1e-3, atol=1e-5
    )


def test_counts_hold_counts_alone():
    x = torch.tensor([0.0, 3.0, -1.0, 0.5, torch.nan])
    assert PoissonHead(SPEC).holds(x).tolist() == [True, True, False, False, True]


@DTYPES
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_large_counts_lose_nothing_to_rounding(size, dtype):
    """log x! is 13 million at a count of a million, of which float32 knows one nat."""
    count = torch.tensor([size, 1.01 * size], dtype=dtype).round()
    mean = torch.tensor(size, dtype=dtype)
    found = Counts(mean).log_prob(count).double()
    exact = scipy.stats.poisson(size).logpmf(count.numpy().astype(float))
    torch.testing.assert_close(found, torch.as_tensor(exact), rtol=1e-6, atol=1e-6)
    for r in (0.5, 1e5, 1e7):
        found = SpreadCounts(mean, torch.tensor(r, dtype=dtype)).log_prob(count).double()
        exact = scipy.stats.nbinom(r, r / (r + size)).logpmf(count.numpy().astype(float))
        torch.testing.assert_close(found, torch.as_tensor(exact), rtol=1e-6, atol=1e-6)


@DTYPES
def test_a_student_of_many_degrees_of_freedom_is_a_normal(dtype):
    zero = torch.zeros((), dtype=dtype)
    x = torch.tensor([-2.0, 0.0, 1.5], dtype=dtype)
    found = Tailed(1e7, zero, zero + 1).log_prob(x)
    exact = torch.distributions.Normal(zero, zero + 1).log_prob(x)
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-6)


def test_a_negative_binomial_of_huge_r_is_a_poisson():
    mean = torch.tensor(30.0)
    count = torch.arange(60.0)[:, None]
    found = SpreadCounts(mean, torch.tensor(50.0).exp()).log_prob(count)
    torch.testing.assert_close(found, Counts(mean).log_prob(count), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [PoissonHead, NegativeBinomialHead])
def test_a_rate_that_has_fallen_to_nothing_can_come_back(build):
    """∂ log p(x)/∂raw is x where raw is far below 0: the rate is e^raw there."""
    raw = torch.tensor([-50.0, -30.0, -14.0], requires_grad=True)
    log_p = build(SPEC).each(raw).log_prob(torch.tensor(7.0))
    (gradient,) = torch.autograd.grad(log_p.sum(), raw)
    torch.testing.assert_close(gradient, torch.full((3,), 7.0), rtol=1e-4, atol=0)
