"""Rényi bounds: their limits, their order in α, and their gradient."""

import math

import pytest
import torch
from vaezoo_plugins.renyi import renyi, renyi_bound

from vaezoo.core import Spec

SPEC = Spec((1, 8, 8), latent=3, hidden=8)
LOG_W = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.certifies("renyi", claim="α = 1 is the ELBO, α = 0 the importance-weighted bound")
def test_alpha_1_is_the_elbo_and_alpha_0_the_importance_weighted_bound():
    torch.testing.assert_close(renyi_bound(LOG_W, 1.0), LOG_W.mean(0))
    torch.testing.assert_close(renyi_bound(LOG_W, 0.0), LOG_W.exp().mean(0).log())


def test_the_bound_tends_to_the_elbo_as_alpha_tends_to_1():
    # the next term of the expansion is (1-α)/2 Var log w: twice as near, half the gap
    gaps = [renyi_bound(LOG_W, 1 - e) - LOG_W.mean(0) for e in (2e-3, 1e-3)]
    torch.testing.assert_close(gaps[1], 0.5e-3 * LOG_W.var(0, unbiased=False), rtol=1e-2, atol=0)
    torch.testing.assert_close(
        gaps[0] / gaps[1], torch.full((4,), 2.0, dtype=torch.float64), rtol=1e-2, atol=0
    )


def test_the_bound_falls_with_alpha_and_ends_at_the_largest_weight():
    values = torch.stack([renyi_bound(LOG_W, a) for a in (-500.0, -2.0, 0.0, 0.5, 1.0, 2.0)])
    assert (values.diff(dim=0) < 0).all()
    torch.testing.assert_close(values[0], LOG_W.max(0).values, atol=math.log(6) / 500, rtol=0)


@pytest.mark.certifies("renyi", claim="the gradient weighs a draw by w^(1-α)")
@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_the_gradient_weighs_a_draw_by_its_weight_to_the_power_1_minus_alpha(alpha):
    # not by the inverse: for α < 1 the best draw counts most
    log_w = LOG_W.clone().requires_grad_()
    renyi_bound(log_w, alpha).sum().backward()
    powers = LOG_W.exp() ** (1 - alpha)
    torch.testing.assert_close(log_w.grad, powers / powers.sum(0))


def test_alpha_1_trains_the_sampled_elbo():
    torch.manual_seed(0)
    model, x = renyi(SPEC, alpha=1.0, k=5), torch.bernoulli(torch.full((7, 1, 8, 8), 0.5))
    torch.manual_seed(1)
    loss = model(x)["loss"]
    torch.manual_seed(1)
    torch.testing.assert_close(loss, -model.infer(x, k=5).log_w.mean())
