"""Likelihoods that variants bring: they sum or integrate to one, agree with SciPy, and are refused
where not comparable.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from vaezoo_plugins.continuous_bernoulli import cb
from vaezoo_plugins.logistic import as_logistic, logistic
from vaezoo_plugins.sigma import RunningNormal, gamma, sigma

from vaezoo.core import Spec, Unsupported
from vaezoo.likelihoods import ContinuousBernoulliHead, LogisticHead

GREY = Spec((1, 4, 4), "continuous_bernoulli", latent=2, hidden=8)
VECTOR = Spec((5,), "normal", latent=2, hidden=8)
SEQUENCE = Spec((6, 3), "normal", latent=2, hidden=8, network="rnn", has_gaps=True)


def rows(spec, n=8):
    x = torch.randn(n, *spec.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if spec.has_gaps:
        x[::2, 4:] = math.nan
    return x


@pytest.mark.certifies("cb", claim="p(x|z) integrates to 1 over [0, 1]")
@pytest.mark.parametrize("logit", [-6.0, -1.0, 0.0, 1e-3, 2.0, 6.0])
def test_continuous_bernoulli_integrates_to_1_and_is_that_of_its_formula(logit):
    p = ContinuousBernoulliHead(GREY).each(torch.tensor(logit, dtype=torch.float64))
    density = lambda x: p.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()  # noqa: E731
    # torch expands the normaliser around λ = 1/2 to fourth order
    assert quad(density, 0, 1)[0] == pytest.approx(1, abs=1e-6)
    lam = 1 / (1 + math.exp(-logit))
    normaliser = 2.0 if abs(logit) < 1e-2 else 2 * math.atanh(1 - 2 * lam) / (1 - 2 * lam)
    assert density(0.3) == pytest.approx(lam**0.3 * (1 - lam) ** 0.7 * normaliser, rel=1e-5)


def test_binary_cross_entropy_is_no_density_on_grey_pixels_and_is_not_reported_as_one():
    torch.manual_seed(0)
    x, model = torch.rand(6, 1, 4, 4), cb(GREY)
    trace = model.infer(x)
    raw = trace.px.base.logits
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        raw[0], x, reduction="none"
    ).sum((1, 2, 3))
    # the normaliser is at least 2 an entry
    assert (trace.log_px[0] + cross_entropy > 16 * math.log(2) - 1e-3).all()


@pytest.mark.certifies(
    "logistic", claim="p(x|z) sums to 1 over the levels and is that of SciPy's logistic"
)
@pytest.mark.parametrize("levels", [2, 3, 16, 256])
@pytest.mark.parametrize(("loc", "scale"), [(0.5, 0.1), (-0.4, 0.02), (1.7, 0.5), (0.2, 3.0)])
def test_discretised_logistic_sums_to_1_and_is_that_of_scipy(levels, loc, scale):
    head = LogisticHead(replace(GREY, levels=levels)).double()
    head.log_scale.data.fill_(math.log(scale))
    x = torch.linspace(0, 1, levels, dtype=torch.float64)
    p = head.each(torch.full((levels,), loc - 0.5, dtype=torch.float64)).log_prob(x).exp().detach()
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    half, law = 0.5 / (levels - 1), stats.logistic(loc, scale)
    upper = np.where(x == 1, 1.0, law.cdf(x + half))
    lower = np.where(x == 0, 0.0, law.cdf(x - half))
    np.testing.assert_allclose(p, upper - lower, atol=1e-12)


@pytest.mark.certifies("logistic", claim="on binary data it is a Bernoulli")
def test_on_binary_data_the_logistic_is_a_bernoulli_and_compares_with_one():
    spec = Spec((1, 4, 4), latent=2, hidden=8)
    assert as_logistic(spec).levels == 2
    model, x = logistic(spec).double(), torch.bernoulli(torch.full((5, 1, 4, 4), 0.5)).double()
    px = model.infer(x).px
    logits = (px.base.loc - 0.5) / px.base.scale
    bernoulli = torch.distributions.Bernoulli(logits=logits).log_prob(x).sum((2, 3, 4))
    torch.testing.assert_close(px.log_prob(x), bernoulli)


@pytest.mark.certifies("sigma", claim="R is the Normal's at its best variance, by a search")
@pytest.mark.parametrize("spec", [VECTOR, SEQUENCE])
def test_sigma_trains_the_normal_likelihood_at_its_best_variance(spec):
    model, x = sigma(spec).double().train(), rows(spec)
    torch.manual_seed(1)
    distortion = model(x)["distortion"].item()
    torch.manual_seed(1)
    errors = (model.infer(x).px.mean[0] - x)[~x.isnan()].detach().numpy()
    at = lambda log_s: -stats.norm(0, math.exp(log_s)).logpdf(errors).sum() / len(x)  # noqa: E731
    best = minimize_scalar(at, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
    assert distortion == pytest.approx(best.fun, rel=1e-9)
    assert math.exp(2 * best.x) == pytest.approx((errors**2).mean(), rel=1e-5)


@pytest.mark.certifies("sigma", claim="the optimal variance adds nothing to the gradient")
def test_the_gradient_of_sigma_is_that_at_a_variance_held_still():
    # the variance is at its optimum, so its own slope adds nothing
    model, x = sigma(VECTOR).double().train(), rows(VECTOR)
    torch.manual_seed(1)
    model(x)["loss"].backward()
    torch.manual_seed(1)
    trace = model.infer(x)
    squared = (trace.px.mean[0] - x).square()
    loss = (squared.sum(1) / (2 * squared.mean().detach())).mean() + trace.kl.mean()
    for p in model.parameters():
        torch.testing.assert_close(p.grad, torch.autograd.grad(loss, p, retain_graph=True)[0])


def test_sigma_is_evaluated_with_the_running_variance_which_evaluation_leaves_alone():
    model, x = sigma(VECTOR, memory=0.5).double(), rows(VECTOR)
    torch.manual_seed(1)
    model.train()(x)
    torch.manual_seed(1)
    mse = (model.infer(x).px.mean[0] - x).square().mean()
    variance = model.decoder.likelihood.variance.clone()
    torch.testing.assert_close(variance, (0.5 + 0.5 * mse).detach())
    model.eval()
    torch.manual_seed(2)
    distortion = model(x)["distortion"]
    torch.manual_seed(2)
    expected = (
        -stats.norm(model.infer(x).px.mean[0].detach(), variance.sqrt()).logpdf(x).sum(1).mean()
    )
    assert distortion.item() == pytest.approx(expected, rel=1e-9)
    assert torch.equal(model.decoder.likelihood.variance, variance)


def test_sigma_comes_to_the_mean_squared_error():
    head = RunningNormal(VECTOR, 0.9).double()
    for _ in range(300):
        head.follow(torch.tensor(0.07))
    assert head.variance.item() == pytest.approx(0.07)


def test_gamma_starts_at_the_variance_asked_for_and_learns_it():
    model, x = gamma(VECTOR, start=4.0), rows(VECTOR).float()
    assert model.infer(x).px.base.scale.unique().item() == pytest.approx(2.0)
    model(x)["loss"].backward()
    assert model.decoder.likelihood.a.grad.abs() > 0


@pytest.mark.certifies(
    "gamma",
    claim="log p(x|z) is SciPy's Normal with variance γ, "
    "whose slope is 0 at the mean squared error",
)
def test_gamma_is_at_rest_where_it_is_the_mean_squared_error():
    model, x = gamma(VECTOR, start=0.3).double(), rows(VECTOR)
    for start in (0.3, None):  # then at the optimum
        torch.manual_seed(1)
        errors = (model.infer(x).px.mean[0] - x).detach()
        variance = start or errors.square().mean().item()
        with torch.no_grad():
            model.decoder.likelihood.a.fill_(math.log(variance) / 20)
        torch.manual_seed(1)
        terms = model(x)
        expected = -stats.norm(0, math.sqrt(variance)).logpdf(errors.numpy()).sum(1).mean()
        assert terms["distortion"].item() == pytest.approx(expected, rel=1e-10)
    (slope,) = torch.autograd.grad(terms["loss"], model.decoder.likelihood.a)
    assert abs(slope.item()) < 1e-10


@pytest.mark.parametrize(
    ("variant", "refused"),
    [
        (sigma, ("bernoulli", "logistic", "categorical")),
        (gamma, ("bernoulli", "logistic", "categorical")),
        (cb, ("bernoulli", "normal", "logistic", "categorical")),
        (logistic, ("normal", "continuous_bernoulli")),
    ],
)
def test_densities_and_probabilities_are_not_mixed_in_one_table(variant, refused):
    for likelihood in ("bernoulli", "normal", "continuous_bernoulli", "logistic", "categorical"):
        spec = replace(GREY, likelihood=likelihood)
        if likelihood in refused:
            with pytest.raises(Unsupported):
                variant(spec)
        else:
            variant(spec)
