"""Distributions: densities against scipy and quadrature, NaN as "not observed", vmap, centres."""

import math

import mpmath
import pytest
import scipy.stats
import torch
from torch import distributions as D
from torch.func import vmap

from vaezoo.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Levels,
    MaskedNormals,
    Normal,
    Observed,
    Point,
    Pushed,
    at_centre,
    bernoulli,
    detached,
    draw,
    kl,
    mixture,
    normal,
    to_length,
)

torch.manual_seed(0)


def doubles(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_normal_log_density_is_scipys():
    loc, scale, x = doubles(5), doubles(5).exp(), doubles(5)
    expected = scipy.stats.norm(loc.numpy(), scale.numpy()).logpdf(x.numpy())
    torch.testing.assert_close(
        Normal(loc, scale).log_prob(x), torch.from_numpy(expected), rtol=0, atol=1e-12
    )


def test_gaussian_kl_is_the_integral_over_a_fine_grid():
    """KL with its +1: without it the value is off by D/2, and a bound is no bound."""
    q, p = (Normal(*torch.tensor(v, dtype=torch.float64)) for v in ((0.3, 0.7), (-0.5, 1.4)))
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    integral = torch.trapezoid(q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z)), z)
    torch.testing.assert_close(kl(q, p), integral, rtol=0, atol=1e-9)


def test_kl_of_independent_normals_is_summed_over_dimensions():
    loc, scale = doubles(3, 4), doubles(3, 4).exp()
    q, p = normal(loc, scale), normal(torch.zeros_like(loc), torch.ones_like(loc))
    one_by_one = sum(
        D.kl_divergence(
            D.Normal(loc[:, d], scale[:, d]),
            D.Normal(torch.zeros(3).double(), torch.ones(3).double()),
        )
        for d in range(4)
    )
    torch.testing.assert_close(kl(q, p), one_by_one, rtol=0, atol=1e-12)


def test_kl_of_an_unknown_pair_is_none():
    q = normal(doubles(4), torch.ones(4).double())
    assert kl(q, mixture(torch.zeros(3), normal(doubles(3, 4), torch.ones(3, 4)))) is None


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_discretised_logistic_sums_to_one_over_its_levels(levels):
    loc, scale = torch.tensor(
        [[-0.4, 0.01, 0.5, 1.3], [0.5, 0.02, 0.1, 0.003]], dtype=torch.float64
    )
    values = torch.linspace(0, 1, levels, dtype=torch.float64)[:, None]
    total = DiscretisedLogistic(loc, scale, levels).log_prob(values).exp().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


def test_discretised_logistic_matches_the_cell_under_scipys_logistic():
    cell = scipy.stats.logistic(0.3, 0.1)
    loc, scale, x = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64)
    got = DiscretisedLogistic(loc, scale, 5).log_prob(x)
    assert got.item() == pytest.approx(math.log(cell.cdf(0.625) - cell.cdf(0.375)), abs=1e-12)


@pytest.mark.parametrize("logit", [-9.0, -1.0, 0.0, 1e-4, 3.0, 12.0])
def test_continuous_bernoulli_integrates_to_one(logit):
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    density = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64)).log_prob(x).exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-4)


