"""The thermodynamic objective on a model with one latent, where every expectation is an integral
over a grid.
"""

from itertools import pairwise

import pytest
import torch
from vaezoo_plugins.tvo import left_sum, left_sum_by_covariance, partition, tvo

from vaezoo.core import VAE, Spec, Unsupported

GRID = torch.linspace(-12, 12, 4001, dtype=torch.float64)
X = torch.tensor(1.3, dtype=torch.float64)


def log_p(z):
    """log N(z; 0, 1) N(x; sin z + z, 0.5²): no Gaussian posterior."""
    return normal_log(z, 0.0, 1.0) + normal_log(X, torch.sin(z) + z, 0.5)


def normal_log(x, loc, scale):
    scale = torch.as_tensor(scale, dtype=torch.float64)
    return torch.distributions.Normal(loc, scale, validate_args=False).log_prob(x)


def exact(betas, theta):
    """The left sum by quadrature, for q = N(theta_0, exp(theta_1)²)."""
    log_q = normal_log(GRID, theta[0], theta[1].exp())
    log_w, total = log_p(GRID) - log_q, 0.0
    for low, high in pairwise(betas):
        pi = (log_q + low * log_w).softmax(0)
        total = total + (high - low) * (pi * log_w).sum()
    return total


THETA = torch.tensor([0.2, -0.3], dtype=torch.float64)
LOG_EVIDENCE = (log_p(GRID).exp().sum() * (GRID[1] - GRID[0])).log()


@pytest.mark.certifies(
    "tvo", claim="the bound lies between ELBO and log p(x) and rises with the points, by quadrature"
)
def test_the_bound_lies_between_elbo_and_log_evidence_and_rises_with_the_points():
    values = [exact(partition(points, 0.05), THETA) for points in (1, 2, 4, 8, 16, 64)]
    log_q = normal_log(GRID, THETA[0], THETA[1].exp())
    elbo = (log_q.softmax(0) * (log_p(GRID) - log_q)).sum()
    torch.testing.assert_close(values[0], elbo)
    assert all(a < b < LOG_EVIDENCE for a, b in pairwise(values))


def test_the_sum_tends_to_log_evidence_as_the_partition_grows_finer():
    even = torch.linspace(0, 1, 2001, dtype=torch.float64)
    torch.testing.assert_close(exact(even, THETA), LOG_EVIDENCE, atol=2e-3, rtol=0)


def test_partition_starts_at_0_ends_at_1_and_is_even_in_log_beta():
    betas = partition(4, 0.01)
    assert betas[0] == 0
    assert betas[-1].item() == pytest.approx(1)
    torch.testing.assert_close(
        betas[1:].log().diff(),
        torch.full((3,), torch.tensor(0.01).log().item() / -3).double(),
        rtol=1e-5,
        atol=0,
    )


SUMS = {"covariance": left_sum_by_covariance, "pathwise": left_sum}


def monte_carlo(kind, betas, k, seed):
    """The gradient by `left_sum` from k draws."""
    torch.manual_seed(seed)
    theta = THETA.clone().requires_grad_()
    q = torch.distributions.Normal(theta[0], theta[1].exp())
    z = q.rsample((k, 1))
    z = z.detach() if kind == "covariance" else z
    log_q = q.log_prob(z)
    score = log_q - log_q.detach() if kind == "covariance" else 0 * log_q
    value = SUMS[kind](log_p(z) - log_q, score, betas)
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    return value.detach()[0], gradient


@pytest.mark.certifies("tvo", claim="both gradients are those of the integral")
@pytest.mark.parametrize("kind", ["covariance", "pathwise"])
def test_estimate_and_gradient_tend_to_those_of_the_integral(kind):
    # 20 estimates of 50 000 draws: mean within 4 standard errors (and the bias of order 1/k)
    betas, theta = partition(3, 0.2), THETA.clone().requires_grad_()
    value = exact(betas, theta)
    (gradient,) = torch.autograd.grad(value, theta)
    runs = [monte_carlo(kind, betas, 50_000, seed) for seed in range(20)]
    values, gradients = (torch.stack(part) for part in zip(*runs, strict=True))
    assert (values.mean() - value).abs() < 4 * values.std() / 20**0.5 + 1e-4
    assert ((gradients.mean(0) - gradient).abs() < 4 * gradients.std(0) / 20**0.5 + 1e-3).all()


@pytest.mark.certifies("tvo", claim="the covariance gradient of the ELBO is unbiased at any K")
@pytest.mark.parametrize("k", [2, 5, 16])
def test_the_covariance_gradient_is_unbiased_where_the_weights_are_even(k):
    """At β = 0 the draws are q's own: the mean gradient is exact; n = 20,000, z below 4.5."""
    betas = partition(1, 0.1)
    theta = THETA.clone().requires_grad_()
    (exact_gradient,) = torch.autograd.grad(exact(betas, theta), theta)
    torch.manual_seed(3)
    n = 20_000
    each = THETA.expand(n, 2).clone().requires_grad_()
    q = torch.distributions.Normal(each[:, 0], each[:, 1].exp())
    z = q.sample((k,))
    log_q = q.log_prob(z)
    value = left_sum_by_covariance(log_p(z) - log_q, log_q - log_q.detach(), betas)
    (gradient,) = torch.autograd.grad(value.sum(), each)
    error = gradient.std(0) / n**0.5
    assert ((gradient.mean(0) - exact_gradient).abs() < 4.5 * error).all()
    assert (4.5 * error < 0.2 * exact_gradient.abs()).all()


@pytest.mark.parametrize("k", [2, 7])
def test_both_sums_have_one_value(k):
    torch.manual_seed(4)
    log_w = torch.randn(k, 3).double()
    none = torch.zeros_like(log_w)
    betas = partition(4, 0.1)
    torch.testing.assert_close(
        left_sum(log_w, none, betas), left_sum_by_covariance(log_w, none, betas)
    )


def test_one_draw_has_no_covariance_and_is_refused():
    with pytest.raises(Unsupported, match="two draws"):
        tvo(SPEC, k=1)


SPEC = Spec((1, 8, 8), latent=2, hidden=8)


def test_one_interval_is_the_elbo_of_the_draws():
    torch.manual_seed(0)
    model, x = (
        tvo(SPEC, k=6, points=1, gradient="pathwise"),
        torch.bernoulli(torch.full((5, 1, 8, 8), 0.5)),
    )
    torch.manual_seed(1)
    loss = model(x)["loss"]
    torch.manual_seed(1)
    torch.testing.assert_close(loss, -model.infer(x, k=6).log_w.mean())


def test_no_gradient_flows_through_the_draws_of_the_covariance_gradient():
    model = tvo(SPEC)
    assert not model.loss.held(model, torch.ones(3, 1, 8, 8), None).z.requires_grad
    model(torch.ones(3, 1, 8, 8))["loss"].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_posterior_without_a_density_is_refused():
    from vaezoo.networks import Deterministic, StandardNormal, Write

    with pytest.raises(Unsupported):
        VAE(Deterministic(SPEC), Write(SPEC), StandardNormal(SPEC), tvo(SPEC).loss)
