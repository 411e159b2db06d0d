"""ControlVAE: its controller step by step, and that the rate comes to what was asked for, by
quadrature.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from vaezoo_plugins.controlvae import Controlled, controlvae

from vaezoo.core import Spec
from vaezoo.distributions import normal
from vaezoo.seeds import seeded

from . import _quadrature as quadrature


@pytest.mark.certifies("controlvae", claim="β is the PI controller's, step by step")
def test_beta_is_the_controllers_by_hand():
    """With Python numbers, errors of both signs, both ends of β and the way back from each."""
    loss = Controlled(rate=5.0, proportional=0.3, integral=0.1, most=1.0).double()
    total = 0.0
    seen = set()
    for e in [2.0, -1.0, -4.0, -8.0, -8.0, 3.0, 3.0, 9.0, 9.0, -2.0]:
        near, moved = 0.3 / (1 + math.exp(e)), total - 0.1 * e
        if near + moved < 0 and e > 0:
            seen.add("held at 0")
        elif near + moved > 1 and e < 0:
            seen.add("held at the most")
        else:
            total = moved
        loss.control(torch.tensor(e).double())
        assert loss.beta.item() == pytest.approx(min(1.0, max(0.0, near + total)), abs=1e-12)
    assert seen == {"held at 0", "held at the most"}


@pytest.mark.certifies("controlvae", claim="the gradient is that of R + β KL")
def test_the_gradient_is_that_of_the_weighed_rate():
    model, x = quadrature.tiny(Controlled(rate=0.1))
    model.loss.beta.fill_(0.7)
    model.eval()
    terms = model(x)
    expected = terms["distortion"] + 0.7 * terms["rate"]
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(
        quadrature.gradient(model, terms["loss"]), quadrature.gradient(model, expected)
    )


@pytest.mark.certifies("controlvae", claim="training ends at the rate that was asked for")
@pytest.mark.parametrize(("rate", "kind"), [(0.5, torch.float64), (2.0, torch.float32)])
def test_the_rate_comes_to_what_was_asked_for(rate, kind):
    """KL by quadrature, within 3 % of the target: one below the rate at β = 1, and one above."""
    model, x = quadrature.tiny(Controlled(rate, integral=0.005))
    model = model.to(kind)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    with seeded("control"):
        for _ in range(1500):
            optimiser.zero_grad()
            model(x.to(kind).repeat(5, 1))["loss"].backward()
            optimiser.step()
    q = model.double().encoder(x)
    p = normal(torch.zeros(2).double(), torch.ones(2).double())
    with torch.no_grad():
        found = [
            quadrature.kl(normal(loc, scale), p, 2)
            for loc, scale in zip(q.base_dist.loc, q.base_dist.scale, strict=True)
        ]
    assert torch.stack(found).mean().item() == pytest.approx(rate, rel=0.03)
    beta = model.loss.beta.item()
    assert 0 < beta < 10
    assert (beta > 1) == (rate < 1)


def test_evaluation_leaves_the_controller_alone():
    model = controlvae(Spec((6,), latent=2, hidden=8)).eval()
    model(torch.ones(3, 6))
    assert (model.loss.total.item(), model.loss.beta.item()) == (0.0, 0.0)


class Curve:
    """A model whose R and KL are given, in nats."""

    def __init__(self, distortion, rate):
        self.given = SimpleNamespace(log_px=-distortion, kl=rate)

    def infer(self, x, c):
        return self.given


def monitor(distortion, rate, target):
    """What early stopping watches, of each of these R and KL (N,)."""
    loss = Controlled(rate=target).double().eval()
    pairs = zip(distortion, rate, strict=True)
    return torch.stack([loss(Curve(*pair), None, None, 0.0)["monitor"] for pair in pairs])


@pytest.mark.parametrize("target", [1.0, 4.0, 9.0])
def test_early_stopping_watches_what_is_least_at_the_rate_on_the_best_curve(target):
    """R = 30 exp(-KL / 5) falls by less than 10 a nat, the largest β: the constrained minimum."""
    rate = torch.linspace(0, 20, 201).double()
    assert rate[monitor(30 * torch.exp(-rate / 5), rate, target).argmin()] == pytest.approx(target)


def test_an_early_epoch_that_meets_the_rate_by_chance_is_no_best_one():
    """Epochs 9, 19 and 29 on Frey faces: R gains hundreds of nats while β is still on its way."""
    distortion = torch.tensor([-441.3, -582.4, -660.6]).double()
    watched = monitor(distortion, torch.tensor([8.27, 12.1, 12.7]).double(), 8.0)
    assert watched.tolist() == sorted(watched.tolist(), reverse=True)
