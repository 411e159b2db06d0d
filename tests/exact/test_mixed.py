"""The likelihood of mixed columns: every law against SciPy and by enumeration, in both precisions;
the sum over columns; gaps; a linear model of a number and a yes or no against quadrature.
"""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from vaezoo_plugins.mixed import MixedHead

from vaezoo.columns import kinds_of, runs_of, text_of
from vaezoo.core import VAE, Decoder, Encoder, Spec, Unsupported
from vaezoo.distributions import normal
from vaezoo.evaluation.bounds import importance_log_likelihood
from vaezoo.likelihoods import head
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal
from vaezoo.registry.registry import load_registry

from ._quadrature import log_integral

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
ALL = "2*number+amount+count:4+yesno+2*category:3+ordinal:4"
WIDTH = 2 + 1 + 1 + 1 + 6 + 3


def of(columns: str, dtype=torch.float64, has_gaps: bool = False) -> MixedHead:
    width = sum(kind.width for kind in kinds_of(columns))
    made = MixedHead(Spec((width,), f"mixed[columns={columns}]", has_gaps=has_gaps), columns)
    if made.own is not None:
        with torch.no_grad():
            made.own.copy_(torch.linspace(-1.0, 0.6, width))
    return made.to(dtype)


def close(found, expected, dtype):
    slack = {torch.float32: 2e-5, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(found.double(), torch.as_tensor(expected), rtol=slack, atol=slack)


@DTYPES
@pytest.mark.parametrize("column", ["number", "amount"])
def test_a_number_is_scipys_normal(column, dtype):
    made = of(column, dtype)
    raw = torch.tensor([[-3.0], [0.0], [0.7], [40.0]], dtype=dtype)
    scale = math.exp(-1.0) + 1e-3
    for x in (-2.5, 0.0, 3.0):
        found = made.each(raw).log_prob(torch.tensor([x], dtype=dtype))
        expected = scipy.stats.norm(raw.double().numpy(), scale).logpdf(x)
        close(found.detach(), expected, dtype)


@DTYPES
@pytest.mark.parametrize("scale", [1, 4, 64])
def test_a_count_is_scipys_negative_binomial_and_sums_to_one(scale, dtype):
    made = of(f"count:{scale}", dtype)
    raw = torch.tensor([[-4.0], [0.0], [2.0]], dtype=dtype)
    r = float(torch.tensor(-1.0, dtype=dtype).double().exp())
    mean = scale * torch.nn.functional.softplus(raw).double().numpy()
    for count in (0, 1, 7, 400):
        found = made.each(raw).log_prob(torch.tensor([count / scale], dtype=dtype))
        expected = scipy.stats.nbinom(r, r / (r + mean)).logpmf(count)
        torch.testing.assert_close(
            found.detach().double(), torch.as_tensor(expected), rtol=1e-5, atol=1e-5
        )
    counts = torch.arange(0, 40_000, dtype=dtype)[:, None, None]
    p = made.each(raw).log_prob(counts / scale).double().exp()
    torch.testing.assert_close(p.sum(0), torch.ones(3, 1).double(), rtol=0, atol=1e-3)
    m = (p * counts).sum(0) / scale
    torch.testing.assert_close(m, made.each(raw).mean.double(), rtol=1e-2, atol=1e-4)


def words_of(column: str):
    """Every value of a column of words, as entries."""
    (kind,) = kinds_of(column)
    if kind.type == "yesno":
        return torch.tensor([[0.0], [1.0]])
    if kind.type == "category":
        return torch.eye(kind.size)
    return (torch.arange(kind.size)[:, None] > torch.arange(kind.width)).float()


@DTYPES
@pytest.mark.parametrize("column", ["yesno", "category:2", "category:7", "ordinal:2", "ordinal:6"])
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
def test_words_sum_to_one_and_have_their_mean(column, spread, dtype):
    torch.manual_seed(0)
    made = of(column, dtype)
    x = words_of(column).to(dtype)
    raw = spread * torch.randn(5, 1, x.shape[1], dtype=dtype)
    q = made.each(raw)
    p = q.log_prob(x).sum(-1).double().exp()  # (5, words)
    close(p.sum(1), torch.ones(5).double(), dtype)
    close(torch.einsum("kw,we->ke", p, x.double()), q.mean[:, 0].double(), dtype)


@DTYPES
def test_words_are_the_softmax_the_bernoulli_and_differences_of_logistics(dtype):
    torch.manual_seed(1)
    raw = 2 * torch.randn(4, 4, dtype=dtype)
    x = words_of("category:4").to(dtype)
    found = of("category:4", dtype).each(raw[:, None]).log_prob(x).sum(-1)
    close(found, raw.double().log_softmax(-1), dtype)

    bits = torch.tensor([0.0, 1.0], dtype=dtype)[:, None]
    found = of("yesno", dtype).each(raw[:, None, :1]).log_prob(bits).sum(-1)
    p = 1 / (1 + np.exp(-raw[:, :1].double().numpy()))
    close(found, scipy.stats.bernoulli.logpmf(np.array([[0, 1]]), p), dtype)

    # HI-VAE, §3.2: P(rank ≤ j) = σ(θ_j), θ_j = θ_{j-1} + softplus
    theta = raw.double()
    steps = torch.nn.functional.softplus(theta[:, 1:])
    theta = torch.cat([theta[:, :1], steps], -1).cumsum(-1).numpy()
    below = np.concatenate([scipy.stats.logistic.cdf(theta), np.ones((4, 1))], 1)
    expected = np.log(np.diff(below, axis=1, prepend=0.0))
    found = of("ordinal:5", dtype).each(raw[:, None]).log_prob(words_of("ordinal:5").to(dtype))
    close(found.sum(-1), expected, dtype)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    """Rows of the columns ALL, drawn from the head itself."""
    torch.manual_seed(seed)
    return of(ALL).each(torch.randn(n, WIDTH, dtype=torch.float64)).sample()


@DTYPES
def test_log_p_is_the_sum_over_the_columns(dtype):
    torch.manual_seed(0)
    raw = torch.randn(3, 6, WIDTH, dtype=dtype)
    x = rows(6).to(dtype)
    whole = of(ALL, dtype)
    px = whole(raw)
    kinds = kinds_of(ALL)
    total = torch.zeros(3, 6, dtype=torch.float64)
    start = 0
    for kind in kinds:
        entries = slice(start, start + kind.width)
        one = MixedHead(Spec((kind.width,), "mixed"), str(kind)).to(dtype)
        if one.own is not None:
            one.own.data = whole.own.data[entries]
        total += one(raw[..., entries]).log_prob(x[:, entries]).double()
        start = entries.stop
    close(px.log_prob(x).double().detach(), total.detach(), dtype)


def test_a_gap_drops_the_terms_of_its_column_and_no_other():
    torch.manual_seed(0)
    made = of(ALL, has_gaps=True)
    raw = torch.randn(2, 5, WIDTH, dtype=torch.float64, requires_grad=True)
    x = rows(5)
    whole = made(raw).log_prob_each(x)
    for run in runs_of(kinds_of(ALL)):
        gappy = x.clone()
        gappy[:, run.entries] = torch.nan
        px = made(raw)
        expected = whole.sum(-1) - whole[..., run.entries].sum(-1)
        torch.testing.assert_close(px.log_prob(gappy), expected, rtol=0, atol=1e-12)
        (slope,) = torch.autograd.grad(px.log_prob(gappy).sum(), raw)
        assert slope.isfinite().all()
        assert (slope[..., run.entries] == 0).all()


class Line(nn.Module):
    """A number and a yes or no, linear in one z; its posterior is a Gaussian with a free line."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.tensor([[1.3], [-2.0]], dtype=torch.float64)
        self.b = torch.tensor([0.2, 0.4], dtype=torch.float64)


class Posterior(Encoder):
    def forward(self, x, c=None):
        loc = (0.4 * x.nan_to_num()[:, :1] - 0.3 * x.nan_to_num()[:, 1:]).double()
        return normal(loc, torch.full_like(loc, 0.9))


class LinearWrite(Decoder):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.line = Line()
        self.likelihood = head(spec).double()
        self.likelihood.own.data.fill_(-0.5)

    def forward(self, z, c=None):
        return self.likelihood(z @ self.line.a.T + self.line.b)


@pytest.mark.parametrize("missing", [None, 0, 1])
def test_a_linear_model_of_a_number_and_a_bit_has_the_log_p_of_quadrature(missing):
    load_registry()
    spec = Spec((2,), "mixed[columns=number+yesno]", latent=1, has_gaps=True)
    model = VAE(Posterior(), LinearWrite(spec), StandardNormal(spec).double(), ELBO())
    x = torch.tensor([[-1.0, 0.0], [-1.0, 1.0], [0.3, 1.0], [2.0, 0.0]], dtype=torch.float64)
    if missing is not None:
        x[:, missing] = torch.nan

    # p(x) = ∫ N(z) N(x_0; a z + b, σ²) σ(±(a z + b)) dz, by code of its own
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    line = model.decoder.line
    scale = math.exp(-0.5) + 1e-3
    number = torch.as_tensor(
        scipy.stats.norm((line.a[0] * z + line.b[0]).numpy()[:, None], scale).logpdf(
            x[:, 0].numpy()
        )
    )
    rate = torch.sigmoid(line.a[1] * z + line.b[1])[:, None]
    bit = torch.where(x[:, 1] == 1, rate, 1 - rate).log()
    terms = [torch.zeros_like(number) if i == missing else t for i, t in enumerate((number, bit))]
    log_prior = torch.as_tensor(scipy.stats.norm.logpdf(z.numpy()))[:, None]
    exact = log_integral(log_prior + terms[0] + terms[1], 18 / 4000)

    torch.manual_seed(0)
    found = importance_log_likelihood(model, x, None, 40_000)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.03)
    with torch.no_grad():
        elbo = model.infer(x, None, 4000).log_w.mean(0)
    assert (elbo < exact + 0.03).all()
    if missing == 0:  # two words: their probabilities sum to one
        both = torch.tensor([[torch.nan, 0.0], [torch.nan, 1.0]], dtype=torch.float64)
        found = importance_log_likelihood(model, both, None, 40_000)
        assert found.double().exp().sum().item() == pytest.approx(1, abs=0.02)


def test_values_of_no_column_do_not_hold():
    made = of(ALL, has_gaps=True)
    x = rows(4)
    assert made.holds(x).all()
    gappy = x.clone()
    gappy[0, 5:8] = torch.nan  # a category that is lacking whole
    gappy[1, 0] = torch.nan
    assert made.holds(gappy).all()
    for entries, value in (
        (slice(0, 1), math.inf),
        (slice(3, 4), 0.3),  # no quarter
        (slice(3, 4), -1.0),
        (slice(4, 5), 0.5),
        (slice(5, 8), 0.0),  # none of the words
        (slice(5, 8), 1.0),  # all of them
        (slice(5, 6), math.nan),  # a word in part
        (slice(11, 14), torch.tensor([0.0, 1.0, 0.0])),  # no thermometer
    ):
        bad = x.clone()
        bad[2, entries] = value
        assert not made.holds(bad)[2].all()
        assert made.holds(bad)[[0, 1, 3]].all()


def test_draws_are_values_with_the_mean_of_the_head():
    torch.manual_seed(0)
    made = of(ALL)
    raw = torch.randn(WIDTH, dtype=torch.float64)
    q = made.each(raw)
    x = q.sample(torch.Size((20_000,)))
    assert made.holds(x).all()
    error = (x.mean(0) - q.mean) / (x.std(0) / 20_000**0.5)
    assert error.abs().max() < 4.5  # fourteen entries


def test_columns_on_their_own_have_the_means_of_the_data():
    made = of(ALL, has_gaps=True)
    x = rows(4000)
    x[::5, 5:8] = torch.nan
    q = made.independent(x)
    torch.testing.assert_close(q.mean, x.nanmean(0), rtol=5e-3, atol=5e-3)
    assert q.log_prob(x.nan_to_num()).isfinite().all()


def test_a_text_says_the_columns_both_ways():
    assert text_of(kinds_of(ALL)) == ALL
    assert text_of(kinds_of("number+number+yesno")) == "2*number+yesno"
    assert of("2*yesno+category:3").is_discrete
    assert not of(ALL).is_discrete
    for text, said in (
        ("numbr", "no column is of type 'numbr'"),
        ("count", "size from 1 on"),
        ("category:1", "size from 2 on"),
        ("number:3", "no size"),
        ("0*number", "is no column"),
        ("99999999*number", "more than"),
        ("2*number", "take 2 entries, and x has 3"),
    ):
        with pytest.raises(Unsupported, match=said.replace("*", r"\*")):
            MixedHead(Spec((3,), "mixed"), text)
