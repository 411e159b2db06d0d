"""The filter and the smoother inside KVAE, against one joint Gaussian of all states and codes; and
what it learns.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from vaezoo_plugins.kvae import Chain, StateSpace, kvae

from vaezoo.core import Spec
from vaezoo.seeds import seeded

T, D = 5, 2


def space(components: int, size: int = D) -> StateSpace:
    with seeded("space", components):
        made = StateSpace(size, 4, components).double()
        torch.nn.init.normal_(made.first)
        torch.nn.init.normal_(made.raw_scales)
    return made


def codes(n: int = 3, size: int = D) -> Tensor:
    with seeded("codes"):
        return torch.randn(n, T, size).double()


def joint(model: StateSpace, a: Tensor) -> tuple[MultivariateNormal, Tensor, Tensor]:
    """The Gaussian of a_1:T under the matrices that row `a` (T, D) meets, with mean and covariance
    of z given that row.

    All states are a linear map of the noise w of every step: z_t = Σ_s A_t … A_s+1 w_s, where w_1
    holds z_1.
    """
    forward, emit, _ = model.matrices(torch.nn.functional.pad(a, (0, 0, 1, 0))[None, :-1])
    forward, emit = forward[0].expand(T, D, D), emit[0].expand(T, D, D)
    lower = torch.zeros(T * D, T * D).double()
    for s in range(T):
        block = torch.eye(D).double()
        for t in range(s, T):
            block = forward[t] @ block if t > s else block
            lower[t * D : (t + 1) * D, s * D : (s + 1) * D] = block
    p, q, r = model.variances
    mean_z = lower @ torch.cat([model.first, torch.zeros((T - 1) * D).double()])
    cov_z = lower @ torch.diag(torch.cat([p, *[q] * (T - 1)])) @ lower.T
    c = torch.block_diag(*emit)
    gaussian = MultivariateNormal(c @ mean_z, c @ cov_z @ c.T + torch.diag(r.repeat(T)))
    gain = cov_z @ c.T @ torch.linalg.inv(gaussian.covariance_matrix)
    return gaussian, mean_z + gain @ (a.flatten() - c @ mean_z), cov_z - gain @ c @ cov_z


@pytest.mark.certifies("kvae", claim="the filter's density is that of one joint Gaussian")
@pytest.mark.parametrize("components", [1, 3])
def test_the_filter_gives_the_joint_density(components):
    model, a = space(components), codes()
    expected = torch.stack([joint(model, row)[0].log_prob(row.flatten()) for row in a])
    torch.testing.assert_close(model.log_prob(a), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("components", [1, 3])
def test_the_gradient_is_that_of_the_joint_density(components):
    # log_prob sends no gradient through the filter: it has that of the expected log p(a, z)
    model, a = space(components), codes().requires_grad_()
    wanted = (a, *(p for p in model.parameters()))
    weights = torch.tensor([1.0, -2.0, 0.5]).double()
    expected = torch.stack([joint(model, row)[0].log_prob(row.flatten()) for row in a])
    gradients = [torch.autograd.grad(v @ weights, wanted) for v in (expected, model.log_prob(a))]
    for found, right in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-9)


def test_the_gradient_of_a_padded_row_is_that_of_its_steps():
    model, a = space(3), codes()
    mask = torch.tensor([True, True, True, False, False]).expand(3, T)
    padded = torch.where(mask[..., None], a, 0.0).requires_grad_()
    short = a[:, :3].clone().requires_grad_()
    (found,) = torch.autograd.grad(model.log_prob(padded, mask).sum(), padded)
    (right,) = torch.autograd.grad(model.log_prob(short).sum(), short)
    torch.testing.assert_close(found[:, :3], right, rtol=1e-10, atol=1e-10)
    assert not found[:, 3:].any()


@pytest.mark.certifies("kvae", claim="the smoother's states are those of one joint Gaussian")
@pytest.mark.parametrize("components", [1, 3])
def test_the_smoother_gives_the_conditional_of_the_states(components):
    model, a = space(components), codes()
    mean, covariance = model.smooth(a)
    for i, row in enumerate(a):
        _, expected, spread = joint(model, row)
        torch.testing.assert_close(mean[i].flatten(), expected, rtol=1e-9, atol=1e-9)
        for t in range(T):
            block = spread[t * D : (t + 1) * D, t * D : (t + 1) * D]
            torch.testing.assert_close(covariance[i, t], block, rtol=1e-9, atol=1e-9)


def test_padding_does_not_move_the_smoother():
    model, a = space(3), codes()
    mask = torch.tensor([True, True, True, False, False]).expand(3, T)
    padded = torch.where(mask[..., None], a, 0.0)
    mean, covariance = model.smooth(padded, mask)
    expected = model.smooth(a[:, :3])
    torch.testing.assert_close(mean[:, :3], expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(covariance[:, :3], expected[1], rtol=1e-10, atol=1e-10)


def test_mixed_dynamics_are_a_density_over_codes():
    # ∫∫ p(a_1, a_2) on a grid of 401² points: the mixture weights may depend on earlier codes only,
    # or this is not 1
    model = space(3, size=1)
    with torch.no_grad():
        model.raw_scales.fill_(0.5)
    grid = torch.linspace(-15, 15, 401, dtype=torch.float64)
    a = torch.cartesian_prod(grid, grid)[..., None]
    with torch.no_grad():
        mass = model.log_prob(a).exp().sum() * (grid[1] - grid[0]) ** 2
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("components", [1, 3])
def test_draws_have_the_density_of_the_filter(components):
    # Over draws from p, E[p'(a)/p(a)] = 1 for any other density p': n = 20,000, z = 4
    model, other = space(components), space(components)
    with torch.no_grad():
        other.first.add_(0.1)
        other.transitions.mul_(0.97)
        with seeded("draws"):
            a = Chain(model, torch.Size((4, T, D)), None).sample((5000,)).flatten(0, 1)
        ratio = (other.log_prob(a) - model.log_prob(a)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(20_000)
    assert ratio.std() > 0.05


def test_kvae_of_one_component_has_the_exact_likelihood_when_codes_are_the_data():
    # x = a + N(0, σ²) with σ = 0.01 and q(a|x) = N(x, σ²): the bound is tight up to terms of σ²/R
    spec = Spec((T, D), "normal", latent=D, hidden=4)
    model = kvae(spec, components=1, linear=True).double()
    with torch.no_grad():
        for linear in (model.encode.linear, model.write):
            linear.weight.copy_(torch.eye(D))
            linear.bias.zero_()
        model.likelihood.head.log_scale.fill_(math.log(0.01))
        model.encode.raw_scale.fill_(math.log(math.expm1(0.009)))
        with seeded("x"):
            x = model.space.draw(8, T, torch.zeros(1).double())
        exact = model.space.log_prob(x)
        with seeded("draws"):
            trace = model.infer(x, None, 500)
    bound = (trace.log_px - trace.kl).mean(0)
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.1)


def test_states_come_back_with_their_covariance():
    spec = replace(Spec((T, 3), has_gaps=True), latent=D, hidden=4)
    x = torch.zeros(4, T, 3)
    x[1, 3:] = math.nan
    mean, covariance = kvae(spec).states(x)
    assert mean.shape == (4, T, D)
    assert covariance.shape == (4, T, D, D)
    assert (torch.linalg.eigvalsh(covariance) > 0).all()


def test_covariances_stay_positive_over_a_long_chain_in_float32():
    # codes with far less noise than states, and states that grow: a filter in float32 finds no
    # Cholesky factor here
    with seeded("long"):
        model = StateSpace(16, 8, 1)
    with torch.no_grad():
        model.transitions.copy_(
            1.02 * torch.eye(16)
            + 0.05 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
        )
        model.raw_scales[1], model.raw_scales[2] = 1.0, -20.0
        found = model.filter(torch.randn(2, 160, 16, generator=torch.Generator().manual_seed(1)))
    assert found.log_p.isfinite().all()
    assert (torch.linalg.eigvalsh(found.covariance.double()) > -1e-6).all()
