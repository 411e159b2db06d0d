"""A rate under a weight: the loss against quadrature, and what its weight does to the optimum of a
known model.
"""

import math

import pytest
import torch
from torch import nn
from vaezoo_plugins.beta import annealed, beta

from vaezoo import dataset
from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.distributions import normal
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal
from vaezoo.training import fit

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=8)


@pytest.mark.certifies("beta", claim="the mean loss is R + β KL of quadrature")
def test_mean_loss_is_the_integral_of_r_plus_beta_kl():
    """n = 40,000 draws of each of four rows; z-score below 4.5."""
    model, x = quadrature.tiny(ELBO(beta=3.0))
    z, cell = quadrature.grid(2)
    with torch.no_grad():
        q = model.encoder(x)
        weight = q.log_prob(z[:, None]).exp() * cell
        distortion = -(weight * model.decoder(z[:, None]).log_prob(x)).sum(0)
        rate = (weight * (q.log_prob(z[:, None]) - model.prior().log_prob(z[:, None]))).sum(0)
        each = -model.infer(x, k=40_000).log_px + 3 * model.infer(x).kl
    assert (
        (each.mean(0) - distortion - 3 * rate).abs() < 4.5 * each.std(0) / math.sqrt(len(each))
    ).all()


class Free(Encoder):
    """N(g x, s²), with g and s learned."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.log_scale = (
            nn.Parameter(torch.tensor(0.1)),
            nn.Parameter(torch.tensor(-1.0)),
        )

    def forward(self, x, c=None):
        return normal(self.gain * x, self.log_scale.exp())


class Unit(Decoder):
    """N(z, 1)."""

    def forward(self, z, c=None):
        return normal(z, torch.ones_like(z))


@pytest.mark.parametrize("weight", [0.5, 1.0, 4.0])
@pytest.mark.certifies(
    "beta", claim="the best posterior of a Gaussian model is the known one, N(x/(1+β), β/(1+β))"
)
def test_the_best_posterior_is_the_likelihood_tempered_by_beta(weight: float):
    """q ∝ p(z) p(x|z)^{1/β}: of N(z, 1) and N(0, 1) it has the precision 1 + 1/β and the mean x /
    (1 + β).
    """
    torch.manual_seed(0)
    model = VAE(Free(), Unit(), StandardNormal(Spec((1,), latent=1)), ELBO(weight)).double()
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)

    def objective() -> torch.Tensor:
        """R + β KL with E over z in closed form: E(x - z)² = (x - g x)² + s²."""
        gain, scale = model.encoder.gain, model.encoder.log_scale.exp()
        distortion = 0.5 * (((1 - gain) * x).square().mean() + scale**2)
        return distortion + weight * model.infer(x).kl.mean()

    optimiser = torch.optim.LBFGS(model.encoder.parameters(), max_iter=200, tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = objective()
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(closure)
    assert model.encoder.gain.item() == pytest.approx(1 / (1 + weight), abs=1e-4)
    assert model.encoder.log_scale.exp().item() ** 2 == pytest.approx(
        weight / (1 + weight), abs=1e-4
    )
    drawn = model(x.repeat(200_000, 1))  # the loss of the library has this objective for its mean
    constant = 0.5 * math.log(2 * math.pi)
    assert drawn["loss"].item() == pytest.approx(objective().item() + constant, abs=0.02)


def test_beta_of_one_is_the_elbo_and_of_zero_the_distortion():
    x = torch.ones(4, 6)
    for weight in (0.0, 1.0, 4.0):
        terms = beta(SPEC, beta=weight)(x)
        torch.testing.assert_close(terms["loss"], terms["distortion"] + weight * terms["rate"])


@pytest.mark.certifies(
    "annealed", claim="the loss is R + γ |KL - C| with C rising linearly to its end"
)
def test_capacity_rises_linearly_and_both_sides_of_it_are_penalised():
    torch.manual_seed(0)
    model, x = annealed(SPEC, gamma=7.0, capacity=5.0), torch.ones(4, 6)
    sides = set()
    for progress in (0.0, 0.02, 0.5, 1.0):
        terms = model(x, None, progress)
        off = terms["rate"] - 5.0 * progress
        torch.testing.assert_close(terms["loss"], terms["distortion"] + 7 * off.abs())
        sides.add(bool(off > 0))
    assert sides == {True, False}


@pytest.mark.certifies("annealed", claim="its gradient pulls the rate to C from both sides")
def test_the_rate_is_pulled_to_the_capacity_from_both_sides():
    x = torch.ones(4, 6).double()
    for progress, sign in (
        (0.0, 1.0),
        (1.0, -1.0),
    ):  # C = 0 is below an untrained rate, C = 50 above it
        torch.manual_seed(0)
        model = annealed(SPEC, gamma=7.0, capacity=50.0).double()
        torch.manual_seed(1)
        terms = model(x, None, progress)
        expected = quadrature.gradient(
            model, terms["distortion"] + sign * 7 * terms["rate"], model.encoder
        )
        torch.testing.assert_close(
            quadrature.gradient(model, terms["loss"], model.encoder), expected
        )


def test_the_default_of_beta_collapses_on_no_digits():
    """A rate of 0 was the default's at β = 4. What is left at β > 1 is the point of the variant."""
    data = dataset("digits")
    torch.manual_seed(0)
    model = beta(data.spec)
    assert model.loss.beta > 1
    history = fit(model, data, epochs=70)
    assert history.rows[-1]["validation_rate"] > 1
