"""The Poincaré ball: its maps invert each other, its density integrates to one, its distances are
those of arcosh.
"""

import math
from dataclasses import replace

import pytest
import torch
from vaezoo_plugins.poincare import (
    FAR,
    Gyroplanes,
    Wrapped,
    WrappedNormal,
    add,
    exp_map,
    factor,
    log_map,
    poincare,
)

from tests.conftest import IMAGE, VECTOR, rows_of
from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.distributions import draw
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write

CURVATURES = pytest.mark.parametrize("k", [0.3, 1.0, 2.5])


def points(k: float, *shape: int) -> torch.Tensor:
    z = torch.randn(*shape).double()
    return (
        0.8 / math.sqrt(k) * torch.rand(*shape[:-1], 1).double() * z / z.norm(dim=-1, keepdim=True)
    )


def distance(a: torch.Tensor, b: torch.Tensor, k: float) -> torch.Tensor:
    gap, below = (
        (a - b).square().sum(-1),
        (1 - k * a.square().sum(-1)) * (1 - k * b.square().sum(-1)),
    )
    return torch.acosh(1 + 2 * k * gap / below) / math.sqrt(k)


@CURVATURES
@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_two_maps_are_inverse_to_each_other(k, d):
    torch.manual_seed(0)
    m, z = points(k, 20, d), points(k, 20, d)
    torch.testing.assert_close(exp_map(m, log_map(m, z, k), k), z, rtol=1e-9, atol=1e-9)
    v = 0.3 * torch.randn(20, d).double()
    torch.testing.assert_close(log_map(m, exp_map(m, v, k), k), v, rtol=1e-8, atol=1e-8)


@pytest.mark.certifies("poincare", claim="distances are those of arcosh")
@CURVATURES
def test_a_velocitys_length_is_the_distance(k):
    torch.manual_seed(1)
    m, z = points(k, 20, 3), points(k, 20, 3)
    lengths = factor(m, k).squeeze(-1) * log_map(m, z, k).norm(dim=-1)
    torch.testing.assert_close(lengths, distance(m, z, k), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(add(-m, add(m, z, k), k), z, rtol=1e-9, atol=1e-9)


@pytest.mark.certifies("poincare", claim="the wrapped normal integrates to 1 over the disc")
@CURVATURES
def test_density_integrates_to_one_over_the_disc(k):
    """In polar coordinates, volume λ² ρ dρ dφ; ρ = tanh(s)/√κ approaches the edge."""
    p = WrappedNormal(torch.tensor([0.3, -0.2]).double(), torch.tensor([0.5, 0.8]).double(), k)
    s = torch.linspace(0, 5, 1501, dtype=torch.double)[:, None]
    angle = torch.arange(240, dtype=torch.double) * 2 * math.pi / 240
    rho = torch.tanh(s) / math.sqrt(k)
    z = torch.stack([rho * angle.cos(), rho * angle.sin()], -1)
    volume = factor(z, k).squeeze(-1) ** 2 * rho / math.sqrt(k) / torch.cosh(s) ** 2
    total = (p.log_prob(z).exp() * volume).sum() * 5 / 1500 * 2 * math.pi / 240
    assert abs(total.item() - 1) < 1e-4


@pytest.mark.certifies("poincare", claim="its density is that of autograd's Jacobian")
@CURVATURES
@pytest.mark.parametrize("d", [1, 2, 4])
def test_density_is_that_of_autograds_jacobian(k, d):
    """log N(v) - log |det ∂z/∂v| - D log λ_z."""
    torch.manual_seed(2)
    m, scale = points(k, d), 0.5 + torch.rand(d).double()
    p = WrappedNormal(m, scale, k)
    for _ in range(5):
        v = torch.randn(d).double() * scale
        push = lambda v: exp_map(m, v / factor(m, k), k)  # noqa: E731
        log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(push, v)).logabsdet
        z = push(v)
        flat = torch.distributions.Normal(torch.zeros(d).double(), scale).log_prob(v).sum()
        expected = flat - log_det - d * factor(z, k).log().squeeze()
        torch.testing.assert_close(p.log_prob(z), expected, rtol=1e-8, atol=1e-8)


def test_the_mean_of_p_over_q_is_one():
    """n = 50,000, z-score below 4."""
    torch.manual_seed(3)
    q = WrappedNormal(
        torch.tensor([[0.2, 0.1, -0.1]]).double(), torch.full((1, 3), 0.9).double(), 1.0
    )
    p = WrappedNormal(torch.zeros(3).double(), torch.full((3,), 0.7).double(), 1.0)
    z, log_q = draw(q, (50_000,))
    w = (p.log_prob(z) - log_q).exp()
    assert abs(w.mean() - 1) < 4 * w.std() / math.sqrt(50_000)


