"""The spline posterior: its log-determinant by autograd, its density by quadrature."""

import math
from copy import deepcopy

import pytest
import torch
from vaezoo_plugins.nsf import nsf

from vaezoo.core import VAE, Spec
from vaezoo.distributions import draw
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

BOTH = pytest.mark.parametrize("steps", [0, 40])


def made(latent: int, steps: int, spread: float = 3.0) -> tuple[VAE, torch.Tensor]:
    """With weights `spread` times as large, for splines far from the identity; and four rows."""
    with seeded("nsf", latent):
        model = nsf(Spec((6,), latent=latent, hidden=16), depth=2).double()
        for p in model.encoder.parameters():
            p.data.mul_(spread)
        x = torch.rand(4, 6).round().double()
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            model(x.repeat(8, 1))["loss"].backward()
            optimiser.step()
    return model.eval(), x


@pytest.mark.certifies("nsf", claim="log |det| is that of autograd's Jacobian, and of the inverse")
@pytest.mark.parametrize("latent", [1, 2, 5])
@BOTH
def test_log_determinant_is_that_of_autograds_jacobian(latent, steps):
    model, x = made(latent, steps)
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


@pytest.mark.certifies("nsf", claim="the density integrates to 1, and draws have it")
@BOTH
def test_the_density_integrates_to_one_and_draws_have_it(steps):
    """n = 20,000 draws of one row in two dimensions: the share in each quadrant about the mean,
    z-score below 4.5.
    """
    model, x = made(2, steps, 2.0)
    n = 20_000
    q = model.encoder(x[:1])
    with torch.no_grad(), seeded(1):
        drawn, log_q = (t.squeeze(1) for t in draw(q, (n,)))
        torch.testing.assert_close(
            q.log_prob(drawn[:, None])[:50, 0], log_q[:50], atol=1e-5, rtol=0
        )
        centre = drawn.mean(0)
        reach = 1.2 * (drawn - centre).abs().max().item()
        z, cell = quadrature.grid(2, reach, 301)
        mass = q.log_prob((z + centre)[:, None]).squeeze(1).exp() * cell
    assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = torch.tensor(signs)
        share = mass[(z * sign > 0).all(-1)].sum().item()
        found = ((drawn - centre) * sign > 0).all(-1).double().mean().item()
        assert abs(found - share) < 4.5 * math.sqrt(share * (1 - share) / n) + 0.006


@pytest.mark.certifies("nsf", claim="IWAE comes to log p(x) of quadrature")
@BOTH
def test_importance_sampling_finds_log_p(steps):
    """n = 20,000, z-score below 4.5; of a posterior that is wide, so that weights are even."""
    model, x = made(2, steps, 1.0)
    last = model.encoder.net.out[-1]
    with torch.no_grad(), seeded(2):
        last.bias[2:4] += 1.0
        for p in model.encoder.flow.parameters():
            p.mul_(1.5)
        w = (model.infer(x, k=20_000).log_w - quadrature.log_p(model, x)).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(20_000)).all()


@BOTH
def test_single_precision_agrees_with_double(steps):
    model, x = made(3, steps)
    single = deepcopy(model).float()
    with seeded(3):
        e = torch.randn(5, 4, 3)
    z, log_det = model.encoder(x).f(e.double())
    z_single, log_det_single = single.encoder(x.float()).f(e)
    torch.testing.assert_close(z_single.double(), z, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_det_single.double(), log_det, atol=1e-4, rtol=1e-4)


def test_a_spline_can_have_two_modes():
    """Trained by log q of draws around -1.5 and 1.5, in one dimension."""
    with seeded(4):
        model = nsf(Spec((6,), latent=1, hidden=16), depth=1)
        sign = torch.randint(2, (512, 1, 1)) * 2 - 1
        z = 1.5 * sign + 0.3 * torch.randn(512, 1, 1)
        x = torch.ones(1, 6)
        optimiser = torch.optim.Adam(model.encoder.parameters(), 0.01)
        for _ in range(300):
            optimiser.zero_grad()
            loss = -model.encoder(x).log_prob(z).mean()
            loss.backward()
            optimiser.step()
    entropy = math.log(2) + 0.5 * math.log(2 * math.pi * math.e * 0.09)
    gaussian = 0.5 * math.log(2 * math.pi * math.e * (1.5**2 + 0.09))
    assert loss.item() < entropy + 0.2 * (gaussian - entropy)
