"""Flows that are fitted to codes after training: their densities in two dimensions by quadrature,
and by the velocity of a mixture, which is known.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from vaezoo_plugins.autoregressive_flows import IAF, MAF
from vaezoo_plugins.probability_flows import Diffusion, FlowMatching, ProbabilityFlow

from vaezoo.core import Unsupported
from vaezoo.diffusion import kept
from vaezoo.distributions import mixture
from vaezoo.fitted import Scale
from vaezoo.samplers import Sampler
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

MEANS = torch.tensor([[-1.2, -0.5], [1.0, 0.6]]).double()
SCALES = torch.tensor([0.4, 0.7]).double()
QUICK = {"hidden": 32, "steps": 300, "learning_rate": 5e-3}
BUILDS = {
    "maf": lambda: MAF(**QUICK),
    "iaf": lambda: IAF(**QUICK),
    "flow_matching": lambda: FlowMatching(**QUICK | {"steps": 600}, evaluations=20),
    "diffusion": lambda: Diffusion(**QUICK | {"steps": 600}, evaluations=20),
}
KINDS = pytest.mark.parametrize("name", list(BUILDS))


def clumps() -> torch.distributions.Distribution:
    covariances = SCALES[:, None, None].square() * torch.eye(2).double()
    return mixture(torch.zeros(2).double(), MultivariateNormal(MEANS, covariances))


def fitted(name: str) -> tuple[Sampler, Tensor]:
    with seeded("fitted"):
        z = clumps().sample((3000,))
        sampler = BUILDS[name]()
        sampler.fit(z, 0)
    return sampler, z


@KINDS
def test_the_density_integrates_to_one_and_draws_have_it(name):
    """n = 4,000 draws: the share in each quadrant about the mean, z-score below 4.5."""
    sampler, z = fitted(name)
    # an even number of points: none lies on an axis, between two quadrants
    points, cell = quadrature.grid(2, 6.0, 60)
    mass = sampler.log_prob(points).exp() * cell
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-2)
    with seeded("draws"):
        drawn = sampler.sample(4000)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = torch.tensor(signs)
        share = mass[(points * sign > 0).all(-1)].sum().item()
        found = (drawn * sign > 0).all(-1).double().mean().item()
        assert abs(found - share) < 4.5 * math.sqrt(share * (1 - share) / 4000) + 0.002

    # and it is that of the codes, in nats: nearer to the truth than one Gaussian is
    true = clumps().log_prob(z).mean()
    gaussian = MultivariateNormal(z.mean(0), z.T.cov()).log_prob(z).mean()
    found = sampler.log_prob(z).mean()
    assert true - 0.2 < found < true + 0.05
    assert found > gaussian


class ExactFlow(nn.Module):
    """E[z - e | (1 - t) e + t z] of the mixture."""

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        t = t.unsqueeze(-1)  # (N, 1, 1)
        variance = t**2 * SCALES[:, None] ** 2 + (1 - t) ** 2  # (N, M, 1)
        off = z.unsqueeze(1) - t * MEANS  # (N, M, 2)
        log_density = -off.square().sum(-1) / (2 * variance[..., 0]) - variance[..., 0].log()
        slope = (t * SCALES[:, None] ** 2 - (1 - t)) / variance
        return (log_density.softmax(-1)[..., None] * (MEANS + slope * off)).sum(1)


class ExactNoise(nn.Module):
    """E[e | α z + σ e] of the mixture."""

    def forward(self, s: Tensor, z: Tensor) -> Tensor:
        alpha, sigma = (one.unsqueeze(-1) for one in kept(s))
        variance = alpha**2 * SCALES[:, None] ** 2 + sigma**2
        off = z.unsqueeze(1) - alpha * MEANS
        log_density = -off.square().sum(-1) / (2 * variance[..., 0]) - variance[..., 0].log()
        return (log_density.softmax(-1)[..., None] * sigma * off / variance).sum(1)


@pytest.mark.parametrize(
    ("sampler", "net"), [(FlowMatching(), ExactFlow()), (Diffusion(), ExactNoise())]
)
def test_the_flow_of_a_known_velocity_has_the_known_density(sampler: ProbabilityFlow, net):
    """log p by the probability flow is that of the mixture to 1e-2 nats, where its mass is."""
    sampler.scale = Scale(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).double())  # mean 0, deviation 1
    sampler.net = net
    with seeded("points"):
        z = clumps().sample((200,))
        drawn = sampler.sample(5000)
    torch.testing.assert_close(sampler.log_prob(z), clumps().log_prob(z), atol=1e-2, rtol=0)
    error = drawn.std(0) / math.sqrt(5000)
    assert ((drawn.mean(0) - MEANS.mean(0)).abs() < 4.5 * error + 2e-3).all()
    true = (SCALES.square().mean() + MEANS.var(0, unbiased=False)).sqrt()
    torch.testing.assert_close(drawn.std(0), true, rtol=0.05, atol=0)


@pytest.mark.parametrize(("sampler", "net"), [(FlowMatching, ExactFlow), (Diffusion, ExactNoise)])
def test_what_is_learned_is_the_conditional_mean(sampler, net):
    """The exact network costs less than a tenth more of it, or a tenth less."""
    costs = []
    for factor in (0.9, 1.0, 1.1):
        made = sampler()
        exact = net()
        made.net = lambda t, z, f=factor, exact=exact: f * exact(t, z)
        with seeded("cost"):
            z = clumps().sample((20_000,))
            t = torch.rand(20_000, 1).double()
            costs.append(made.cost(z, torch.randn_like(z), t).item())
    assert costs[1] == min(costs)


@KINDS
def test_one_seed_gives_one_fit_and_rows_of_any_scale_are_learned(name):
    with seeded("rows"):
        z = 1e4 * torch.randn(64, 3) + torch.tensor([0.0, 5e5, 1.0])
        z[:, 2] = 1.0  # a constant
    drawn = []
    for _ in range(2):
        with seeded("again"):
            sampler = BUILDS[name]()
            sampler.steps = 5
            sampler.fit(z, 0)
            drawn.append(sampler.sample(10))
    assert torch.equal(*drawn)
    assert drawn[0].dtype == torch.float32
    assert drawn[0].isfinite().all()


def test_one_dimension_has_nothing_to_couple():
    for kind in (MAF, IAF):
        with pytest.raises(Unsupported, match="latent ≥ 2"):
            kind().fit(torch.randn(9, 1), 0)
