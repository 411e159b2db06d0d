"""Total correlation: its estimate against a Gaussian's closed form, and the place of N in it."""

import math

import pytest
import torch
from vaezoo_plugins.tc import TotalCorrelation, beta_tc, log_weights

from vaezoo.core import Latent, Spec, Unsupported
from vaezoo.distributions import normal


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def population(n, rho, noise):
    """One draw each of n posteriors N(μ_i, noise² I), whose aggregate is a 2-D Gaussian with
    correlation rho.
    """
    cov = torch.tensor([[1, rho], [rho, 1]]) - noise**2 * torch.eye(2)
    q = normal(torch.randn(n, 2) @ torch.linalg.cholesky(cov).T, torch.full((n, 2), noise))
    z = q.rsample((1,))
    return Latent(z, q.log_prob(z), q, normal(torch.zeros(2), torch.ones(2)))


@pytest.mark.certifies("beta_tc", claim="the total correlation of a Gaussian is -½ log(1 - ρ²)")
@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_total_correlation_of_a_gaussian_meets_its_closed_form(sampling):
    # n = 2000, three populations; the whole population is the minibatch, so log(N M) or the strata
    # are all that N does
    rho, loss = 0.8, TotalCorrelation(Spec((2,), n_train=2000), sampling=sampling)
    estimates = torch.stack(
        [torch.stack(loss.decompose(population(2000, rho, 0.4))) for _ in range(3)]
    ).mean(0)
    # 1/(N M) where a mean over the population has 1/M
    bias = math.log(2000) if sampling == "weighted" else 0.0
    closed = -0.5 * math.log(1 - rho**2)
    # one log N too many in q(z), two in Π q(z_j): one is left in each of the terms
    assert estimates[1] == pytest.approx(closed + bias, abs=0.03)
    assert estimates[2] == pytest.approx(0 - 2 * bias, abs=0.03)


def test_stratified_weights_are_a_mixture_and_are_unbiased_for_the_aggregate():
    # E over minibatches of Σ_j w_j q(z|x_j) = (1/N) Σ_n q(z|x_n), by enumerating all ordered
    # minibatches of B = 3 from N = 5
    n, likelihoods = 5, torch.rand(5)
    w = log_weights(3, n, "stratified", likelihoods).exp()
    torch.testing.assert_close(w.sum(1), torch.ones(3))
    own = 2
    others = [i for i in range(n) if i != own]
    # the row's own posterior is fixed at place 0; the others are drawn from the rest
    values = [w[0] @ likelihoods[[own, i, j]] for i in others for j in others if i != j]
    rest = (n - 1) / n * likelihoods[others].mean()
    torch.testing.assert_close(torch.stack(values).mean(), likelihoods[own] / n + rest)


def test_weighted_sampling_shifts_log_q_by_log_n():
    latent = population(50, 0.3, 0.5)
    small, large = (TotalCorrelation(Spec((2,), n_train=n)).decompose(latent) for n in (100, 1000))
    shift = math.log(10)
    for got, expected in zip(
        large, (small[0] + shift, small[1] + shift, small[2] - 2 * shift), strict=True
    ):
        torch.testing.assert_close(got, expected)


def test_n_changes_the_stratified_estimate_and_a_whole_population_is_exact():
    latent = population(40, 0.3, 0.5)
    pairs = latent.q.base_dist.log_prob(latent.z[0][:, None])
    exact = (pairs.sum(-1).logsumexp(1) - math.log(40)).mean()
    got = (
        latent.log_q.mean()
        - TotalCorrelation(Spec((2,), n_train=40), sampling="stratified").decompose(latent)[0]
    )
    torch.testing.assert_close(got, exact)  # N = B: every posterior is there, each with weight 1/N
    other = (
        latent.log_q.mean()
        - TotalCorrelation(Spec((2,), n_train=4000), sampling="stratified").decompose(latent)[0]
    )
    assert (other - got).abs() > 0.01


@pytest.mark.certifies("beta_tc", claim="the three terms sum to the KL")
@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_the_three_terms_sum_to_the_kl_of_the_draws(sampling):
    latent = population(30, 0.5, 0.4)
    parts = TotalCorrelation(Spec((2,), n_train=777), sampling=sampling).decompose(latent)
    torch.testing.assert_close(sum(parts), (latent.log_q - latent.log_p).mean())


def test_weights_of_one_give_the_plain_bound_with_a_sampled_kl():
    spec = Spec((1, 8, 8), n_train=500, latent=3, hidden=8)
    model, x = beta_tc(spec, beta=1.0), torch.bernoulli(torch.full((12, 1, 8, 8), 0.5))
    torch.manual_seed(1)
    loss = model(x)["loss"]
    torch.manual_seed(1)
    torch.testing.assert_close(loss, -model.infer(x).log_w.mean())


def test_a_posterior_that_does_not_factorise_is_refused():
    from vaezoo.core import VAE
    from vaezoo.networks import Deterministic, StandardNormal, Write

    spec = Spec((2,), "normal", latent=2, hidden=4)
    with pytest.raises(Unsupported):
        VAE(Deterministic(spec), Write(spec), StandardNormal(spec), TotalCorrelation(spec))
