"""BIVA: its bounds below quadrature, its layers' terms, who reads whom."""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.biva import Bidirectional, biva

from vaezoo.core import Spec
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

BOTH = pytest.mark.parametrize("steps", [0, 60])


def built(steps: int, depth: int = 2, latent: int = 1) -> tuple[Bidirectional, Tensor]:
    with seeded("biva"):
        model = biva(Spec((5,), latent=latent, hidden=8), depth).double()
        x = torch.rand(4, 5).round().double()
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            model(x.repeat(8, 1))["loss"].backward()
            optimiser.step()
    return model.eval(), x


@pytest.mark.certifies("biva", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to")
@BOTH
def test_bounds_lie_below_quadrature_and_meet_it(steps):
    """Two layers: three latents of one number. n = 20,000 draws, z-score below 5."""
    model, x = built(steps)
    n = 20_000
    z, cell = quadrature.grid(3, 7.5, 46)
    with torch.no_grad(), seeded("draws"):
        log_prior, px = model.given([z[:, i, None, None] for i in range(3)])
        exact = quadrature.log_integral(log_prior + px.log_prob(x), cell)
        log_w = model.infer(x, k=n).log_w
    assert quadrature.log_integral(log_prior, cell).abs().max() < 1e-4
    error = log_w.std(0) / math.sqrt(n)
    iwae = (log_w.unflatten(0, (-1, 10)).logsumexp(1) - math.log(10)).mean(0)
    assert (log_w.mean(0) <= iwae).all()
    assert (iwae <= exact + 5 * error).all()
    weight = (log_w - exact).exp()
    assert ((weight.mean(0) - 1).abs() < 5 * weight.std(0) / math.sqrt(n)).all()


@pytest.mark.certifies("biva", claim="log w is the sum of its latents' terms, along one path")
@BOTH
def test_log_w_is_its_latents_terms_added_up(steps):
    model, x = built(steps, depth=3, latent=2)
    with torch.no_grad(), seeded("draws"):
        trace = model.infer(x, k=3)
        log_prior, px = model.given([latent.z for latent in trace.latents])
    log_q = sum(latent.q.log_prob(latent.z) for latent in trace.latents)
    torch.testing.assert_close(trace.log_w, px.log_prob(x) + log_prior - log_q)
    assert len(trace.latents) == 5


@pytest.mark.certifies("biva", claim="the rates of its latents add up to the rate")
def test_the_terms_hold_every_latents_rate():
    model, x = built(0, depth=3, latent=2)
    terms = model(x)
    rates = [terms[f"rate_{i}"] for i in range(1, 6)]
    torch.testing.assert_close(sum(rates), terms["rate"])


@pytest.mark.certifies("biva", claim="u reads x and the u below it, v and z_L what is above too")
def test_who_reads_whom():
    """Two layers, draws of one x: u is drawn first, z_L reads u, v reads z_L."""
    model, x = built(40, latent=2)
    with torch.no_grad(), seeded("draws"):
        deepest, v, u = model.infer(x, k=5).latents
    assert (u.q.mean.std(0) < 1e-12).all()
    assert (deepest.q.mean.std(0) > 1e-6).all()
    assert (v.q.mean.std(0) > 1e-6).any()
    assert (u.p.mean.std(0) > 1e-6).any()
    assert not u.kl_is_exact
    assert v.kl_is_exact


def test_one_layer_is_a_vae():
    model, x = built(0, depth=1)
    assert len(model.infer(x).latents) == 1
