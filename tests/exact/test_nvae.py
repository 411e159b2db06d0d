"""NVAE in small: its bounds below quadrature, its residual posterior, its penalty, its balance."""

import math

import pytest
import torch
from torch import Tensor, distributions as D
from vaezoo_plugins.nvae import (
    NVAE,
    Bounded,
    Conv,
    Norm,
    Residual,
    balance,
    largest,
    nvae,
    sizes_of,
)

from vaezoo.core import Spec, Unsupported
from vaezoo.distributions import kl, normal
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended, once

PIXELS = Spec((1, 5, 4), latent=2, hidden=8)
BOTH = pytest.mark.parametrize("steps", [0, 60])
TYPES = pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)


@once
def built(spec: Spec, steps: int) -> tuple[NVAE, Tensor]:
    with seeded("nvae"):
        model = nvae(spec, width=8, expand=2).double()
        x = torch.rand(4, *spec.shape).round().double()
        descended(model, x.repeat(8, *[1] * len(spec.shape)), steps)
    return model.eval(), x


@pytest.mark.certifies("nvae", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to")
@BOTH
def test_bounds_lie_below_quadrature_and_meet_it(steps):
    """Two groups of one number each, of a vector. n = 20,000 draws, z-score below 5."""
    model, x = built(Spec((5,), latent=1, hidden=8), steps)
    n = 20_000
    z, cell = quadrature.grid(2, 9.0, 161)
    both = [z[:, i, None, None, None, None].expand(-1, 4, 1, 1, 1) for i in range(2)]
    with torch.no_grad(), seeded("draws"):
        log_prior, px = model.given(both)
        exact = quadrature.log_integral(log_prior + px.log_prob(x), cell)
        log_w = model.infer(x, k=n).log_w
    assert quadrature.log_integral(log_prior, cell).abs().max() < 1e-6
    bounds.meet(log_w, exact)


@pytest.mark.certifies("nvae", claim="log w is the sum of its groups' terms, along one path")
@BOTH
def test_log_w_is_its_groups_terms_added_up(steps):
    model, x = built(PIXELS, steps)
    trace = bounds.add_up(model, x)
    shapes = [latent.z.shape[2:] for latent in trace.latents]
    assert shapes == [(1, 2, 1), (1, 2, 1), (1, 3, 2), (1, 3, 2)]


@pytest.mark.certifies("nvae", claim="a group's prior and posterior read the latents above it")
def test_lower_groups_read_the_draws_above_them():
    model, x = built(PIXELS, 60)
    with torch.no_grad(), seeded("draws"):
        trace = model.infer(x, k=5)
    first, *lower = trace.latents
    assert (first.q.mean.std(0) < 1e-12).all()
    assert (first.p.mean == 0).all()
    assert (first.p.variance == 1).all()
    for latent in lower:
        assert (latent.q.mean.std(0) > 1e-6).any()
        assert (latent.p.mean.std(0) > 1e-6).any()


def posteriors(dtype: torch.dtype) -> tuple[Residual, D.Distribution]:
    with seeded("residual"):
        loc, shift = torch.randn(2, 3, 4, 2, 2, 1, dtype=dtype)
        log_scale, log_ratio = torch.randn(2, 3, 4, 2, 2, 1, dtype=dtype)
    p = normal(loc, log_scale.exp(), 3)
    return Residual(p, shift, log_ratio), p


@pytest.mark.certifies("nvae", claim="the KL of the residual posterior is that of two Normals")
@TYPES
def test_the_residual_kl_is_torchs(dtype, digits):
    q, p = posteriors(dtype)
    plain = [D.Independent(D.Normal(one.base_dist.loc, one.base_dist.scale), 3) for one in (q, p)]
    expected = D.kl_divergence(*plain)
    found = kl(q, p)
    assert found is not None
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=10 * digits, atol=digits)
    other = normal(p.base_dist.loc + 1, p.base_dist.scale, 3)  # which q is not relative to
    apart = D.Independent(D.Normal(other.base_dist.loc, other.base_dist.scale), 3)
    torch.testing.assert_close(kl(q, other), D.kl_divergence(plain[0], apart))


@pytest.mark.certifies("nvae", claim="the KL of the residual posterior is that of quadrature")
def test_the_residual_kl_is_that_of_quadrature():
    loc, shift = torch.tensor([0.4, -0.9]).double()
    log_scale, log_ratio = torch.tensor([0.3, -0.6]).double()
    each = [one.reshape(1, 1, 1) for one in (loc, log_scale, shift, log_ratio)]
    p = normal(each[0], each[1].exp(), 3)
    q = Residual(p, each[2], each[3])
    z, cell = quadrature.grid(1, 12.0, 20_001)
    z = z.reshape(-1, 1, 1, 1)
    log_q = q.log_prob(z)
    exact = (log_q.exp() * (log_q - p.log_prob(z))).sum() * cell
    torch.testing.assert_close(kl(q, p), exact, rtol=0, atol=1e-9)


