"""The deep hierarchy: its bounds below quadrature, its layers' terms, its sizes."""

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.vdvae import VeryDeep, doubled, halved, scales, vdvae

from vaezoo.core import Spec, Unsupported
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended, once

PIXELS = Spec((1, 3, 2), latent=2, hidden=8)
BOTH = pytest.mark.parametrize("steps", [0, 60])


@once
def built(spec: Spec, steps: int, layers: int) -> tuple[VeryDeep, Tensor]:
    with seeded("vdvae"):
        model = vdvae(spec, width=8, layers=layers).double()
        x = torch.rand(4, *spec.shape).round().double()
        descended(model, x.repeat(8, *[1] * len(spec.shape)), steps)
    return model.eval(), x


@pytest.mark.certifies("vdvae", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to")
@BOTH
def test_bounds_lie_below_quadrature_and_meet_it(steps):
    """Two layers of one number each, of a vector. n = 20,000 draws, z-score below 5."""
    model, x = built(Spec((5,), latent=1, hidden=8), steps, 2)
    n = 20_000
    z, cell = quadrature.grid(2, 9.0, 161)
    both = [z[:, i, None, None, None, None].expand(-1, 4, 1, 1, 1) for i in range(2)]
    with torch.no_grad(), seeded("draws"):
        log_prior, px = model.given(both)
        exact = quadrature.log_integral(log_prior + px.log_prob(x), cell)
        log_w = model.infer(x, k=n).log_w
    assert quadrature.log_integral(log_prior, cell).abs().max() < 1e-6
    bounds.meet(log_w, exact)


@pytest.mark.certifies("vdvae", claim="log w is the sum of its layers' terms, along one path")
@BOTH
def test_log_w_is_its_layers_terms_added_up(steps):
    model, x = built(PIXELS, steps, 2)
    trace = bounds.add_up(model, x)
    assert len(trace.latents) == 2 * len(model.sizes)


@pytest.mark.certifies("vdvae", claim="the rates of its layers add up to the rate")
def test_the_terms_hold_every_layers_rate():
    model, x = built(PIXELS, 0, 2)
    terms = model(x)
    rates = [terms[f"rate_{i}"] for i in range(1, 7)]
    torch.testing.assert_close(sum(rates), terms["rate"])
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])


@pytest.mark.certifies("vdvae", claim="a layer's prior and posterior read the latents above it")
def test_lower_layers_read_the_draws_above_them():
    model, x = built(PIXELS, 40, 1)
    with torch.no_grad(), seeded("draws"):
        trace = model.infer(x, k=5)
    first, *lower = trace.latents
    assert (first.q.mean.std(0) < 1e-12).all()
    assert (first.p.mean.std((0, 1)) < 1e-12).all()
    for latent in lower:
        assert (latent.q.mean.std(0) > 1e-6).any()
        assert (latent.p.mean.std(0) > 1e-6).any()


def test_sizes_are_halved_to_one_pixel():
    assert scales(8, 8) == [(1, 1), (2, 2), (4, 4), (8, 8)]
    assert scales(28, 20) == [(1, 1), (2, 2), (4, 3), (7, 5), (14, 10), (28, 20)]
    assert scales(1, 1) == [(1, 1)]


@pytest.mark.parametrize("size", [(3, 2), (4, 5), (1, 3)])
def test_halving_takes_the_mean_of_what_is_there_and_doubling_repeats(size):
    h = torch.rand(2, 1, *size).double()
    half = halved(h)
    assert half.shape[-2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    torch.testing.assert_close(half[..., 0, 0], h[..., :2, :2].mean((-2, -1)))
    again = doubled(half, size)
    assert again.shape == h.shape
    torch.testing.assert_close(again[..., -1, -1], half[..., -1, -1])


def test_latents_have_the_numbers_that_the_spec_asks_for():
    model = vdvae(Spec((1, 8, 8), latent=8, hidden=8), width=4, layers=1)
    shapes = [latent.z.shape[2:].numel() for latent in model.infer(torch.zeros(2, 1, 8, 8)).latents]
    assert shapes == [8, 8, 16, 64]


def test_sequences_are_refused():
    with pytest.raises(Unsupported, match="a sequence has none"):
        vdvae(Spec((7, 5)))
