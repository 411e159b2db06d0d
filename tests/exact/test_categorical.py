"""Categorical codes against enumeration of all codes."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.func import vmap
from vaezoo_plugins.categorical import (
    Categorical,
    UniformClasses,
    gumbel,
    joint,
)

from tests.conftest import IMAGE, VECTOR, rows_of
from vaezoo.core import VAE, Unsupported
from vaezoo.distributions import Classes, EqualClasses, RelaxedClasses, at_centre, draw, kl
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


def all_codes(groups: int, classes: int) -> torch.Tensor:
    """(M^G, G, M)."""
    rows = itertools.product(range(classes), repeat=groups)
    return torch.stack([torch.eye(classes).double()[list(row)] for row in rows])


def enumerated(model: VAE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x) and the ELBO of the discrete model, (B,), by the sum over all codes."""
    q = model.eval().encoder(x)
    z = all_codes(*q.event_shape)[:, None].expand(-1, len(x), -1, -1)
    log_joint = model.decoder(z).log_prob(x) - q.event_shape[0] * math.log(q.event_shape[1])
    log_q = q.log_prob(z)
    return log_joint.logsumexp(0), (log_q.exp() * (log_joint - log_q)).sum(0)


def test_probabilities_of_all_codes_sum_to_one():
    q = Classes(torch.randn(5, 3, 4).double())
    torch.testing.assert_close(
        q.log_prob(all_codes(3, 4)[:, None]).exp().sum(0), torch.ones(5).double()
    )


@pytest.mark.certifies("gumbel", "joint", claim="the KL of the classes is the sum over all codes")
def test_divergence_is_the_sum_over_all_codes():
    q, p = Classes(torch.randn(5, 3, 4).double()), EqualClasses(torch.zeros(3, 4).double())
    z = all_codes(3, 4)[:, None].expand(-1, 5, -1, -1)
    expected = (q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))).sum(0)
    torch.testing.assert_close(kl(q, p), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("relaxed", [False, True])
def test_classes_of_draws_have_their_probabilities(relaxed):
    """n = 40,000; the largest entry of a relaxed draw is a draw of the class at any temperature;
    z-score below 4.5.
    """
    torch.manual_seed(0)
    logits, n = torch.randn(2, 3).double(), 40_000
    q = RelaxedClasses(logits, torch.tensor(0.7).double()) if relaxed else Classes(logits)
    z, log_q = draw(q, (n,))
    p = logits.softmax(-1)
    share = (z == z.max(-1, keepdim=True).values).double().mean(0)
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / n).sqrt()).all()
    torch.testing.assert_close(z.sum(-1), torch.ones(n, 2).double())
    assert log_q.shape == (n,)


def test_the_mean_of_p_over_q_is_one_in_evaluation():
    """n = 40,000, z-score below 4."""
    torch.manual_seed(1)
    q, n = Classes(torch.randn(3, 4).double()), 40_000
    _, log_q = draw(q, (n,))
    w = (-3 * math.log(4) - log_q).exp()
    assert abs(w.mean() - 1) < 4 * w.std() / math.sqrt(n)


@pytest.mark.certifies(
    "gumbel",
    claim="the discrete bound is that of the sum over all codes, below log p(x), "
    "which importance sampling meets",
)
def test_the_discrete_bound_is_that_of_enumeration_and_below_the_likelihood():
    """The mean of 20,000 one-draw bounds, z-score below 4.5; importance sampling approaches log
    p(x).
    """
    torch.manual_seed(2)
    model, x = gumbel(VECTOR, groups=3, classes=4).double().eval(), rows_of(VECTOR, 4).double()
    log_p, elbo = enumerated(model, x)
    log_w = model.infer(x, k=20_000).log_w
    assert ((log_w.mean(0) - elbo).abs() < 4.5 * log_w.std(0) / math.sqrt(20_000)).all()
    assert (elbo <= log_p).all()
    assert (log_p - elbo).max() > 1e-3
    torch.testing.assert_close(log_w.logsumexp(0) - math.log(20_000), log_p, rtol=0, atol=0.02)


def test_evaluation_sees_one_hot_codes_and_training_relaxed_ones():
    torch.manual_seed(3)
    model, x = gumbel(VECTOR, groups=3, classes=4), rows_of(VECTOR, 4)
    assert 0.01 < model.infer(x).z.max(-1).values.min() < 0.99
    z = model.eval().infer(x).z
    assert torch.equal(z, z.round())
    assert torch.equal(z.sum(-1), torch.ones_like(z.sum(-1)))


