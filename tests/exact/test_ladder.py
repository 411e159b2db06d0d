"""Layers of latents: the precision-weighted posterior, and log w put together by hand."""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.ladder import ladder, product, two_level

from vaezoo.core import Spec, Trace
from vaezoo.distributions import normal

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=8)


def log_normal(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return (-0.5 * math.log(2 * math.pi) - scale.log() - (z - loc) ** 2 / (2 * scale**2)).sum(-1)


@pytest.mark.certifies(
    "ladder", claim="the posterior of a layer is the normalised product of evidence and prior"
)
def test_product_is_the_normalised_product_of_two_gaussians():
    def gaussian(loc: float, scale: float) -> torch.distributions.Distribution:
        return normal(
            torch.tensor([loc], dtype=torch.float64), torch.tensor([scale], dtype=torch.float64)
        )

    a, b = gaussian(1.2, 0.6), gaussian(-0.4, 1.1)
    z, cell = quadrature.grid(1, 10.0, 4001)
    unnormalised = a.log_prob(z) + b.log_prob(z)
    expected = unnormalised - quadrature.log_integral(unnormalised, cell)
    torch.testing.assert_close(product(a, b).log_prob(z), expected, atol=1e-9, rtol=0)


def by_hand(trace: Trace, top: Tensor) -> Tensor:
    """log p(x|z) + Σ log p(z_l|·) - log q(z_l|·), from means and scales; `top` is log p of the
    deepest latent.
    """
    total = trace.log_px + top
    for i, latent in enumerate(trace.latents):
        q, p = latent.q.base_dist, getattr(latent.p, "base_dist", None)
        total = total - log_normal(latent.z, q.loc, q.scale)
        if i:
            total = total + log_normal(latent.z, p.loc, p.scale)
    return total


@pytest.mark.certifies("ladder", claim="log w is the sum of its layers' terms")
def test_ladder_log_w_is_its_terms_added_by_hand():
    torch.manual_seed(0)
    model = ladder(SPEC, depth=3).double()
    trace = model.infer(torch.rand(4, 6).round().double(), k=5)
    top = log_normal(trace.z, torch.zeros_like(trace.z), torch.ones_like(trace.z))
    torch.testing.assert_close(trace.log_w, by_hand(trace, top), atol=1e-10, rtol=0)


def test_ladder_posterior_of_a_lower_layer_depends_on_the_draw_above():
    torch.manual_seed(0)
    model = ladder(SPEC, depth=2).double()
    x = torch.rand(4, 6).round().double()
    trace = model.infer(x, k=3)
    _, seen = model.likelihoods(x, None)
    p = trace.latents[1].p
    expected = (seen.mean / seen.variance + p.mean / p.variance) / (
        1 / seen.variance + 1 / p.variance
    )
    torch.testing.assert_close(trace.latents[1].q.mean, expected, atol=1e-10, rtol=0)
    assert (trace.latents[1].q.mean.std(0) > 1e-4).all()


@pytest.mark.certifies(
    "two_level",
    claim="log w is the sum of its layers' terms, with the mixture of posteriors on top",
)
def test_two_level_log_w_is_its_terms_added_by_hand():
    torch.manual_seed(0)
    model = two_level(SPEC, components=3).double()
    trace = model.infer(torch.rand(4, 6).round().double(), k=5)
    loc, raw = model.deep(model.pseudo.sigmoid()).chunk(2, -1)
    scale = torch.nn.functional.softplus(raw) + 1e-3
    top = torch.stack([log_normal(trace.z, loc[m], scale[m]) for m in range(3)]).logsumexp(
        0
    ) - math.log(3)
    torch.testing.assert_close(trace.log_w, by_hand(trace, top), atol=1e-10, rtol=0)


def test_warm_up_starts_without_a_rate_and_ends_with_all_of_it():
    model, x = ladder(SPEC, until=0.5), torch.rand(4, 6).round()
    for progress, beta in [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (1.0, 1.0)]:
        terms = model(x, None, progress)
        torch.testing.assert_close(terms["loss"], terms["distortion"] + beta * terms["rate"])
