"""Schedules of the rate: their weights at known moments, and free bits dimension by dimension by
quadrature.
"""

import pytest
import torch
from vaezoo_plugins.warmup import FreeBits, cyclical, free_bits, rate_each, warmup

from vaezoo.core import Spec
from vaezoo.distributions import normal

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=8)


def weight_of_the_rate(model, progress: float) -> float:
    """β, read off the encoder's gradient: the loss is R + β KL to autograd too."""
    torch.manual_seed(1)
    terms = model(torch.ones(4, 6).double(), None, progress)
    slopes = [
        quadrature.gradient(model, terms[name], model.encoder)
        for name in ("loss", "distortion", "rate")
    ]
    difference = slopes[0] - slopes[1]
    weight = (difference @ slopes[2]) / (slopes[2] @ slopes[2])
    torch.testing.assert_close(difference, weight * slopes[2], atol=1e-10, rtol=1e-8)
    return weight.item()


@pytest.mark.certifies(
    "warmup", claim="the gradient is that of R + β KL, β rising linearly to 1 at `until`"
)
def test_warm_up_is_linear_and_stays_at_one():
    model = warmup(SPEC, until=0.4).double()
    for progress, expected in [
        (0.0, 0.0),
        (0.1, 0.25),
        (0.2, 0.5),
        (0.4, 1.0),
        (0.7, 1.0),
        (1.0, 1.0),
    ]:
        assert weight_of_the_rate(model, progress) == pytest.approx(expected, abs=1e-9)


@pytest.mark.certifies(
    "cyclical", claim="the gradient is that of R + β KL, β = min(1, τ/rise) in each cycle"
)
def test_cycles_start_anew_at_zero_and_the_last_one_ends_at_one():
    model = cyclical(SPEC, cycles=4, rise=0.5).double()
    for start in (0.0, 0.25, 0.5, 0.75):
        for into, expected in [(0.0, 0.0), (0.0625, 0.5), (0.125, 1.0), (0.2, 1.0)]:
            assert weight_of_the_rate(model, start + into) == pytest.approx(expected, abs=1e-9)
    assert weight_of_the_rate(model, 1.0) == 1.0


@pytest.mark.certifies(
    "free_bits", claim="the rate of each dimension is its integral, a mean over rows"
)
def test_rates_of_dimensions_are_their_integrals():
    torch.manual_seed(0)
    model = free_bits(SPEC).double()
    trace = model.infer(torch.rand(3, 6).round().double(), k=2)
    q = trace.latents[0].q.base_dist
    p = normal(torch.zeros(1).double(), torch.ones(1).double())
    expected = [
        torch.stack(
            [quadrature.kl(normal(q.loc[i, j : j + 1], q.scale[i, j : j + 1]), p) for i in range(3)]
        ).mean()
        for j in range(2)
    ]
    torch.testing.assert_close(rate_each(trace), torch.stack(expected), atol=1e-8, rtol=0)


@pytest.mark.certifies(
    "free_bits", claim="the loss is R + Σ max(λ, KL_j), without a gradient where KL_j < λ"
)
def test_a_dimension_below_its_free_nats_has_no_gradient_and_costs_them_all_the_same():
    torch.manual_seed(0)
    model, x = free_bits(SPEC).double(), torch.rand(5, 6).round().double()
    rates = rate_each(model.infer(x))
    between = rates.mean().item()  # above one of the two, below the other
    model.loss = FreeBits(between)
    terms = model(x)
    torch.testing.assert_close(terms["loss"], terms["distortion"] + between + rates.max())
    slope = quadrature.gradient(model, terms["loss"] - terms["distortion"], model.encoder)
    torch.testing.assert_close(
        slope, quadrature.gradient(model, rate_each(model.infer(x)).max(), model.encoder)
    )
