"""InfoVAE: maximum mean discrepancy of shifted Gaussians against its closed form, and its lack of
bias.
"""

import math

import pytest
import torch
from vaezoo_plugins.info import gaussian_mmd, info

from vaezoo.core import Spec
from vaezoo.losses import aggregate, mmd, squared_distances


def closed_form(shift, d, width):
    """MMD² of N(0, I) and N(shift·1, I) in d dimensions under exp(-‖·‖²/(2 width))."""
    same = (width / (width + 2)) ** (d / 2)  # E k of a difference N(0, 2 I)
    return 2 * same * (1 - math.exp(-(shift**2) * d / (2 * (width + 2))))


@pytest.mark.certifies("info", claim="the MMD has the closed form of two Gaussians for its mean")
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_gaussian_mmd_is_unbiased_for_its_closed_form(shift):
    torch.manual_seed(0)
    # the mean of 4000 estimates within 4 standard errors; a biased one is out by 2/n
    d, repeats, n = (
        3,
        4000,
        10,
    )
    draws = torch.randn(repeats, 2, n, d, dtype=torch.float64)
    values = torch.stack([gaussian_mmd(x, y + shift) for x, y in draws])
    z = (values.mean() - closed_form(shift, d, width=d)) / (values.std() / repeats**0.5)
    assert abs(z) < 4
    # so a biased one would be seen
    assert 2 / n * (1 - (d / (d + 2)) ** (d / 2)) > 10 * values.std() / repeats**0.5


def test_mmd_is_the_double_loop():
    a, b = torch.randn(5, 2, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    k = lambda u, v: 1 / (1 + ((u - v) ** 2).sum())  # noqa: E731
    aa = sum(k(a[i], a[j]) for i in range(5) for j in range(5) if i != j) / 20
    bb = sum(k(b[i], b[j]) for i in range(7) for j in range(7) if i != j) / 42
    ab = sum(k(u, v) for u in a for v in b) / 35
    torch.testing.assert_close(mmd(a, b, lambda s: 1 / (1 + s)), aa + bb - 2 * ab)


def test_squared_distances_are_those_of_cdist():
    a, b = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(squared_distances(a, b), torch.cdist(a, b) ** 2)


@pytest.mark.certifies("info", claim="α = 0, λ = 1 is the ELBO")
def test_alpha_0_and_weight_1_give_the_plain_bound():
    torch.manual_seed(0)
    model, x = (
        info(Spec((1, 8, 8), latent=3, hidden=8), alpha=0.0, weight=1.0),
        torch.ones(6, 1, 8, 8),
    )
    terms = model(x)
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])


@pytest.mark.certifies("info", claim="the weights of KL and MMD are those of equation 6")
def test_the_weights_are_those_of_equation_6():
    torch.manual_seed(0)
    model, x = (
        info(Spec((1, 8, 8), latent=3, hidden=8), alpha=0.3, weight=5.0),
        torch.ones(6, 1, 8, 8),
    )
    t = model(x)
    torch.testing.assert_close(t["loss"], t["distortion"] + 0.7 * t["rate"] + 4.3 * t["mmd"])


def test_aggregate_draws_one_code_and_one_prior_point_a_row():
    trace = info(Spec((1, 8, 8), latent=3, hidden=8)).infer(torch.ones(6, 1, 8, 8))
    codes, prior = aggregate(trace.latents[0])
    assert codes.shape == prior.shape == (6, 3)
    assert codes.requires_grad
    assert not prior.requires_grad
