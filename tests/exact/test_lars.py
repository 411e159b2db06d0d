"""LARS: its density, samples and gradient by quadrature."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.lars import LARS, lars, log_acceptance

from vaezoo.core import Spec
from vaezoo.distributions import normal
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

TRIES = pytest.mark.parametrize("tries", [1, 2, 5, 100])


def prior(dims: int, tries: int = 100, seed: int = 0) -> LARS:
    """With an acceptance that varies, and the Z of quadrature."""
    with seeded("lars", seed):
        made = LARS(Spec((5,), latent=dims, hidden=16), tries).double().eval()
        with torch.no_grad():
            for p in made.logit.parameters():
                p.copy_(torch.randn_like(p) * (0.6 if p.ndim > 1 else 0.3))
    made.mean_a.copy_(exact_z(made).detach())
    return made


def exact_z(made: LARS) -> Tensor:
    dims = len(made.zero)
    z, cell = quadrature.grid(dims, 9.0, 2001 if dims == 1 else 301)
    return (made().proposal.log_prob(z).exp() * made().log_a(z).exp()).sum() * cell


def two_modes(n: int) -> Tensor:
    """Codes around -1.5 and 1.5, (n, 1)."""
    sign = torch.randint(2, (n, 1)) * 2 - 1
    return (1.5 * sign + 0.4 * torch.randn(n, 1)).double()


def trained(steps: int = 300) -> LARS:
    """Fitted to `two_modes` by its own log density, and then `fit`."""
    with seeded("train"):
        made = LARS(Spec((5,), latent=1, hidden=16)).double().train()
        optimiser = torch.optim.Adam(made.parameters(), 0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            (-made().log_prob(two_modes(256)).mean()).backward()
            optimiser.step()
        made.eval().fit(two_modes(10))
    return made


@pytest.mark.certifies("lars", claim="the density integrates to 1, whatever the number of tries")
@TRIES
@pytest.mark.parametrize("dims", [1, 2])
def test_the_density_integrates_to_one(dims, tries):
    made = prior(dims, tries)
    assert 0.05 < made.mean_a.item() < 0.95
    z, cell = quadrature.grid(dims, 9.0, 2001 if dims == 1 else 301)
    with torch.no_grad():
        total = quadrature.log_integral(made().log_prob(z), cell)
    assert total.item() == pytest.approx(0.0, abs=1e-9)
    if tries == 1:
        torch.testing.assert_close(made().log_prob(z), made().proposal.log_prob(z))


@pytest.mark.certifies("lars", claim="samples have the density, by quadrature")
@TRIES
def test_samples_have_the_density(tries):
    """Of 20,000 draws the share in each of 12 cells, z-score below 4.5."""
    made, n = prior(1, tries), 20_000
    with seeded("samples"), torch.no_grad():
        drawn = made().sample((n,)).squeeze(-1)
        z, cell = quadrature.grid(1, 9.0, 18_001)
        mass = made().log_prob(z).exp() * cell
    edges = torch.linspace(-3, 3, 13)
    for low, high in pairwise(edges.tolist()):
        inside = (z.squeeze(-1) >= low) & (z.squeeze(-1) < high)
        share = mass[inside].sum().item()
        found = ((drawn >= low) & (drawn < high)).double().mean().item()
        error = math.sqrt(share * (1 - share) / n)
        assert abs(found - share) < 4.5 * error + 2 * cell


@pytest.mark.certifies("lars", claim="the gradient of log p has the mean of the exact one")
def test_the_gradient_has_the_mean_of_the_exact_one():
    """Z's part is by 1,024 draws: 200 gradients, every parameter, z-score below 4.5."""
    made = prior(1, tries=5)
    points = two_modes(64)
    p = made()
    p.z = exact_z(made)
    exact = quadrature.gradient(made.logit, p.log_prob(points).mean())
    made.train().smooth = 1.0  # the running mean stays at the exact Z
    with seeded("gradient"):
        found = torch.stack(
            [quadrature.gradient(made.logit, made().log_prob(points).mean()) for _ in range(200)]
        )
    error = found.std(0) / math.sqrt(200)
    # a ratio of means: its bias is of the order of Var / draws
    assert ((found.mean(0) - exact).abs() < 4.5 * error + 1e-3).all()


@pytest.mark.certifies("lars", claim="fit finds Z, and training finds two modes")
def test_training_finds_modes_that_a_normal_has_not_and_fit_finds_z():
    """z-score below 4.5 for Z by 200,000 draws; the mean log density is near that of the modes."""
    made = trained()
    z, cell = quadrature.grid(1, 9.0, 4001)
    exact = exact_z(made).item()
    assert abs(made.mean_a.item() - exact) < 4.5 * 0.5 / math.sqrt(200_000)
    centres = torch.tensor([[-1.5], [1.5]]).double()
    modes = torch.logsumexp(normal(centres, torch.full((2, 1), 0.4)).log_prob(z[:, None]), 1)
    truth = (modes - math.log(2)).exp() * cell
    with torch.no_grad():
        total = quadrature.log_integral(made().log_prob(z), cell)
        mean = (truth * made().log_prob(z)).sum()
    assert abs(total.item()) < 0.01
    best = (truth * (modes - math.log(2))).sum()
    plain = (truth * made().proposal.log_prob(z)).sum()
    assert best - mean < 0.15 * (best - plain)


def test_at_first_it_is_the_normal_to_the_bit_of_its_z():
    model = lars(Spec((5,), latent=3, hidden=8)).double().eval()
    z = torch.randn(50, 3).double()
    torch.testing.assert_close(model.prior().log_prob(z), model.prior().proposal.log_prob(z))


def test_the_running_mean_rests_in_evaluation():
    made = prior(1)
    before = made.mean_a.clone()
    made().log_prob(torch.zeros(3, 1).double())
    assert torch.equal(made.mean_a, before)


def test_an_acceptance_never_dies():
    """Unbounded, it fell below 10⁻³⁶ on digits within 120 epochs, and then learned nothing."""
    raw = torch.tensor([[-1e4], [0.0], [1e4]])
    torch.testing.assert_close(log_acceptance(raw).exp(), torch.tensor([0.0066929, 0.5, 0.9933071]))