def test_a_small_shift_has_its_kl_in_single_precision():
    """½ Δμ² of a shift that a mean of 1000 would swallow."""
    zero = torch.zeros(1, 1, 1)
    p = normal(zero + 1000, zero + 1, 3)
    assert float(kl(Residual(p, zero + 1e-5, zero), p)) == pytest.approx(0.5e-10, rel=1e-4)


@pytest.mark.certifies("nvae", claim="s is the largest singular value, after enough iterations")
@TYPES
@pytest.mark.parametrize("shape", [(6, 4, 3, 1), (8, 8, 5, 8), (3, 7, 1, 1)])
def test_power_iteration_comes_to_the_largest_singular_value(shape, dtype, digits):
    with seeded("conv"):
        conv = Conv(shape[1], shape[0], shape[2], shape[3]).to(dtype)
    exact = torch.linalg.svdvals(conv.weight.flatten(1))[0]
    assert conv.largest(1) <= exact * (1 + digits)
    torch.testing.assert_close(conv.largest(5000), exact, rtol=max(1e-9, digits), atol=0)
    # each step goes on where the last one ended, and its gradient is that of the value itself
    for _ in range(3):
        conv.largest(2000)
    (found,) = torch.autograd.grad(conv.largest(1), conv.weight)
    (expected,) = torch.autograd.grad(
        torch.linalg.matrix_norm(conv.weight.flatten(1), 2), conv.weight
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=max(1e-5, 10 * digits))


def test_the_penalty_is_the_sum_over_layers_and_evaluation_changes_no_buffer():
    model, _ = built(PIXELS, 60)
    model.requires_grad_(False)
    convolutions = [part for part in model.modules() if isinstance(part, Conv)]
    norms = [part for part in model.modules() if isinstance(part, Norm)]
    before = [conv.u.clone() for conv in convolutions]
    exact = sum(float(torch.linalg.svdvals(c.weight.flatten(1))[0]) for c in convolutions)
    exact += sum(float(norm.weight.abs().max()) for norm in norms)
    assert float(largest(model)) == pytest.approx(exact, rel=0.02)
    assert all(torch.equal(a, conv.u) for a, conv in zip(before, convolutions, strict=True))


@pytest.mark.certifies("nvae", claim="γ is KL by numbers over its mean, and 1 after warm-up")
def test_groups_are_balanced_by_the_papers_formula():
    rates = torch.tensor([6.0, 0.5, 2.0]).double()
    a = [(6.0 + 0.01) / 8, (0.5 + 0.01) / 8, (2.0 + 0.01) / 32]
    expected = torch.tensor([3 * one / sum(a) for one in a]).double()
    torch.testing.assert_close(balance(rates, torch.tensor([8.0, 8.0, 32.0]).double()), expected)


@pytest.mark.certifies("nvae", claim="the loss is R + β Σ γ KL + λ Σ s, the rates of each group")
@pytest.mark.parametrize(("progress", "beta"), [(0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (1.0, 1.0)])
def test_the_loss_is_its_terms(progress, beta):
    model, x = built(PIXELS, 60)
    model.loss = Bounded(until=0.4, smooth=0.3)
    terms = model(x, None, progress)
    rates = torch.stack([terms[f"rate_{i}"] for i in range(1, 5)])
    gamma = balance(rates, torch.tensor([2.0, 2.0, 6.0, 6.0]).double())
    warm = beta * (gamma * rates).sum() if beta < 1 else rates.sum()
    torch.testing.assert_close(rates.sum(), terms["rate"])
    torch.testing.assert_close(terms["monitor"], terms["distortion"] + terms["rate"])
    expected = terms["distortion"] + warm + 0.3 * largest(model)
    torch.testing.assert_close(terms["loss"], expected)


def test_one_row_of_one_pixel_is_read_while_training():
    model = nvae(Spec((5,), latent=2, hidden=8), width=8)
    terms = model.train()(torch.rand(1, 5).round())
    assert all(math.isfinite(value) for value in terms.values())


def test_sizes_are_halved_as_often_as_there_are_scales():
    assert sizes_of(8, 8, 2) == [(2, 2), (4, 4)]
    assert sizes_of(28, 20, 3) == [(4, 3), (7, 5), (14, 10)]
    assert sizes_of(2, 2, 5) == [(1, 1)]


def test_sequences_are_refused():
    with pytest.raises(Unsupported, match="a sequence has none"):
        nvae(Spec((7, 5)))
