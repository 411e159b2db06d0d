"""What every posterior that pushes a Gaussian draw through a map must keep."""

import math
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from vaezoo.core import VAE, Spec
from vaezoo.distributions import draw
from vaezoo.seeds import seeded

from . import _quadrature as quadrature
from ._trained import descended, once


@once
def bent(
    build: Callable[..., VAE], name: str, latent: int, steps: int, spread: float
) -> tuple[VAE, Tensor]:
    """With weights `spread` times as large, for maps far from the identity; and four rows."""
    with seeded(name, latent):
        model = build(Spec((6,), latent=latent, hidden=16), depth=2).double()
        for p in model.encoder.parameters():
            p.data.mul_(spread)
        x = torch.rand(4, 6).round().double()
        descended(model, x.repeat(8, 1), steps)
    return model.eval(), x


def log_determinant_is_that_of_autograd(model: VAE, x: Tensor, latent: int) -> None:
    """And of the inverse."""
    q = model.encoder(x)
    with seeded(0):
        e = 2 * torch.randn(1, 4, latent).double()
    z, log_det = q.f(e)
    jacobian = torch.autograd.functional.jacobian(lambda e: q.f(e)[0], e)
    for b in range(4):
        expected = torch.linalg.slogdet(jacobian[0, b, :, 0, b]).logabsdet
        torch.testing.assert_close(log_det[0, b], expected, rtol=1e-9, atol=1e-9)
    back, again = q.inverse(z)
    torch.testing.assert_close(back, e, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(again, log_det, rtol=1e-6, atol=1e-6)


def density_integrates_and_draws_have_it(
    model: VAE, x: Tensor, atol: float, beyond: float, nodes: int
) -> None:
    """n = 20,000 draws of one row in two dimensions: the share in each quadrant about the mean,
    z-score below 4.5. The grid goes `beyond` times as far as the farthest draw.
    """
    n = 20_000
    q = model.encoder(x[:1])
    with torch.no_grad(), seeded(1):
        drawn, log_q = (t.squeeze(1) for t in draw(q, (n,)))
        found = q.log_prob(drawn[:, None])[:50, 0]
        torch.testing.assert_close(found, log_q[:50], atol=atol, rtol=0)
        centre = drawn.mean(0)
        reach = beyond * (drawn - centre).abs().max().item()
        z, cell = quadrature.grid(2, reach, nodes)
        mass = q.log_prob((z + centre)[:, None]).squeeze(1).exp() * cell
    assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = torch.tensor(signs)
        share = mass[(z * sign > 0).all(-1)].sum().item()
        there = ((drawn - centre) * sign > 0).all(-1).double().mean().item()
        assert abs(there - share) < 4.5 * math.sqrt(share * (1 - share) / n) + 0.006


def weights_have_the_mean_of_quadrature(model: VAE, x: Tensor) -> None:
    """n = 20,000, z-score below 4.5; of a posterior that is wide, so that weights are even."""
    with torch.no_grad(), seeded(2):
        w = (model.infer(x, k=20_000).log_w - quadrature.log_p(model, x)).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(20_000)).all()


def single_precision_agrees(model: VAE, x: Tensor, tolerance: float) -> None:
    single = deepcopy(model).float()
    with seeded(3):
        e = torch.randn(5, 4, 3)
    z, log_det = model.encoder(x).f(e.double())
    z_single, log_det_single = single.encoder(x.float()).f(e)
    torch.testing.assert_close(z_single.double(), z, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(log_det_single.double(), log_det, atol=tolerance, rtol=tolerance)
