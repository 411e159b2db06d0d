"""Radial and masked autoregressive posteriors: log-determinants by autograd, densities by
quadrature.
"""

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.maf import maf
from vaezoo_plugins.radial import Radial, before, radial

from vaezoo.core import VAE, Spec
from vaezoo.distributions import draw
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

BUILDS = {"radial": radial, "maf": maf}
KINDS = pytest.mark.parametrize("name", list(BUILDS))
BOTH = pytest.mark.parametrize("steps", [0, 40])


def made(name: str, latent: int, steps: int, spread: float = 3.0) -> tuple[VAE, Tensor]:
    """With weights `spread` times as large, for maps far from the identity; and four rows."""
    with seeded(name, latent):
        model = BUILDS[name](Spec((6,), latent=latent, hidden=16), depth=2).double()
        for p in model.encoder.parameters():
            p.data.mul_(spread)
        x = torch.rand(4, 6).round().double()
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            model(x.repeat(8, 1))["loss"].backward()
            optimiser.step()
    return model.eval(), x


@pytest.mark.certifies(
    "radial", "maf", claim="log |det| is that of autograd's Jacobian, and of the inverse"
)
@KINDS
@pytest.mark.parametrize("latent", [1, 2, 5])
@BOTH
def test_log_determinant_is_that_of_autograds_jacobian(name, latent, steps):
    model, x = made(name, latent, steps)
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


@pytest.mark.certifies("radial", "maf", claim="the density integrates to 1, and draws have it")
@KINDS
@BOTH
def test_the_density_integrates_to_one_and_draws_have_it(name, steps):
    """n = 20,000 draws of one row in two dimensions: the share in each quadrant about the mean,
    z-score below 4.5.
    """
    model, x = made(name, 2, steps, 2.0)
    n = 20_000
    q = model.encoder(x[:1])
    with torch.no_grad(), seeded(1):
        drawn, log_q = (t.squeeze(1) for t in draw(q, (n,)))
        found = q.log_prob(drawn[:, None])[:50, 0]
        torch.testing.assert_close(found, log_q[:50], atol=1e-7, rtol=0)
        centre = drawn.mean(0)
        reach = 1.3 * (drawn - centre).abs().max().item()
        z, cell = quadrature.grid(2, reach, 601)
        mass = q.log_prob((z + centre)[:, None]).squeeze(1).exp() * cell
    assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = torch.tensor(signs)
        share = mass[(z * sign > 0).all(-1)].sum().item()
        there = ((drawn - centre) * sign > 0).all(-1).double().mean().item()
        assert abs(there - share) < 4.5 * math.sqrt(share * (1 - share) / n) + 0.006


@pytest.mark.certifies("radial", "maf", claim="IWAE comes to log p(x) of quadrature")
@KINDS
def test_importance_sampling_finds_log_p(name):
    """n = 20,000, z-score below 4.5; of a posterior that is wide, so that weights are even."""
    model, x = made(name, 2, 0, 1.0)
    with torch.no_grad(), seeded(2):
        model.encoder.net.out[-1].bias[2:4] += 1.0
        w = (model.infer(x, k=20_000).log_w - quadrature.log_p(model, x)).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(20_000)).all()


@KINDS
def test_single_precision_agrees_with_double(name):
    model, x = made(name, 3, 40, 2.0)
    single = deepcopy(model).float()
    with seeded(3):
        e = torch.randn(5, 4, 3)
    z, log_det = model.encoder(x).f(e.double())
    z_single, log_det_single = single.encoder(x.float()).f(e)
    torch.testing.assert_close(z_single.double(), z, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(log_det_single.double(), log_det, atol=1e-3, rtol=1e-3)


@pytest.mark.certifies(
    "maf", claim="one transform gives a Gaussian for each number given those before"
)
def test_one_transform_is_gaussian_in_each_number_given_those_before():
    """log q is quadratic in the last number, and its mean moves with the first."""
    with seeded(4):
        model = maf(Spec((6,), latent=2, hidden=16), depth=1).double()
        for p in model.encoder.parameters():
            p.data.mul_(3)
        x = torch.ones(1, 6).double()
    q = model.encoder(x)

    def log_q(z: Tensor) -> Tensor:
        return q.log_prob(z[None, None])[0, 0]

    hessians = []
    for last in (-1.0, 0.5, 2.0):
        z = torch.tensor([0.3, last]).double()
        hessians.append(torch.autograd.functional.hessian(log_q, z)[1, 1])
    torch.testing.assert_close(hessians[0], hessians[1])
    torch.testing.assert_close(hessians[0], hessians[2])
    z = torch.zeros(2).double()
    assert torch.autograd.functional.hessian(log_q, z)[0, 1].abs() > 1e-3


@pytest.mark.certifies(
    "radial", claim="a step moves a point along its ray, by β r/(α + r) of eq. 14"
)
def test_a_step_is_that_of_the_paper():
    with seeded(5):
        encoder = Radial(Spec((6,), latent=3, hidden=16), depth=1).double()
        for p in encoder.parameters():
            p.data.mul_(3)
        x = torch.rand(1, 6).double()
        e = torch.randn(1, 1, 3).double()
    raw = encoder.net(x)[:, 6:]
    centre, alpha, s = encoder._numbers(raw)
    beta = s - alpha
    r = (e - centre).norm(dim=-1, keepdim=True)
    expected = e + beta / (alpha + r) * (e - centre)
    q = encoder(x)
    torch.testing.assert_close(q.f(e)[0], expected)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("s", [1e-3, 1.0, 30.0])
def test_the_radius_before_a_step_is_found_wherever_it_was(alpha, s):
    r = torch.logspace(-4, 4, 60).double()
    alpha, s = torch.tensor(alpha).double(), torch.tensor(s).double()
    after = r * (r + s) / (alpha + r)
    torch.testing.assert_close(before(after, alpha, s), r, rtol=1e-9, atol=0)
