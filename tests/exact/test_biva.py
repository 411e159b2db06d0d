"""BIVA: its bounds below quadrature, its layers' terms, who reads whom."""

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.biva import Bidirectional, biva

from vaezoo.core import Spec
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended

BOTH = pytest.mark.parametrize("steps", [0, 60])


def built(steps: int, depth: int = 2, latent: int = 1) -> tuple[Bidirectional, Tensor]:
    with seeded("biva"):
        model = biva(Spec((5,), latent=latent, hidden=8), depth).double()
        x = torch.rand(4, 5).round().double()
        descended(model, x.repeat(8, 1), steps)
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
    bounds.meet(log_w, exact)


@pytest.mark.certifies("biva", claim="log w is the sum of its latents' terms, along one path")
@BOTH
def test_log_w_is_its_latents_terms_added_up(steps):
    model, x = built(steps, depth=3, latent=2)
    trace = bounds.add_up(model, x)
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
