"""The particle filter's likelihood estimate, on chains whose p(x) is known without any filter."""

import functools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from vaezoo_plugins.dkf import DMM, dmm
from vaezoo_plugins.dsae import dsae
from vaezoo_plugins.storn import storn
from vaezoo_plugins.vrae import vrae
from vaezoo_plugins.vrnn import vrnn

from vaezoo.core import Spec, Unsupported
from vaezoo.fivo import FIVO, resampled
from vaezoo.seeds import seeded
from vaezoo.stepwise import normals

T, D = 5, 2
SPEC = Spec((T, 2), "normal", latent=D, hidden=6)


def untrained(spec: Spec = SPEC) -> DMM:
    """A linear deep Markov model whose proposal has learned nothing."""
    with seeded("chain"):
        model = dmm(spec, linear=True).double()
    with torch.no_grad():
        model.likelihood.head.log_scale.fill_(-0.3)
        model.transit.linear.weight.copy_(torch.tensor([[0.8, 0.3], [-0.3, 0.8]]))
    return model


@functools.cache
def chain() -> DMM:
    """The same with a proposal that has learned a little, and is wider than it should be."""
    model = untrained()
    proposal = [
        *model.posterior.parameters(),
        *model.combine.parameters(),
        *model.backwards.parameters(),
    ]
    optimiser = torch.optim.Adam(proposal, 0.01)
    with seeded("proposal"):
        for _ in range(100):
            optimiser.zero_grad()
            model(model.sample(64))["loss"].backward()
            optimiser.step()
    with torch.no_grad():
        model.posterior.bias[D:] += 0.3
    return model.requires_grad_(False)


def exact(model: DMM, x: Tensor) -> Tensor:
    """log p(x) of the linear model, (B,), as one Gaussian: z = L w with w independent, x = C z + b
    + noise.
    """
    a, b = model.transit.linear.weight, model.transit.linear.bias
    first, q = normals(model.first), model.transition(torch.zeros(D).double()).scale
    powers = [torch.linalg.matrix_power(a, i) for i in range(T)]
    lower = torch.cat(
        [torch.cat([powers[t - s] if s <= t else 0 * a for s in range(T)], 1) for t in range(T)]
    )
    mean = lower @ torch.cat([first.loc, *[b] * (T - 1)])
    spread = lower @ torch.diag(torch.cat([first.scale, *[q] * (T - 1)]).square()) @ lower.T
    emit = torch.block_diag(*[model.write.weight] * T)
    noise = model.likelihood.head.log_scale.exp().square() * torch.eye(T * D).double()
    loc = emit @ mean + model.write.bias.repeat(T)
    return MultivariateNormal(loc, emit @ spread @ emit.T + noise).log_prob(x.flatten(1))


def data(model: DMM, n: int) -> Tensor:
    with seeded("x"):
        return model.sample(n)


@torch.no_grad()
def estimates(model: DMM, x: Tensor, runs: int, particles: int, threshold: float) -> Tensor:
    """log p̂(x) of independent runs, (runs, B)."""
    with seeded("runs", particles, threshold):
        log_p, _ = FIVO(particles, threshold).filter(model, x.repeat(runs, 1, 1))
    return log_p.unflatten(0, (runs, -1))


@pytest.mark.certifies(
    "dmm", claim="with particles, the filter's estimate of the likelihood has no bias"
)
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_likelihood_estimate_has_no_bias(threshold):
    # E p̂(x) = p(x) whether or not paths are resampled: n = 20,000 runs, z = 4
    model, n = chain(), 20_000
    x = data(model, 3)
    ratio = (estimates(model, x, n, 4, threshold) - exact(model, x)).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / math.sqrt(n)).all()
    assert (ratio.std(0) / math.sqrt(n) < 0.03).all()


def test_many_particles_come_near_the_exact_likelihood():
    model = chain()
    x = data(model, 4)
    torch.testing.assert_close(
        estimates(model, x, 20, 500, 0.5).mean(0), exact(model, x).detach(), rtol=0, atol=0.05
    )


def test_resampling_makes_the_bound_of_a_poor_proposal_tighter():
    # FIVO against IWAE: means over 50 x and 100 runs of K = 8 particles each, z = 4. It is no law
    # for every proposal: one
    # that looks ahead may lose by resampling, since the weights so far do not know what it has
    # seen.
    model = untrained().requires_grad_(False)
    x = data(model, 50)
    fivo, iwae = estimates(model, x, 100, 8, 0.5).mean(0), estimates(model, x, 100, 8, 0.0).mean(0)
    difference = fivo - iwae
    assert difference.mean() > 4 * difference.std() / math.sqrt(50)
    assert fivo.mean() < exact(model, x).mean()


@pytest.mark.certifies(
    "dmm", claim="with particles and no resampling the bound is the importance-weighted one"
)
def test_without_resampling_it_is_the_importance_weighted_bound():
    model, k = chain(), 5
    x = data(model, 4)
    with seeded("draws"):
        expected = model.infer(x, None, k).log_w.logsumexp(0) - math.log(k)
    # the filter draws uniforms as well, so the seeds part ways: the noise is replayed instead
    with seeded("draws"):
        seen, state, total = model.sight(x), model.start(k, 4, x), torch.zeros(k, 4).double()
        for t in range(T):
            log_alpha, state = model.step(seen, t, state)
            total = total + log_alpha
    torch.testing.assert_close(total.logsumexp(0) - math.log(k), expected, rtol=1e-10, atol=1e-10)
    _, resampled = FIVO(k, 0.0).filter(model, x)
    assert (resampled == 0).all()


def test_states_are_chosen_in_proportion_to_their_weights():
    # n = 20,000 rows of K = 4 particles; the frequency of each against its weight, z = 4.5
    weights, n = torch.tensor([0.5, 0.0, 0.3, 0.2]).double(), 20_000
    state = torch.arange(4.0).double()[:, None, None].expand(4, n, 1)
    with seeded("chosen"):
        index = resampled(state, weights.log()[:, None].expand(4, n)).long().flatten()
    seen = torch.bincount(index, minlength=4) / (4 * n)
    assert ((seen - weights).abs() <= 4.5 * (weights * (1 - weights) / (4 * n)).sqrt()).all()


def test_padding_changes_no_estimate():
    spec = Spec((8, 2), "normal", latent=D, hidden=6, has_gaps=True)
    with seeded("weights"):
        model = vrnn(spec, particles=3).double()
    x = torch.randn(5, 8, 2).double()
    x[:, 6:] = math.nan
    with seeded("draws"):
        short = model.loss.filter(model, x[:, :6])[0]
    with seeded("draws"):
        long = model.loss.filter(model, x)[0]
    torch.testing.assert_close(short, long, rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", [vrnn, storn, dmm])
def test_any_stepwise_model_learns_from_it(build):
    with seeded("weights"):
        model = build(SPEC, particles=4)
    x = torch.sin(torch.arange(T) + 3 * torch.rand(64, 1))[..., None].expand(-1, -1, 2)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(60):
        terms = model(x)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(terms["loss"].item())
    assert sum(losses[-5:]) < sum(losses[:5]) - 5


@pytest.mark.parametrize("build", [vrae, dsae])
def test_models_without_steps_are_refused(build):
    with pytest.raises(Unsupported, match="step by step"):
        FIVO().check(build(SPEC))
