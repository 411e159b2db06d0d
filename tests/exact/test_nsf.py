"""The spline posterior: its log-determinant by autograd, its density by quadrature."""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.nsf import nsf

from vaezoo.core import VAE, Spec
from vaezoo.seeds import seeded

from . import _bends as bends

BOTH = pytest.mark.parametrize("steps", [0, 40])


def made(latent: int, steps: int, spread: float = 3.0) -> tuple[VAE, Tensor]:
    return bends.bent(nsf, "nsf", latent, steps, spread)


@pytest.mark.certifies("nsf", claim="log |det| is that of autograd's Jacobian, and of the inverse")
@pytest.mark.parametrize("latent", [1, 2, 5])
@BOTH
def test_log_determinant_is_that_of_autograds_jacobian(latent, steps):
    bends.log_determinant_is_that_of_autograd(*made(latent, steps), latent)


@pytest.mark.certifies("nsf", claim="the density integrates to 1, and draws have it")
@BOTH
def test_the_density_integrates_to_one_and_draws_have_it(steps):
    bends.density_integrates_and_draws_have_it(*made(2, steps, 2.0), 1e-5, 1.2, 301)


@pytest.mark.certifies("nsf", claim="IWAE comes to log p(x) of quadrature")
@BOTH
def test_importance_sampling_finds_log_p(steps):
    model, x = made(2, steps, 1.0)
    with torch.no_grad():
        model.encoder.net.out[-1].bias[2:4] += 1.0
        for p in model.encoder.flow.parameters():
            p.mul_(1.5)
    bends.weights_have_the_mean_of_quadrature(model, x)


@BOTH
def test_single_precision_agrees_with_double(steps):
    bends.single_precision_agrees(*made(3, steps), 1e-4)


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
