"""The thermodynamic objective at even moments, where every expectation is an integral over a grid:
its limits, its order, and the bound on its gap.
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.moment_tvo import (
    MomentThermodynamic,
    even_moments,
    left_sum,
    moment_tvo,
    moments,
)

from vaezoo.core import Spec, Unsupported
from vaezoo.losses import ELBO
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

BOTH = pytest.mark.parametrize("is_trained", [False, True])


def on_a_grid(is_trained: bool) -> tuple[Tensor, Tensor, Tensor]:
    """log w and log of the mass of q, (N, B), at the points of a grid over z, and log p(x) (B,)."""
    model, x = (quadrature.trained if is_trained else quadrature.tiny)(ELBO())
    z, cell = quadrature.grid(2, 8.0, 61)
    with torch.no_grad():
        log_q = model.encoder(x).log_prob(z[:, None])
        log_w = model.decoder(z[:, None]).log_prob(x) + model.prior().log_prob(z[:, None]) - log_q
        return log_w, log_q, quadrature.log_integral(log_w + log_q, cell)


@pytest.mark.certifies(
    "moment_tvo", claim="one interval is the ELBO, many come to log p(x), rising, by quadrature"
)
@BOTH
def test_one_interval_is_the_elbo_and_many_come_to_log_p(is_trained):
    log_w, log_q, exact = on_a_grid(is_trained)
    values = []
    for points in (1, 2, 4, 8, 32, 200):
        betas = even_moments(log_w, log_q, points)
        values.append(left_sum(log_w, log_q, betas).mean())
    elbo = (log_q.softmax(0) * log_w).sum(0)
    torch.testing.assert_close(values[0], elbo.mean(), rtol=1e-10, atol=1e-10)
    assert all(a < b < exact.mean() for a, b in pairwise(values))
    gap = exact.mean() - values[-1]
    assert gap < 1e-2 * (exact.mean() - elbo.mean())


@pytest.mark.certifies(
    "moment_tvo", claim="its moments are even, and its gap at most (η_1 - η_0)/P"
)
@BOTH
@pytest.mark.parametrize("points", [2, 5, 20])
def test_the_moments_are_even_and_bound_the_gap(points, is_trained):
    """Between the left sum and the right one lies the integral: they differ by that much."""
    log_w, log_q, exact = on_a_grid(is_trained)
    betas = even_moments(log_w, log_q, points)
    assert betas[0] == 0
    assert betas[-1] == 1
    rises = moments(log_w, log_q, betas).mean(1).diff()
    torch.testing.assert_close(rises, rises.mean().expand(points), rtol=1e-6, atol=1e-9)
    gap = (exact - left_sum(log_w, log_q, betas)).mean()
    assert 0 < gap < rises.sum() / points


@pytest.mark.certifies("moment_tvo", claim="of k draws, many intervals are the bound of iwae")
def test_many_intervals_of_draws_are_iwae():
    model, x = quadrature.trained(ELBO())
    with torch.no_grad(), seeded(1):
        log_w = model.infer(x, k=8).log_w
    zero = torch.zeros_like(log_w)
    betas = even_moments(log_w, zero, 2000)
    iwae = log_w.exp().mean(0).log()
    torch.testing.assert_close(left_sum(log_w, zero, betas).mean(), iwae.mean(), atol=1e-3, rtol=0)
    assert left_sum(log_w, zero, betas).mean() < iwae.mean()


@BOTH
@pytest.mark.parametrize("gradient", ["covariance", "pathwise"])
def test_one_point_has_the_value_of_the_elbo_and_the_decoders_gradient(gradient, is_trained):
    """Of the same draws: with one interval no weight is uneven."""
    loss = MomentThermodynamic(4, 1, gradient)
    model, x = (quadrature.trained if is_trained else quadrature.tiny)(loss)
    with seeded(2):
        value = model(x)["loss"]
    with seeded(2):
        expected = -model.infer(x, k=4).log_w.mean()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    found = quadrature.gradient(model, value, model.decoder)
    right = quadrature.gradient(model, expected, model.decoder)
    torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_the_covariance_gradient_has_the_mean_of_the_exact_one():
    """One interval, against the path's: 100 means over 100 rows, z-score below 4.5."""
    model, x = quadrature.trained(MomentThermodynamic(8, 1, "covariance"))
    x = x[:1].repeat(100, 1)
    with seeded("covariance"):
        drawn = []
        for _ in range(100):
            drawn.append(quadrature.gradient(model, model(x)["loss"], model.encoder))
        found = torch.stack(drawn)
        exact = torch.stack(
            [
                quadrature.gradient(model, -model.infer(x, k=8).log_w.mean(), model.encoder)
                for _ in range(100)
            ]
        )
    error = (found.var(0) / 100 + exact.var(0) / 100).sqrt().clamp_min(1e-12)
    assert ((found.mean(0) - exact.mean(0)).abs() / error).max() < 4.5


def test_single_precision_agrees_with_double():
    log_w = 30 * torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros_like(log_w)
    single = left_sum(log_w, zero, even_moments(log_w, zero, 5)).mean()
    wide = log_w.double()
    double = left_sum(wide, zero.double(), even_moments(wide, zero.double(), 5)).mean()
    assert abs(single.double() - double) < 1e-4 * (1 + double.abs())


def test_the_covariance_gradient_needs_two_draws():
    with pytest.raises(Unsupported, match="two draws"):
        moment_tvo(Spec((6,), latent=2, hidden=8), k=1)