def test_gyroplane_distance_is_the_least_over_the_plane():
    """The plane through exp_0(offset) = p along a⊥ is {p ⊕ t a⊥}; least arcosh distance over a fine
    grid of t.
    """
    torch.manual_seed(4)
    spec = replace(VECTOR, latent=2, hidden=3)
    decoder = Gyroplanes(spec, Wrapped(spec)).double()
    z = points(1.0, 1, 6, 2)
    found = decoder.distances(z) / decoder.direction.norm(dim=-1)
    p = exp_map(torch.zeros_like(decoder.offset), decoder.offset, 1.0)
    for h in range(3):
        a = decoder.direction[h].detach()
        along = torch.stack([-a[1], a[0]]) / a.norm()
        plane = add(
            p[h].detach(), torch.linspace(-0.9999, 0.9999, 20_001).double()[:, None] * along, 1.0
        )
        least = torch.stack([distance(plane, row, 1.0).min() for row in z[0]])
        torch.testing.assert_close(found[0, :, h].abs().detach(), least, rtol=1e-5, atol=1e-5)


def test_single_precision_stays_finite_far_out():
    torch.manual_seed(5)
    loc = exp_map(torch.zeros(4, 5), 10 * torch.randn(4, 5), 1.0).requires_grad_()
    q = WrappedNormal(loc, torch.full((4, 5), 3.0), 1.0)
    z, log_q = draw(q, (100,))
    (log_q.sum() + WrappedNormal(torch.zeros(5), torch.ones(5), 1.0).log_prob(z).sum()).backward()
    assert log_q.isfinite().all()
    assert loc.grad.isfinite().all()


@pytest.mark.parametrize("gyroplanes", [True, False])
def test_it_trains_and_samples_on_every_kind_of_data(spec, gyroplanes):
    torch.manual_seed(6)
    model, x = poincare(replace(spec, latent=3), gyroplanes=gyroplanes), rows_of(spec, 6)
    model(x)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.infer(x, k=3).log_w.shape == (3, 6)
    assert model.sample(4).shape == (4, *spec.shape)


def test_a_ball_and_a_real_prior_are_refused():
    with pytest.raises(Unsupported, match="ball"):
        VAE(Wrapped(IMAGE), Write(IMAGE), StandardNormal(IMAGE), ELBO())


@pytest.mark.certifies(
    "poincare", claim="the density of a draw holds to the edge of what float64 resolves"
)
@pytest.mark.parametrize("latent", [1, 2, 8, 128])
@pytest.mark.parametrize("far", [0.0, 1.0, 8.0, 1000.0])
def test_the_density_of_a_draw_is_that_of_its_point_however_far_out(latent, far):
    """By the draw's own v, and by the point; the network emits means up to 1,000 and any scale."""
    torch.manual_seed(6)
    spec = replace(VECTOR, latent=latent)
    encoder = Wrapped(spec)
    raw = torch.cat([far * torch.randn(50, latent), 5 * torch.randn(50, latent)], -1)
    del encoder.net
    encoder.net = lambda x, c=None: x
    q = encoder(raw)
    z, log_q = draw(q, (20,))
    assert (z.norm(dim=-1) < 1).all()
    r = distance(torch.zeros_like(z), z, 1.0)
    assert r.max() < 30
    error = (q.log_prob(z) - log_q).abs() / (1 + log_q.abs())
    assert error.max() < 5e-3
    assert log_q.isfinite().all()


@pytest.mark.certifies("poincare", claim="on wide raw data the ELBO stays below log p(x)")
def test_on_wide_data_the_bound_stays_a_bound():
    """600 rows of N(0, 10²) in 5 columns once printed an ELBO of +31,674,486.

    No density of such data exceeds their entropy by much: -log p ≥ 5 (log 10 + 1.42) - slack.
    """
    torch.manual_seed(7)
    x = 10 * torch.randn(600, 5)
    model = poincare(replace(VECTOR, shape=(5,), latent=2, hidden=32))
    adam = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(300):
        adam.zero_grad()
        model(x)["loss"].backward()
        adam.step()
    with torch.no_grad():
        trace = model.infer(x, k=64)
    elbo = trace.log_w.mean(0)
    iwae = trace.log_w.logsumexp(0) - math.log(64)
    assert trace.log_w.isfinite().all()
    assert (trace.kl.mean(0) > 0).all()
    assert iwae.mean() > elbo.mean()
    assert iwae.mean() < -5 * (math.log(10) + 1.42) + 3


@pytest.mark.certifies("poincare", claim="a mean and a scale that have gone far can come back")
@pytest.mark.parametrize("latent", [2, 8, 128])
@pytest.mark.parametrize("size", [1.0, 20.0, 1000.0])
def test_the_limits_of_a_posterior_have_a_gradient_that_points_back(latent, size):
    torch.manual_seed(0)
    encoder = Wrapped(Spec((6,), "normal", latent=latent, hidden=8))
    encoder.net.forward = lambda x, c=None: x
    raw = torch.cat([torch.ones(1, latent), torch.ones(1, latent)], -1) * size
    raw.requires_grad_()
    q = encoder(raw)
    assert q.scale.max() < FAR / (latent**0.5 + 5)
    assert distance(torch.zeros(latent).double(), q.loc, 1.0).item() < FAR
    origin = torch.zeros(1, latent).double()
    by_loc = torch.autograd.grad(distance(origin, q.loc, 1.0).sum(), raw, retain_graph=True)[0]
    by_scale = torch.autograd.grad(q.scale.sum(), raw)[0]
    assert (by_loc[:, :latent] > 0).all()
    assert (by_scale[:, latent:] > 0).all()
