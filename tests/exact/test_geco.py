"""GECO: its gradients by hand, and on a Gaussian model whose least rate for a target is known."""

import math

import pytest
import torch
from torch import nn
from vaezoo_plugins.geco import GECO, geco

from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.distributions import normal
from vaezoo.networks import StandardNormal

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=8)


@pytest.mark.certifies("geco", claim="the gradient is that of KL + λ (Σ (x - x̂)² - κ²)")
def test_the_gradient_is_that_of_rate_and_weighed_constraint():
    torch.manual_seed(0)
    model, x = geco(SPEC, tolerance=0.3).double().eval(), torch.rand(5, 6).round().double()
    model.loss.log_lambda.fill_(math.log(2.5))
    torch.manual_seed(1)
    loss = model(x)["loss"]
    torch.manual_seed(1)
    trace = model.infer(x)
    by_hand = trace.kl.mean() + 2.5 * ((x - trace.px.mean[0]).square().sum(1).mean() - 6 * 0.09)
    torch.testing.assert_close(loss, by_hand)
    for part in (model.encoder, model.decoder):
        torch.testing.assert_close(
            quadrature.gradient(model, loss, part), quadrature.gradient(model, by_hand, part)
        )


@pytest.mark.certifies(
    "geco", claim="λ follows its multiplicative update, step by step in Python's numbers"
)
def test_lambda_rises_while_the_target_is_missed_and_falls_where_it_is_more_than_met():
    loss = GECO(speed=0.1, smooth=0.8)
    log_lambda, mean = 0.0, None
    for missed in (2.0, 1.0, 0.5, -0.5, -0.9, -0.9):
        loss.update(torch.tensor(missed))
        mean = missed if mean is None else 0.8 * mean + 0.2 * missed
        log_lambda += 0.1 * mean
        assert loss.log_lambda.item() == pytest.approx(log_lambda, abs=1e-6)


@pytest.mark.certifies("geco", claim="a step uses the λ that the steps before it left")
def test_lambda_moves_after_it_was_used():
    """Algorithm 1 updates λ in its last line; its α is 0.99."""
    torch.manual_seed(0)
    model = geco(SPEC, tolerance=0.3, speed=0.1).double().train()
    x = torch.rand(5, 6).round().double()
    assert model.loss.smooth == 0.99
    used = 1.0
    for _ in range(3):
        torch.manual_seed(1)
        terms = model(x)
        torch.manual_seed(1)
        trace = model.infer(x)
        constraint = (x - trace.px.mean[0]).square().sum(1).mean() - 6 * 0.09
        assert terms["lambda"].item() == pytest.approx(used, rel=1e-12)
        torch.testing.assert_close(terms["loss"], trace.kl.mean() + used * constraint)
        used = model.loss.log_lambda.exp().item()
        assert used > 1


def test_lambda_rests_in_evaluation():
    model = geco(SPEC).eval()
    model(torch.ones(4, 6))
    assert model.loss.log_lambda == 0


class Free(Encoder):
    """N(g x, s²)."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.log_scale = (
            nn.Parameter(torch.tensor(0.5)),
            nn.Parameter(torch.tensor(-1.0)),
        )

    def forward(self, x, c=None):
        return normal(self.gain * x, self.log_scale.exp())


class Gain(Decoder):
    """N(h z, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.likelihood = nn.Identity()  # GECO trains the scale of a head, and this one has none

    def forward(self, z, c=None):
        mean = self.gain * z
        return normal(mean, torch.ones_like(mean))


@pytest.mark.certifies(
    "geco",
    claim="on a Gaussian it meets the target at the least rate that rate-distortion theory allows",
)
def test_a_gaussian_is_coded_at_the_rate_of_rate_distortion_theory():
    """x ~ N(0, 1) reconstructed to a mean squared error D costs -½ log D nats at the least (Shannon
    1959).
    """
    torch.manual_seed(0)
    target = 0.25
    model = VAE(
        Free(),
        Gain(),
        StandardNormal(Spec((1,), "normal", latent=1)),
        GECO(math.sqrt(target), 0.02, 0.9),
    )
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 1500)
    for _ in range(1500):
        optimiser.zero_grad()
        model(torch.randn(512, 1))["loss"].backward()
        optimiser.step()
        schedule.step()
    x = torch.randn(200_000, 1)
    with torch.no_grad():
        trace = model.eval().infer(x)
    assert (x - trace.px.mean[0]).square().mean().item() == pytest.approx(target, rel=0.06)
    assert trace.kl.mean().item() == pytest.approx(-0.5 * math.log(target), rel=0.05)
