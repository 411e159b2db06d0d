"""Where training starts: likelihoods with a scale begin at a fixed part of the errors of the first
batch.
"""

import math
from functools import partial

import pytest
import torch
from vaezoo_plugins.count_data import StudentTHead

from vaezoo.core import VAE, Spec
from vaezoo.data.data import Card, Data
from vaezoo.data.sources.ring import ring
from vaezoo.likelihoods import LogisticHead, NormalHead
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.training import fit
from vaezoo.training.descent import Budget, Stepper
from vaezoo.training.start import start


def draws(scale: float, likelihood: str = "normal") -> Data:
    """600 rows of five numbers N(0, scale²)."""
    torch.manual_seed(0)
    x = scale * torch.randn(600, 5)
    spec = Spec((5,), likelihood, 400, latent=2, hidden=16)
    card = Card("draws", "made here", "none", "none")
    return Data("draws", spec, x[:400], x[400:500], x[500:], card)


def vae(spec: Spec) -> VAE:
    torch.manual_seed(0)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_raw_units_cost_nothing(scale: float):
    """-log p(x) of the data's own normal, reached to 1 nat in 120 steps: the scale starts 1 too low
    in its logarithm, and moves by 0.01 a step.
    """
    data = draws(scale)
    model = vae(data.spec)
    fit(model, data, epochs=30, batch=100)
    with torch.no_grad():
        bound = model.infer(data.test, k=20).log_w.mean().item()
    exact = torch.distributions.Normal(0.0, scale).log_prob(data.test).sum(1).mean().item()
    assert exact - 1.0 < bound < exact + 0.5


@pytest.mark.parametrize(
    ("build", "variance"),
    [
        (NormalHead, lambda head: head.log_scale.exp() ** 2),
        (partial(StudentTHead, df=5), lambda head: head.log_scale.exp() ** 2 * 5 / 3),
        (LogisticHead, lambda head: (math.pi * head.log_scale.exp()) ** 2 / 3),
    ],
)
def test_a_scale_starts_where_its_variance_is_that_of_the_errors(build, variance):
    likelihood = build(Spec((5,))).double()
    errors = 7 * torch.randn(1000).double()
    likelihood.start_at(errors)
    assert variance(likelihood).item() == pytest.approx(errors.square().mean().item(), rel=1e-6)


def test_the_start_is_at_a_part_of_the_errors_of_the_model_as_it_is_without_its_gaps():
    data = draws(10.0)
    x = data.train.clone()
    x[::2, 1] = math.nan
    model = vae(Spec((5,), "normal", latent=2, hidden=16, has_gaps=True))
    torch.nn.init.constant_(model.decoder.body.net[-1].bias, 100.0)
    start(model, x, None, 400, seed=0)
    assert model.decoder.likelihood.log_scale.exp().item() == pytest.approx(
        100.0 / math.e, rel=0.02
    )


def test_codes_pay_from_the_first_steps():
    """Eight clusters in the plane: a scale that starts at all of their spread (2.15 nats) leaves
    the codes unused for good.
    """
    data = ring()
    model = vae(data.spec)
    history = fit(model, data, epochs=12, batch=64, learning_rate=4e-3)
    assert min(row["validation_loss"] for row in history.rows) < 1.9


def test_the_start_draws_nothing_from_the_generator_of_training():
    data = draws(1.0)
    torch.manual_seed(3)
    expected = torch.rand(2)
    model = vae(data.spec)
    torch.manual_seed(3)
    start(model, data.train, None, 128, seed=0)
    assert torch.equal(torch.rand(2), expected)


def test_a_scale_moves_ten_times_as_fast_as_a_weight():
    model = vae(Spec((5,), "normal", latent=2, hidden=16))
    scale = model.decoder.likelihood.log_scale
    weight = model.encoder.net.body.net.weight
    before = scale.item(), weight.detach().clone()
    stepper = Stepper(model, Budget(learning_rate=1e-3))
    stepper.learn(torch.randn(8, 5), None, 0.0)
    # Adam's first step has the length of its learning rate
    assert abs(scale.item() - before[0]) == pytest.approx(1e-2, rel=1e-3)
    assert (weight - before[1]).abs().max().item() == pytest.approx(1e-3, rel=1e-2)


def test_a_second_training_goes_on_from_the_scale_that_the_first_has_found():
    data = draws(10.0)
    model = vae(data.spec)
    fit(model, data, epochs=30, batch=100)
    found = model.decoder.likelihood.log_scale.item()
    start(model, data.train, None, 100, seed=0)
    assert model.decoder.likelihood.log_scale.item() == found
