"""Hamiltonian dynamics in a learned metric: its volume as computed, its way back, an unbiased
estimate of p(x), and a sampler by the metric's volume.
"""

import math
from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.rhvae import ByVolume, rhvae
from vaezoo_plugins.vanilla import vae

from tests.conftest import VECTOR
from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.leapfrog import KernelMetric
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=8)
BOTH = pytest.mark.parametrize("steps", [0, 40])


@cache
def _trained(steps: int) -> tuple[VAE, Tensor]:
    """A small rhvae in float64, and four rows of bits."""
    with seeded("rhvae"):
        model = rhvae(SPEC, steps=2, centroids=8).double()
        x = torch.randint(0, 2, (4, 6)).double()
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(max(1, steps)):  # once, for a metric
            optimiser.zero_grad()
            model(x.repeat(8, 1))["loss"].backward()
            if steps:
                optimiser.step()
    return model.eval(), x


def made(steps: int) -> tuple[VAE, Tensor]:
    model, x = _trained(steps)
    return deepcopy(model), x


def far_metric(d: int = 3) -> KernelMetric:
    """Kernels of large and unlike matrices, so that the implicit steps have something to solve."""
    with seeded("metric"):
        root = torch.randn(5, d, d).double()
        return KernelMetric(torch.randn(5, d).double(), root @ root.mT / 5, 2.0, 0.01)


def start(model: VAE, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    with seeded("start"):
        shape = (k, len(x), model.prior().event_shape[0])
        return torch.randn(shape).double(), torch.randn(shape).double()


@pytest.mark.certifies("rhvae", claim="the learned metric is positive definite")
@BOTH
def test_the_metric_is_positive_definite_and_bounded(steps):
    """Also where there is no code, and for raw numbers of any size: λ ≤ eigenvalues ≤ λ + D."""
    model, _ = made(steps)
    learned = model.encoder.metric
    z = torch.cat([quadrature.grid(2, 8.0, 41)[0], learned.centres])
    metric = KernelMetric(learned.centres, learned.matrices, learned.tau, learned.floor)
    found = torch.linalg.eigvalsh(metric.inverse(z))
    assert (found >= learned.floor * (1 - 1e-9)).all()
    assert found.max() > 1.3 * learned.floor
    for size in (1e-3, 1.0, 1e3):
        root = learned.roots(size * torch.randn(50, 2, 2).double())
        raw = KernelMetric(learned.centres[:1], (root @ root.mT).mean(0)[None], learned.tau, 0.01)
        assert (torch.linalg.eigvalsh(raw.inverse(z)) >= 0.01 * (1 - 1e-9)).all()
        assert torch.linalg.matrix_norm(root).max() <= math.sqrt(2) + 1e-9


@pytest.mark.certifies(
    "rhvae", claim="log |det| of the dynamics, however far it is solved, is that of autograd"
)
@BOTH
@pytest.mark.parametrize("solves", [1, 3, 40])
def test_log_determinant_is_that_of_autograds_jacobian(steps, solves):
    model, x = made(steps)
    leapfrog = model.encoder(x[:1]).leapfrog
    leapfrog.metric = far_metric(2)
    leapfrog.solves = solves
    leapfrog.step = torch.tensor(0.2).double()
    scales = torch.tensor([1.5, 1.2, 1.0]).double()
    z, momentum = start(model, x[:1], 1)

    def pair(both: Tensor) -> Tensor:
        moved = leapfrog.run(both[:2].view(1, 1, 2), both[2:].view(1, 1, 2), scales)
        return torch.cat([moved[0].flatten(), moved[1].flatten()])

    both = torch.cat([z.flatten(), momentum.flatten()])
    jacobian = torch.autograd.functional.jacobian(pair, both)
    found = leapfrog.run(z, momentum, scales)[2].item() - 2 * math.log(1.5)
    assert found == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-10)
    if solves == 40:  # converged: the temperings alone change the volume
        assert found == pytest.approx(-2 * math.log(1.5), abs=1e-10)
    if solves == 1:
        assert abs(found + 2 * math.log(1.5)) > 1e-4


@pytest.mark.certifies("rhvae", claim="leapfrog run backwards returns to its start")
@BOTH
def test_dynamics_run_backwards_return_to_the_start(steps):
    """Without tempering, with the momentum turned round, and the implicit steps solved."""
    model, x = made(steps)
    leapfrog = model.encoder(x).leapfrog
    leapfrog.metric = far_metric(2)
    leapfrog.solves = 60
    leapfrog.step = torch.tensor(0.15).double()
    scales = torch.ones(5).double()
    z, momentum = start(model, x, 6)
    end, last, _ = leapfrog.run(z, momentum, scales)
    assert (end - z).abs().max() > 0.1
    back, first, _ = leapfrog.run(end, -last, scales)
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(-first, momentum, rtol=1e-9, atol=1e-9)


