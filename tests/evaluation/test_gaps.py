"""The two inference gaps, on models whose posterior is known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from vaezoo.core import VAE, Decoder, Encoder
from vaezoo.distributions import normal
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics import gaps
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal

from .conftest import digits
from .test_likelihood import PLANE, exact, plane_vae

SHIFT = 0.5


class Half(Decoder):
    """x_1 = z_1 + N(0, 1), x_2 = z_2 + N(0, 1): the posterior is N(x/2, 1/2) in each unit."""

    def forward(self, z, c=None):
        return normal(z.unflatten(-1, (2,)), torch.ones(2).to(z))


class Off(Encoder):
    """The posterior, moved by half a unit in z_1."""

    def __init__(self):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, x, c=None):
        return normal(x / 2 + torch.tensor([SHIFT, 0.0]).to(x), torch.full_like(x, 0.5**0.5))


def test_an_encoder_that_is_moved_off_the_posterior_loses_by_amortisation_alone(monkeypatch):
    monkeypatch.setattr(gaps, "TEMPERATURES", 60)
    monkeypatch.setattr(gaps, "CHAINS", 64)
    torch.manual_seed(0)
    spec = replace(PLANE, shape=(2,), likelihood="normal", latent=2)
    model = VAE(Off(), Half(), StandardNormal(spec), ELBO()).double()
    x = 1.4 * torch.randn(16, 2, generator=torch.Generator().manual_seed(0)).double()
    data = replace(digits(labelled=False), spec=spec, train=x, validation=x, test=x)
    with torch.no_grad():
        found = gaps.inference_gaps(Evaluation(model, data))
    assert found["approximation_gap"] == pytest.approx(0, abs=0.02)
    assert found["amortisation_gap"] == pytest.approx(SHIFT**2, abs=0.03)  # δ²/(2 · ½)


def test_the_two_gaps_add_up_to_that_of_the_bound_and_leave_no_gradient(monkeypatch):
    monkeypatch.setattr(gaps, "TEMPERATURES", 60)
    monkeypatch.setattr(gaps, "STEPS", 150)
    torch.manual_seed(0)
    model = plane_vae()
    x = model.sample(8)
    data = replace(digits(labelled=False), spec=PLANE, test=x)
    with torch.no_grad():
        found = gaps.inference_gaps(Evaluation(model, data))
        q = model.encoder(x).base_dist
        own = gaps.bound(model, x, None, q.loc, q.scale, 4000)
    whole = float((exact(model, x) - own).mean())
    assert sum(found.values()) == pytest.approx(whole, abs=0.12)
    assert found["amortisation_gap"] > 0 < found["approximation_gap"]
    assert all(parameter.grad is None for parameter in model.parameters())
