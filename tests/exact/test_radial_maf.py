"""Radial and masked autoregressive posteriors: log-determinants by autograd, densities by
quadrature.
"""

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.maf import maf
from vaezoo_plugins.radial import Radial, before, radial

from vaezoo.core import VAE, Spec
from vaezoo.seeds import seeded

from . import _bends as bends

BUILDS = {"radial": radial, "maf": maf}
KINDS = pytest.mark.parametrize("name", list(BUILDS))
BOTH = pytest.mark.parametrize("steps", [0, 40])


def made(name: str, latent: int, steps: int, spread: float = 3.0) -> tuple[VAE, Tensor]:
    return bends.bent(BUILDS[name], name, latent, steps, spread)


@pytest.mark.certifies(
    "radial", "maf", claim="log |det| is that of autograd's Jacobian, and of the inverse"
)
@KINDS
@pytest.mark.parametrize("latent", [1, 2, 5])
@BOTH
def test_log_determinant_is_that_of_autograds_jacobian(name, latent, steps):
    bends.log_determinant_is_that_of_autograd(*made(name, latent, steps), latent)


@pytest.mark.certifies("radial", "maf", claim="the density integrates to 1, and draws have it")
@KINDS
@BOTH
def test_the_density_integrates_to_one_and_draws_have_it(name, steps):
    bends.density_integrates_and_draws_have_it(*made(name, 2, steps, 2.0), 1e-7, 1.3, 601)


@pytest.mark.certifies("radial", "maf", claim="IWAE comes to log p(x) of quadrature")
@KINDS
def test_importance_sampling_finds_log_p(name):
    model, x = made(name, 2, 0, 1.0)
    with torch.no_grad():
        model.encoder.net.out[-1].bias[2:4] += 1.0
    bends.weights_have_the_mean_of_quadrature(model, x)


@KINDS
def test_single_precision_agrees_with_double(name):
    bends.single_precision_agrees(*made(name, 3, 40, 2.0), 1e-3)


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