EXTREME = [
    -1e4,
    -50.0,
    -15.0,
    -1.0,
    -0.1001,
    -0.0999,
    -1e-3,
    0.0,
    1e-5,
    0.0999,
    0.1001,
    3.0,
    50.0,
    1e4,
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", EXTREME)
def test_continuous_bernoulli_agrees_with_forty_digits_and_learns_at_every_logit(logit, dtype):
    """log p, its gradient x - E x, and the mean, at x = 0, 0.3 and 1."""
    given = torch.tensor(logit, dtype=dtype, requires_grad=True)
    q = ContinuousBernoulli(given)
    with mpmath.workdps(40):
        exact = mpmath.mpf(given.item())
        log_norm = mpmath.log(mpmath.expm1(exact) / exact) if exact else mpmath.mpf(0)
        mean = 1 / (1 - mpmath.exp(-exact)) - 1 / exact if exact else mpmath.mpf(1) / 2
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    assert q.mean.item() == pytest.approx(float(mean), rel=tolerance, abs=tolerance)
    for x in (0.0, 0.3, 1.0):
        log_p = q.log_prob(torch.tensor(x, dtype=dtype))
        assert log_p.item() == pytest.approx(
            float(exact * mpmath.mpf(x) - log_norm), rel=tolerance, abs=tolerance * 10
        )
        (gradient,) = torch.autograd.grad(log_p, given)
        assert gradient.item() == pytest.approx(float(x - mean), rel=1e-4, abs=tolerance * 10)


@pytest.mark.parametrize("logit", [-60.0, -3.0, 0.0, 1e-4, 3.0, 60.0])
def test_draws_of_the_continuous_bernoulli_have_its_mean(logit):
    """n = 40,000, z-score below 4.5."""
    torch.manual_seed(0)
    q = ContinuousBernoulli(torch.tensor(logit))
    x = q.sample((40_000,))
    assert ((x >= 0) & (x <= 1)).all()
    assert abs(x.mean() - q.mean) < 4.5 * x.std() / 200


def test_levels_are_a_distribution_over_the_values():
    q = Levels(doubles(3, 6))
    values = torch.linspace(0, 1, 6).double()[:, None]
    p = q.log_prob(values.expand(6, 3)).exp()
    torch.testing.assert_close(p.sum(0), torch.ones(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(q.mean, (p * values).sum(0), rtol=0, atol=1e-7)


def test_entries_that_are_nan_do_not_count_and_leave_the_gradient_clean():
    loc = doubles(2, 3, 4).requires_grad_()
    x = doubles(3, 4)
    x[1, 2:] = math.nan
    seen = Observed(Normal(loc, torch.ones_like(loc)), 1, has_gaps=True)
    by_hand = D.Normal(loc, 1).log_prob(torch.nan_to_num(x)).masked_fill(x.isnan(), 0).sum(-1)
    torch.testing.assert_close(seen.log_prob(x), by_hand, rtol=0, atol=1e-12)
    seen.log_prob(x).sum().backward()
    assert loc.grad.isfinite().all()
    assert (loc.grad[:, 1, 2:] == 0).all()


def test_without_gaps_a_nan_is_loud():
    q = Observed(Normal(torch.zeros(1, 2), torch.ones(1, 2)), 1, has_gaps=False)
    assert q.log_prob(torch.tensor([[0.0, math.nan]])).isnan().all()


@pytest.mark.parametrize("steps", [3, 5, 9])
def test_a_sequence_is_scored_the_same_however_long_its_padding(steps):
    q = Observed(D.Bernoulli(logits=torch.randn(2, 4, 5, 3)), 2, has_gaps=True)
    x = torch.rand(4, 3, 3).round()
    torch.testing.assert_close(q.log_prob(to_length(x, steps)), q.log_prob(to_length(x, 5)))


def test_the_start_of_a_sequence_without_gaps_is_scored_alone_and_a_nan_in_it_is_loud():
    loc = doubles(2, 4, 5, 3)
    q = Observed(Normal(loc, torch.ones_like(loc)), 2, has_gaps=False)
    x = doubles(4, 3, 3)
    by_hand = D.Normal(loc[:, :, :3], 1).log_prob(x).sum((-2, -1))
    torch.testing.assert_close(q.log_prob(x), by_hand, rtol=0, atol=1e-12)
    x[0, 1, 0] = math.nan
    assert q.log_prob(x)[:, 0].isnan().all()


def test_masked_steps_count_neither_in_density_nor_in_kl():
    loc, scale, mask = (
        doubles(2, 3, 5, 2),
        doubles(2, 3, 5, 2).exp(),
        torch.tensor([[1, 1, 0, 0, 0]] * 3).bool(),
    )
    q, p = (
        MaskedNormals(loc, scale, mask),
        MaskedNormals(torch.zeros_like(loc), torch.ones_like(loc), mask),
    )
    short_q, short_p = (
        MaskedNormals(loc[:, :, :2], scale[:, :, :2]),
        MaskedNormals(torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)),
    )
    torch.testing.assert_close(q.log_prob(loc), short_q.log_prob(loc[:, :, :2]))
    torch.testing.assert_close(kl(q, p), kl(short_q, short_p))


def test_a_pushed_draw_knows_its_density():
    """z = exp(e) of a standard normal is log-normal."""
    z, log_q = draw(
        Pushed(normal(torch.zeros(7, 1), torch.ones(7, 1)), lambda e: (e.exp(), e.sum(-1))), (5,)
    )
    expected = scipy.stats.lognorm(1).logpdf(z.squeeze(-1).numpy())
    torch.testing.assert_close(log_q, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-5)


def test_at_centre_every_draw_is_the_mean():
    q = normal(torch.randn(3, 2), torch.ones(3, 2))
    with at_centre():
        z, _ = draw(q, (4,))
    torch.testing.assert_close(z, q.mean.expand(4, 3, 2))
    assert not torch.equal(draw(q, (4,))[0], z)


def test_a_point_has_itself_for_a_draw_and_for_a_centre():
    z = torch.randn(3, 2)
    assert torch.equal(draw(Point(z), (4,))[0], z.expand(4, 3, 2))
    assert torch.equal(Point(z).centre(), z)


def test_no_gradient_flows_through_a_detached_distribution():
    loc = torch.zeros(2, requires_grad=True)
    q = normal(loc, torch.ones(2))
    assert not detached(q).log_prob(torch.ones(2)).requires_grad
    assert q.log_prob(torch.ones(2)).requires_grad


@pytest.mark.parametrize(
    "make",
    [lambda a: normal(a, a.exp()), lambda a: bernoulli(a), lambda a: MaskedNormals(a, a.exp())],
)
def test_stacked_seeds_can_draw_under_vmap(make):
    def one(a):
        q = make(a)
        z = q.rsample() if q.has_rsample or isinstance(q, MaskedNormals) else q.sample()
        return q.log_prob(z)

    drawn = vmap(one, randomness="different")(torch.zeros(3, 4, 2))
    assert drawn.shape[0] == 3
    assert drawn.isfinite().all()


def test_a_draw_of_no_probability_is_nan_and_the_others_are_torchs():
    logits = torch.tensor([0.3, math.nan, -1.0, math.inf])
    torch.manual_seed(0)
    found = Bernoulli(logits=logits, validate_args=False).sample((1000,))
    assert found[:, 1].isnan().all()
    torch.manual_seed(0)
    expected = torch.distributions.Bernoulli(
        logits=logits.nan_to_num(), validate_args=False
    ).sample((1000,))
    assert torch.equal(found[:, 0], expected[:, 0])
    assert (found[:, 3] == 1).all()


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 4e-6), (torch.float64, 1e-14)])
def test_log_density_of_bits_and_its_gradient_are_exact_over_all_logits(kind, tolerance):
    """x l - log(1 + e^l) by mpmath's 50 digits; torch's own loses no less."""
    logits = torch.cat([torch.linspace(-50, 50, 401), torch.tensor([-1e4, 1e4])]).to(kind)
    for x in (0.0, 1.0, 0.3):
        given = logits.clone().requires_grad_()
        found = Bernoulli(logits=given, validate_args=False).log_prob(torch.tensor(x, dtype=kind))
        with mpmath.workdps(50):
            exact = [x * mpmath.mpf(v) - mpmath.log1p(mpmath.exp(v)) for v in logits.tolist()]
        expected = torch.tensor([float(v) for v in exact], dtype=torch.float64)
        torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)
        (slope,) = torch.autograd.grad(found.sum(), given)
        expected = x - torch.sigmoid(logits.double())
        torch.testing.assert_close(slope.double(), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (3, 5), (7,)])
