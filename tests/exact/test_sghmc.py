"""The chain over the weights draws from a known posterior, and the model averages over what it
kept.
"""

import math

import pytest
import torch
from vaezoo_plugins.sghmc import Chain, bvae

from tests.conftest import IMAGE, rows_of
from vaezoo.core import Spec
from vaezoo.evaluation import importance_log_likelihood

from . import _quadrature as quadrature

CHAINS = 4000


@pytest.mark.certifies(
    "bvae", claim="SG-HMC draws from a known Gaussian posterior: mean and variance"
)
@pytest.mark.parametrize("adapted", [False, True])
def test_chain_has_the_mean_and_variance_of_a_gaussian_posterior(adapted: bool):
    """4,000 chains of one weight each, n = 4,000; z-scores below 4. N R = ½ N λ (θ - m)², prior
    N(0, s²).
    """
    torch.manual_seed(0)
    n, curvature, centre, width = 50, 0.4, 1.0, 0.5
    start = torch.full((CHAINS,), -1.0, dtype=torch.float64)
    chain = Chain(start, torch.full_like(start, width), n, step=0.01, friction=0.1, kept=2, every=5)
    for i in range(1500):
        noise = 0.02 * torch.randn_like(start) if adapted else 0.0  # the gradient of a minibatch
        chain.move(curvature * (chain.theta - centre) + noise, adapt=adapted and i < 300)
    precision = n * curvature + 1 / width**2
    mean, variance = n * curvature * centre / precision, 1 / precision
    assert abs(chain.theta.mean() - mean) < 4 * math.sqrt(variance / CHAINS)
    assert abs(chain.theta.var() / variance - 1) < 4 * math.sqrt(2 / CHAINS)


def test_oldest_sample_gives_way():
    chain = Chain(torch.zeros(1), torch.ones(1), 10, 0.01, 0.1, kept=3, every=2)
    seen = []
    for _ in range(8):
        chain.move(torch.ones(1), adapt=True)
        seen.append(chain.theta.clone())
    # slots in use: 0 0 1 1 2 2 0 0, each with the last θ of its turn
    assert torch.equal(chain.samples, torch.stack([seen[7], seen[3], seen[5]]))


@pytest.mark.certifies("bvae", claim="p(x) is the mean over the kept weights, by quadrature")
def test_density_is_the_mean_over_the_kept_weights():
    torch.manual_seed(0)
    model = bvae(Spec((4,), latent=2, hidden=8), kept=3).double().eval()
    quadrature.widen(model.encoder.net.out)
    chain = model.decoder.chain
    chain.samples += 0.5 * torch.randn_like(chain.samples)
    x = torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 1]]).double()
    with torch.no_grad():
        exact = torch.stack([quadrature.log_p(member, x) for member in model.members(8)]).logsumexp(
            0
        ) - math.log(3)
        found = importance_log_likelihood(model, x, None, 20_000)
        # two samples at a time
        alone = (
            torch.stack([model.infer(x, None, 2).log_w for _ in range(2000)]).flatten(0, 1).exp()
        )
    assert len(model.members(8)) == 3
    torch.testing.assert_close(found, exact, atol=0.01, rtol=0)
    assert ((alone.mean(0) - exact.exp()).abs() < 5 * alone.std(0) / math.sqrt(4000)).all()


def test_chain_moves_in_training_alone_and_gives_the_optimiser_nothing():
    torch.manual_seed(0)
    model, x = bvae(IMAGE), rows_of(IMAGE, 8)
    chain = model.decoder.chain
    before = chain.theta.clone()
    model.eval()(x)
    with torch.no_grad():
        model.train()(x)
    assert torch.equal(chain.theta, before)
    model(x)["loss"].backward()
    assert not torch.equal(chain.theta, before)
    assert chain.theta.grad is None
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert "decoder.chain.samples" in model.state_dict()
