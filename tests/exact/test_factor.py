"""FactorVAE: one backward pass for two players, and the critic's total correlation against the
closed form.
"""

import math

import pytest
import torch
from vaezoo_plugins.factor import Factor, factor, halves, shuffle_each_dimension

from vaezoo.core import Spec
from vaezoo.networks import Gaussian, frozen
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=32)


@pytest.mark.certifies(
    "factor", claim="one backward pass gives each player the gradient of its own loss"
)
def test_one_backward_pass_gives_each_player_its_own_gradient():
    torch.manual_seed(0)
    model = factor(SPEC).double()
    x = torch.randint(0, 2, (10, 6)).double()
    with seeded(1):
        both = model(x)["loss"]
    with seeded(1):
        trace = model.infer(x)
        joint, other = halves(trace.z[0])
        shuffled = shuffle_each_dimension(other.detach())
    objective = -trace.log_px.mean() + trace.kl.mean() + 6.4 * model.loss.critic(joint).mean()
    critic = model.loss.cross_entropy(joint.detach(), shuffled)
    for part, own in [(model.encoder, objective), (model.decoder, objective), (model.loss, critic)]:
        torch.testing.assert_close(
            quadrature.gradient(model, both, part),
            quadrature.gradient(model, own, part),
            atol=1e-12,
            rtol=0,
        )


def test_the_critic_does_not_move_the_codes_nor_the_codes_the_critic():
    torch.manual_seed(0)
    model = factor(SPEC)
    terms = model(torch.randint(0, 2, (10, 6)).float())
    assert quadrature.gradient(model, terms["critic"], model.encoder).abs().max() == 0
    assert quadrature.gradient(model, terms["monitor"], model.loss.critic).abs().max() == 0


def test_shuffling_keeps_each_dimension_and_breaks_their_dependence():
    z = torch.randn(4000, 1).expand(-1, 3) + 0.0
    shuffled = shuffle_each_dimension(z)
    assert torch.equal(shuffled.sort(0).values, z.sort(0).values)
    correlation = torch.corrcoef(shuffled.T)
    # z-score 4.5 of a correlation of 0
    assert (correlation - torch.eye(3)).abs().max() < 4.5 / 4000**0.5


def test_halves_of_an_odd_batch_and_of_one_row_are_never_empty():
    for rows in (1, 2, 5):
        a, b = halves(torch.arange(rows)[:, None])
        assert len(a) == len(b) == (rows + 1) // 2


@pytest.mark.certifies(
    "factor", claim="a trained critic reads the total correlation of a Gaussian, -½ log(1 - ρ²)"
)
def test_trained_critic_reads_the_total_correlation_of_a_gaussian():
    """TC of two standard normals with correlation ρ is -½ log(1 - ρ²): 0.51 nats for ρ = 0.8."""
    encoder = Gaussian(SPEC)
    torch.manual_seed(0)
    loss, rho = Factor(SPEC, encoder), 0.8
    root = torch.tensor([[1.0, 0.0], [rho, (1 - rho**2) ** 0.5]])
    optimiser = torch.optim.Adam(loss.critic.parameters(), 3e-3)
    for _ in range(600):
        z = torch.randn(512, 2) @ root.T
        entropy = loss.cross_entropy(z[:256], shuffle_each_dimension(z[256:]))
        optimiser.zero_grad()
        entropy.backward()
        optimiser.step()
    with frozen(loss):
        tc = loss.critic(torch.randn(20_000, 2) @ root.T).mean()
    assert abs(tc + 0.5 * math.log(1 - rho**2)) < 0.08
