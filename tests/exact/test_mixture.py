"""The Gaussian mixture prior against a sum written out, and against its own draws."""

import math

import pytest
import torch
from vaezoo_plugins.mixture import Mixture

from vaezoo.core import Spec


def made(latent: int = 3, components: int = 4) -> Mixture:
    torch.manual_seed(0)
    prior = Mixture(Spec((6,), "normal", latent=latent), components).double()
    with torch.no_grad():
        prior.logits.copy_(torch.randn(components))
        prior.log_scale.copy_(0.3 * torch.randn(components, latent))
    return prior


@pytest.mark.certifies("gmm", claim="p(z) is the sum over components")
def test_density_is_the_sum_over_components():
    prior, z = made(), torch.randn(5, 7, 3).double()
    total = torch.zeros(5, 7).double()
    for weight, loc, scale in zip(
        prior.logits.softmax(0), prior.loc, prior.log_scale.exp(), strict=True
    ):
        each = torch.exp(-0.5 * ((z - loc) / scale) ** 2) / (scale * math.sqrt(2 * math.pi))
        total += weight * each.prod(-1)
    torch.testing.assert_close(prior().log_prob(z), total.log(), rtol=1e-10, atol=1e-10)


@pytest.mark.certifies("gmm", claim="p(z) integrates to 1")
def test_density_of_two_dimensions_integrates_to_one():
    axis = torch.linspace(-12, 12, 601, dtype=torch.double)
    grid = torch.cartesian_prod(axis, axis)
    total = made(latent=2)().log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(total.item() - 1) < 1e-10


def test_moments_of_draws_are_those_of_the_mixture():
    """n = 100,000; every z-score below 5."""
    prior, n = made(), 100_000
    z, weight = prior().sample((n,)), prior.logits.softmax(0)[:, None]
    mean = (weight * prior.loc).sum(0)
    second = (weight * (prior.loc**2 + prior.log_scale.exp() ** 2)).sum(0)
    assert ((z.mean(0) - mean).abs() / z.std(0) < 5 / math.sqrt(n)).all()
    assert (((z**2).mean(0) - second).abs() / (z**2).std(0) < 5 / math.sqrt(n)).all()
