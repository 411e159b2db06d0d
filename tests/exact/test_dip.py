"""DIP-VAE: its covariance and its penalty by brute force."""

import numpy as np
import pytest
import torch
from vaezoo_plugins.dip import DisentangledPrior, covariance, dip1, dip2

from vaezoo.core import Spec

SPEC = Spec((1, 8, 8), n_train=500, latent=4, hidden=8)


def brute_force(c, off, diagonal):
    d = len(c)
    return off * sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) + diagonal * sum(
        (c[i, i] - 1) ** 2 for i in range(d)
    )


def test_covariance_is_that_of_numpy():
    a = torch.randn(17, 4, dtype=torch.float64)
    np.testing.assert_allclose(covariance(a), np.cov(a.numpy().T, bias=True), rtol=1e-12)


@pytest.mark.certifies(
    "dip1", "dip2", claim="the penalty is the double sum over entries of the covariance"
)
def test_penalty_is_the_double_sum():
    c = covariance(torch.randn(9, 3, dtype=torch.float64))
    assert float(DisentangledPrior(2.0, 5.0).penalty(c)) == pytest.approx(
        brute_force(c.numpy(), 2.0, 5.0), rel=1e-12
    )


@pytest.mark.certifies(
    "dip1",
    "dip2",
    claim="the covariance is NumPy's of the means, "
    "for dip2 with the mean variance of the posteriors added",
)
@pytest.mark.parametrize("variant", [dip1, dip2])
def test_dip2_adds_the_mean_variance_of_the_posteriors_and_dip1_does_not(variant):
    torch.manual_seed(0)
    model, x = (
        variant(SPEC, off=3.0, diagonal=7.0).double(),
        torch.bernoulli(torch.full((20, 1, 8, 8), 0.5)).double(),
    )
    q = model.encoder(x)
    cov = np.cov(q.mean.detach().numpy().T, bias=True)
    if variant is dip2:  # σ², neither σ nor exp(2 log σ²)
        cov = cov + np.diag((q.base_dist.scale.detach().numpy() ** 2).mean(0))
    assert model(x)["penalty"].item() == pytest.approx(brute_force(cov, 3.0, 7.0), rel=1e-10)


@pytest.mark.certifies("dip2", claim="its covariance is that of draws of q(z)")
def test_the_covariance_of_dip2_is_that_of_draws_of_the_aggregate():
    # n = 200 000 draws; the largest of 16 entries within 5 standard errors of about 1/√n
    torch.manual_seed(0)
    model, x = (
        dip2(SPEC, off=1.0, diagonal=1.0).double(),
        torch.bernoulli(torch.full((20, 1, 8, 8), 0.5)).double(),
    )
    q = model.encoder(x)
    z = q.sample((10_000,)).flatten(0, 1).detach()
    expected = covariance(q.mean.flatten(1)) + q.variance.mean(0).diag_embed()
    assert (covariance(z) - expected).abs().max() < 5 * 1.5 / len(z) ** 0.5


def test_kl_is_a_sum_over_dimensions_and_a_mean_over_rows():
    torch.manual_seed(0)
    model, x = dip1(SPEC), torch.bernoulli(torch.full((20, 1, 8, 8), 0.5))
    q = model.encoder(x)
    mu, var = q.mean, q.variance
    assert model(x)["rate"].item() == pytest.approx(
        (0.5 * (var + mu**2 - 1 - var.log())).sum(1).mean().item(), rel=1e-5
    )