@pytest.mark.parametrize("scale", [0.1, 4.0, 30.0, 1e4])
def test_the_sum_over_bits_is_that_of_float64_at_all_logits(shape, scale):
    """Without a gradient the logarithms of many entries are one: no closer to the edge than a sum
    in float32 is, and without underflow where all entries are unsure.
    """
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(3, *shape, generator=generator).round()
    logits = torch.randn(5, 3, *shape, generator=generator) * scale
    logits[0] *= 0  # every factor is ½
    logits[1] = logits[1].abs() * (2 * x - 1)  # all entries as expected: next to nothing is left
    logits[2] = -logits[1]
    with torch.no_grad():
        q = Observed(Bernoulli(logits=logits, validate_args=False), len(shape), has_gaps=False)
        found = q.log_prob(x)
    axes = tuple(range(2, logits.ndim))
    exact = D.Bernoulli(logits=logits.double()).log_prob(x.double().expand(logits.shape)).sum(axes)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-4 * x[0].numel() / 784)


def test_the_sum_over_bits_without_a_gradient_is_the_one_with_it():
    logits = doubles(4, 3, 6, 6).requires_grad_()
    x = doubles(3, 6, 6).sigmoid()
    q = Observed(Bernoulli(logits=logits, validate_args=False), 2, has_gaps=False)
    with torch.no_grad():
        found = q.log_prob(x)
        start = q.log_prob(x[:, :4])  # a sequence's further steps do not count
    torch.testing.assert_close(found, q.log_prob(x).detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(start, q.log_prob(x[:, :4]).detach(), rtol=0, atol=1e-12)


def test_a_gap_among_bits_counts_neither_in_the_density_nor_in_the_gradient():
    logits = doubles(2, 3, 5).requires_grad_()
    x = torch.tensor([[1.0, math.nan, 0.0, 1.0, math.nan]] * 3, dtype=torch.float64)
    q = Observed(Bernoulli(logits=logits, validate_args=False), 1, has_gaps=True)
    q.log_prob(x).sum().backward()
    there = [0, 2, 3]
    by_torch = D.Bernoulli(logits=logits[..., there]).log_prob(x[:, there]).sum(-1)
    torch.testing.assert_close(q.log_prob(x), by_torch, rtol=0, atol=1e-13)
    assert (logits.grad[..., [1, 4]] == 0).all()
    assert (logits.grad[..., there] != 0).all()


def test_normals_are_what_torch_makes_of_the_same_numbers():
    loc = doubles(2, 3, 4)
    scale = doubles(4).exp()
    q = normal(loc, scale, 2)
    by_torch = D.Independent(D.Normal(loc, scale), 2)
    z = doubles(5, 2, 3, 4)
    torch.testing.assert_close(q.log_prob(z), by_torch.log_prob(z), rtol=0, atol=1e-13)
    assert (q.batch_shape, q.event_shape) == (by_torch.batch_shape, by_torch.event_shape)
    wide = q.expand((7, 2))
    assert (wide.batch_shape, wide.event_shape) == ((7, 2), (3, 4))
    torch.testing.assert_close(wide.log_prob(z[0]), q.log_prob(z[0]).expand(7, 2))
