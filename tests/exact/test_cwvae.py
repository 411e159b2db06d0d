"""Levels that tick at their own rates: bounds against quadrature, and which level sees what."""

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.cwvae import Clockwork, cwvae

from tests.exact import _bounds as bounds, _quadrature as quadrature
from vaezoo.core import Spec
from vaezoo.distributions import at_centre
from vaezoo.seeds import seeded

from ._trained import descended

SPEC = Spec((7, 3), "normal", latent=2, hidden=8)


def built(spec: Spec = SPEC, steps: int = 30, **dials: int) -> tuple[Clockwork, Tensor]:
    """A model, moved some steps off its first weights, and four rows, float64."""
    with seeded("weights"):
        model = cwvae(spec, **dials).double()
        x = torch.randn(4, *spec.shape).double()
        descended(model, x, steps, 0.02)
    return model.eval(), x


@pytest.mark.certifies("cwvae", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to")
def test_bounds_lie_below_quadrature_and_meet_it():
    """Two steps: one number of the slow level, two of the fast one. n = 20,000 draws, z-score
    below 5.
    """
    model, x = built(Spec((2, 2), "normal", latent=1, hidden=6), 0, levels=2)
    z, cell = quadrature.grid(3, 7.0, 57)
    slow = z[:, None, :1, None].expand(-1, 4, -1, -1)
    fast = z[:, None, 1:, None].expand(-1, 4, -1, -1)
    n = 20_000
    with torch.no_grad(), seeded("draws"):
        log_prior, px = model.given([slow, fast])
        exact = quadrature.log_integral(log_prior + px.log_prob(x), cell)
        trace = model.infer(x, k=n)
    assert quadrature.log_integral(log_prior, cell).abs().max() < 1e-6
    bounds.meet(trace.log_w, exact, trace.log_px - trace.kl)


@pytest.mark.certifies("cwvae", claim="log w is the sum of its levels' terms, along one path")
@pytest.mark.parametrize("factor", [2, 3])
def test_log_w_is_its_levels_terms_added_up(factor):
    model, x = built(factor=factor)
    bounds.add_up(model, x)


@pytest.mark.certifies("cwvae", claim="a level ticks at every k^(l−1)-th step")
def test_levels_tick_at_their_rates():
    model, x = built()
    ticks = [latent.z.shape[2] for latent in model.infer(x).latents]
    assert ticks == [2, 4, 7]  # ⌈7/4⌉, ⌈7/2⌉, 7


@pytest.mark.certifies("cwvae", claim="a tick's posterior reads no step behind the next tick")
def test_a_tick_sees_its_own_steps_and_no_later_ones():
    model, x = built()
    x.requires_grad_()
    with at_centre():
        slow, middle, fast = (latent.q.mean for latent in model.infer(x).latents)
    for q, tick, first, last in ((slow, 0, 0, 3), (middle, 1, 2, 3), (fast, 1, 1, 3)):
        (seen,) = torch.autograd.grad(q[0, 0, tick].sum(), x, retain_graph=True)
        assert seen[0, first : last + 1].abs().amax(1).gt(0).all()
        assert not seen[0, last + 1 :].any()
        assert not seen[1:].any()


def test_the_terms_hold_every_levels_rate():
    model, x = built()
    terms = model(x)
    rates = [terms[f"rate_{i}"] for i in (1, 2, 3)]
    torch.testing.assert_close(sum(rates), terms["rate"])
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])