def test_both_bounds_are_reported_and_validation_watches_the_discrete_one():
    torch.manual_seed(4)
    model, x = gumbel(VECTOR, groups=3, classes=4).double(), rows_of(VECTOR, 500).double()
    training = model(x, progress=0.5)
    torch.testing.assert_close(training["loss"].detach(), training["relaxed"])
    validation = model.eval()(x, progress=1.0)
    torch.testing.assert_close(validation["loss"].detach(), validation["discrete"])
    _, elbo = enumerated(model, x)
    assert abs(validation["discrete"] + elbo.mean()) < 0.3
    assert model.encoder.training is False


def test_the_temperature_falls_in_training_only():
    model, x = gumbel(VECTOR, hottest=1.0, coldest=0.25), rows_of(VECTOR, 4)
    model(x, progress=0.5)
    assert math.isclose(model.encoder.temperature, 0.5, rel_tol=1e-6)
    model.eval()(x, progress=1.0)
    assert math.isclose(model.encoder.temperature, 0.5, rel_tol=1e-6)


@pytest.mark.certifies(
    "gumbel", "joint", claim="the relaxed gradient tends to the exact one as the temperature falls"
)
def test_relaxed_gradient_approaches_the_exact_one_as_the_temperature_falls():
    """d/dlogits of E f(z) with f linear in z is exact only as τ -> 0; its error must shrink. n =
    100,000.
    """
    torch.manual_seed(5)
    value, errors = torch.tensor([1.0, -2.0, 0.5]).double(), []
    for temperature in (2.0, 0.1):
        logits = torch.tensor([[0.3, -0.4, 0.8]]).double().requires_grad_()
        z, _ = RelaxedClasses(logits, torch.tensor(temperature).double()).draw((100_000,))
        (gradient,) = torch.autograd.grad((z * value).sum(-1).mean(), logits)
        p = logits.detach().softmax(-1)
        errors.append((gradient - p * (value - (p * value).sum())).abs().max().item())
    assert errors[1] < 0.03 < errors[0]


def test_draws_work_under_stacked_seeds():
    logits = torch.randn(3, 5, 2, 4)
    z, log_q = vmap(lambda a: Classes(a).draw((7,)), randomness="different")(logits)
    assert z.shape == (3, 7, 5, 2, 4)
    torch.testing.assert_close(log_q[1], Classes(logits[1]).log_prob(z[1]))


@pytest.mark.certifies("joint", claim="the bound is that of both codes together")
def test_joint_bound_is_that_of_its_two_codes():
    torch.manual_seed(6)
    model, x = joint(IMAGE, classes=5).double().eval(), rows_of(IMAGE, 4).double()
    trace = model.infer(x, k=6)
    normal, classes = trace.latents
    expected = normal.q.log_prob(normal.z) + classes.q.log_prob(classes.z)
    torch.testing.assert_close(trace.log_w, trace.log_px + normal.log_p + classes.log_p - expected)
    torch.testing.assert_close(trace.kl, normal.kl + classes.kl)


@pytest.mark.certifies("joint", claim="the loss is R + γ |KL - C| for each of the two codes")
def test_joint_penalises_the_distance_to_the_capacities():
    torch.manual_seed(7)
    model, x = (
        joint(IMAGE, classes=5, gamma=7.0, continuous=3.0, discrete=9.0, until=0.5),
        rows_of(IMAGE, 4),
    )
    terms = model(x, progress=0.25)
    kl_c, kl_z = terms["rate_classes"], terms["rate"] - terms["rate_classes"]
    expected = terms["distortion"] + 7 * ((kl_z - 1.5).abs() + (kl_c - math.log(5) / 2).abs())
    torch.testing.assert_close(terms["loss"], expected)


@pytest.mark.parametrize("variant", [gumbel, joint])
def test_it_trains_and_samples_on_every_kind_of_data(spec, variant):
    torch.manual_seed(8)
    model, x = variant(replace(spec, latent=3)), rows_of(spec, 6)
    model(x, progress=0.3)["loss"].backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
    assert model.eval().infer(x, k=3).log_w.shape == (3, 6)
    assert model.sample(4).shape == (4, *spec.shape)
    with at_centre():
        assert torch.equal(model.infer(x).z, model.infer(x).z)


def test_parts_that_do_not_fit_are_refused():
    encoder = Categorical(IMAGE)
    with pytest.raises(Unsupported, match="simplex"):
        VAE(encoder, Write(IMAGE, 64), StandardNormal(IMAGE), ELBO())
    with pytest.raises(Unsupported, match="64 numbers"):
        VAE(encoder, Write(IMAGE), UniformClasses(encoder), ELBO())
    with pytest.raises(Unsupported, match="needs the posterior categorical"):
        UniformClasses(Gaussian(IMAGE))
