"""The closed-form KL against quadrature, and the bounds against the integral they bound."""

import pytest
import torch

from vaezoo.distributions import StandardNormals, kl, normal

from . import _quadrature as quadrature


def gaussian(loc: list[float], scale: list[float]) -> torch.distributions.Distribution:
    return normal(torch.tensor(loc, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))


@pytest.mark.certifies("vae", claim="the closed KL is its integral")
def test_gaussian_kl_equals_its_integral():
    for q, p in [
        (gaussian([0.4], [0.7]), gaussian([0.0], [1.0])),
        (gaussian([-1.5], [1.4]), gaussian([0.5], [0.8])),
        (gaussian([0.0], [0.05]), gaussian([0.0], [1.0])),
    ]:
        torch.testing.assert_close(kl(q, p), quadrature.kl(q, p), atol=1e-10, rtol=0)


def test_gaussian_kl_sums_over_latent_dimensions():
    q, p = gaussian([0.4, -1.0], [0.7, 1.3]), gaussian([0.0, 0.2], [1.0, 0.9])
    torch.testing.assert_close(kl(q, p), quadrature.kl(q, p, 2), atol=1e-9, rtol=0)
    each = [
        kl(gaussian([a], [b]), gaussian([c], [d]))
        for a, b, c, d in [(0.4, 0.7, 0.0, 1.0), (-1.0, 1.3, 0.2, 0.9)]
    ]
    torch.testing.assert_close(kl(q, p), each[0] + each[1], atol=1e-12, rtol=0)


def test_gaussian_kl_of_a_distribution_with_itself_is_zero():
    """Without its -1 the KL is off by D/2, and a bound is no bound."""
    q = gaussian([0.3, -2.0, 1.0], [0.5, 1.0, 2.0])
    assert kl(q, q).abs() < 1e-12


def test_kl_to_the_standard_normal_is_that_to_any_normal_of_the_same_numbers():
    q = gaussian([0.4, -1.0, 3.0], [0.7, 1.3, 0.01])
    standard = StandardNormals(torch.zeros(3, dtype=torch.float64))
    by_torch = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, q.stddev), torch.distributions.Normal(0.0, 1.0)
    ).sum()
    torch.testing.assert_close(kl(q, standard), by_torch, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        kl(q, standard), kl(q, gaussian([0.0] * 3, [1.0] * 3)), atol=1e-12, rtol=0
    )


def test_normals_over_events_of_different_shapes_have_no_closed_kl():
    flat = StandardNormals(torch.zeros(6))
    steps = normal(torch.zeros(4, 2, 3), torch.ones(4, 2, 3), 2)
    assert kl(steps, flat) is None
    assert kl(steps, StandardNormals(torch.zeros(2, 3))).shape == (4,)


@pytest.mark.certifies("vae", claim="ELBO + KL(q ‖ true posterior) = log p(x), by quadrature")
def test_elbo_plus_kl_to_the_true_posterior_is_the_log_likelihood():
    model, x = quadrature.tiny()
    z, cell = quadrature.grid(2)
    z = z[:, None]
    log_q = model.encoder(x).log_prob(z)
    joint = model.decoder(z).log_prob(x) + model.prior().log_prob(z)
    expected_log_px = (log_q.exp() * model.decoder(z).log_prob(x)).sum(0) * cell
    elbo = expected_log_px - kl(model.encoder(x), model.prior())
    log_px = quadrature.log_integral(joint, cell)
    gap = (log_q.exp() * (log_q - (joint - log_px))).sum(0) * cell
    torch.testing.assert_close(elbo + gap, log_px, atol=1e-8, rtol=0)
    assert (gap > 0.01).all()