def test_the_force_of_the_kinetic_energy_is_its_gradient():
    metric = far_metric()
    with seeded("force"):
        z, momentum = torch.randn(2, 7, 3).double()

    def energy(z: Tensor) -> Tensor:
        return (momentum * (metric.inverse(z) @ momentum[..., None]).squeeze(-1)).sum() / 2

    expected = torch.func.grad(energy)(z)
    found = (metric.turn(z, momentum) @ momentum[..., None]).squeeze(-1) / 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.certifies(
    "rhvae", claim="the bound is below log p(x) of quadrature, and its weights have the mean p(x)"
)
@BOTH
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_the_bound_is_one_and_the_weights_have_the_mean_of_the_likelihood(steps, kind):
    """n = 20,000 draws a row, z-score below 4.5."""
    model, x = made(steps)
    n = 20_000
    exact = quadrature.log_p(model, x)
    model = model.to(kind)
    with torch.no_grad(), seeded("weights", steps):
        log_w = model.infer(x.to(kind), k=n).log_w.double()
    error = log_w.std(0) / math.sqrt(n)
    assert (log_w.mean(0) < exact + 4.5 * error).all()
    w = (log_w - exact).exp()
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(n) + 1e-4).all()


@pytest.mark.certifies(
    "rhvae", claim="from one Gaussian and for one decoder its bound is tighter than that of vae"
)
def test_the_gap_is_smaller_than_that_of_the_plain_vae_from_the_same_gaussian():
    """The Gaussian is near the prior, as a fresh encoder gives it; the dynamics alone train, for 40
    steps. n = 4,000.
    """
    with seeded("gap"):
        model = rhvae(SPEC, 3, centroids=8, temperature=3.0, largest=1.0, hottest=0.1).double()
        for p in model.decoder.parameters():
            p.data.copy_(0.9 * torch.randn_like(p))
        for p in model.encoder.net.parameters():
            p.data.mul_(0.1)
        x = torch.randint(0, 2, (8, 6)).double()
        model.encoder.net.requires_grad_(False)
        model.decoder.requires_grad_(False)
        optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.1)
        for _ in range(40):
            optimiser.zero_grad()
            model(x.repeat(4, 1))["loss"].backward()
            optimiser.step()
        model.eval()
        plain = VAE(model.encoder.net, model.decoder, model.prior, model.loss)
        with torch.no_grad():
            exact = quadrature.log_p(model, x)
            gap = (exact - model.infer(x, k=4000).log_w.mean(0)).mean().item()
            plain_gap = (exact - plain.infer(x, k=4000).log_w.mean(0)).mean().item()
    assert 0 < gap < 0.9 * plain_gap


@pytest.mark.certifies("rhvae", claim="its sampler draws √det S of a ball, by quadrature")
def test_the_sampler_draws_the_density_of_the_volume():
    """n = 4,000 chains; the share of each of 16 squares, z-score below 4.5."""
    model, _ = made(40)
    n = 4000
    sampler = ByVolume(rounds=60)
    with seeded("volume"):
        codes = torch.randn(100, 2).double()
        sampler.fit_to(model, codes, 0)
        z = sampler.sample(n)
    assert (z.norm(dim=-1) <= sampler.radius).all()
    points, _ = quadrature.grid(2, sampler.radius.item(), 401)
    mass = sampler.log_density(points).exp()
    mass = mass / mass.sum()
    side = sampler.radius.item() / 2
    for share, there in zip(squares(points, side, mass), squares(z, side), strict=True):
        assert abs(there - share) < 4.5 * math.sqrt(share * (1 - share) / n) + 0.004


def squares(z: Tensor, side: float, mass: Tensor | None = None) -> list[float]:
    """The share of z (N, 2), or of its mass (N,), in each of 16 squares."""
    mass = torch.full((len(z),), 1 / len(z)) if mass is None else mass
    index = (z / side).floor().long().clamp(-2, 1) + 2
    return [
        mass[(index == torch.tensor([i, j])).all(-1)].sum().item()
        for i in range(4)
        for j in range(4)
    ]


def test_a_model_without_a_metric_is_refused_by_the_sampler():
    with pytest.raises(Unsupported, match="learned metric"):
        ByVolume().fit_to(vae(SPEC), torch.zeros(3, 2), 0)
    with pytest.raises(Unsupported, match="learned metric"):
        ByVolume().fit_to(rhvae(SPEC, steps=0), torch.zeros(3, 2), 0)


def test_no_steps_is_the_plain_vae():
    bounds.is_plain(lambda: rhvae(VECTOR, steps=0))


def test_decoder_and_prior_are_saved_once():
    assert not any(name.startswith("encoder._target") for name in rhvae(VECTOR).state_dict())
