"""The hyperboloid: its maps, the densities of its two normals against quadrature, the ball and
closed forms, and float32 far out.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from vaezoo_plugins import poincare
from vaezoo_plugins.hyperbolic import FAR, lorentz, riemannian

from tests.conftest import VECTOR
from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.distributions import draw
from vaezoo.hyperboloid import Carried, RiemannianNormal, at_radius, exp_map, length, log_map
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write
from vaezoo.seeds import seeded

CURVATURES = pytest.mark.parametrize("k", [0.3, 1.0, 2.5])
LAWS = pytest.mark.parametrize("law", [Carried, RiemannianNormal])
KINDS = pytest.mark.parametrize("kind", [torch.float64, torch.float32])
LORENTZ = "lorentz"
RIEMANNIAN = "riemannian"


def velocities(far: float, *shape: int) -> Tensor:
    with seeded("v", far):
        return far * torch.randn(*shape).double()


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("far", [0.1, 1.0, 3.0])
def test_the_two_maps_are_inverse_to_each_other(far, d):
    m, v = velocities(far, 2, 50, d)
    torch.testing.assert_close(log_map(m, exp_map(m, v)), v, rtol=1e-6, atol=1e-6)


def test_the_way_there_and_back_ends_at_the_centre():
    m = velocities(4.0, 50, 3)
    assert (exp_map(m, -m).abs() < 1e-9).all()


@pytest.mark.certifies(LORENTZ, claim="distances are those of arcosh of the Lorentz product")
def test_a_velocitys_length_is_the_distance():
    m, v = velocities(1.0, 2, 50, 3)
    a, z = at_radius(m), exp_map(m, v)
    tops = [(1 + u.square().sum(-1)).sqrt() for u in (a, z)]
    product = tops[0] * tops[1] - (a * z).sum(-1)
    torch.testing.assert_close(product.acosh(), length(v).squeeze(-1), rtol=1e-8, atol=1e-8)


@pytest.mark.certifies(LORENTZ, claim="its density is that of poincare under the isometry")
@CURVATURES
@pytest.mark.parametrize("d", [1, 2, 5])
def test_density_is_that_of_the_ball(k, d):
    """A point b of the ball of radius 1 is 2b/(1 - ‖b‖²) on the hyperboloid."""
    m, z, scale = 0.8 * velocities(1.0, 3, 20, d)
    root = math.sqrt(k)
    scale = 0.3 + scale.abs()
    loc = poincare.exp_map(torch.zeros_like(m), m / 2, k)
    at = poincare.exp_map(torch.zeros_like(z), z / 2, k)
    b = root * at
    on_sheet = 2 * b / (1 - b.square().sum(-1, keepdim=True))
    torch.testing.assert_close(on_sheet, at_radius(root * z), rtol=1e-9, atol=1e-9)
    ball = poincare.WrappedNormal(loc, scale, k).log_prob(at)
    found = Carried(root * m, scale, k).log_prob(on_sheet)
    torch.testing.assert_close(found, ball, rtol=1e-8, atol=1e-8)


def plane(k: float) -> tuple[Tensor, Tensor]:
    """Points of the plane in polar coordinates, (N, 2), and the volume of each one's cell."""
    r = torch.linspace(0, 9, 1201).double()[1:, None]
    angle = torch.arange(180).double() * 2 * math.pi / 180
    z = torch.stack([r.sinh() * angle.cos(), r.sinh() * angle.sin()], -1).flatten(0, 1)
    volume = (r.sinh() / k * 9 / 1200 * 2 * math.pi / 180).expand(-1, 180).flatten()
    return z, volume


def law_at(law, k: float, kind: torch.dtype, loc: tuple[float, float], size: float):
    scale = [size, 1.3 * size] if law is Carried else [size]
    return law(torch.tensor(loc, dtype=kind), torch.tensor(scale, dtype=kind), k)


@pytest.mark.certifies(LORENTZ, RIEMANNIAN, claim="its density integrates to 1 over the plane")
@CURVATURES
@LAWS
@KINDS
def test_density_integrates_to_one(k, law, kind):
    z, volume = plane(k)
    p = law_at(law, k, kind, (0.6, -0.4), 0.6)
    assert abs((p.log_prob(z).double().exp() * volume).sum() - 1) < 1e-4


@pytest.mark.certifies(LORENTZ, RIEMANNIAN, claim="the mean of its sampled KL is quadrature's")
@LAWS
@KINDS
def test_the_kl_of_draws_is_that_of_quadrature(law, kind):
    """n = 20,000 draws, z-score below 4.5."""
    z, volume = plane(1.0)
    q = law_at(law, 1.0, kind, (0.8, 0.5), 0.4)
    p = law_at(law, 1.0, kind, (0.0, 0.0), 1.0)
    log_q = q.log_prob(z).double()
    exact = (log_q.exp() * (log_q - p.log_prob(z)) * volume).sum()
    n = 20_000
    with seeded("kl"):
        drawn, log_drawn = draw(q, (n,))
    assert drawn.dtype == kind
    each = (log_drawn - p.log_prob(drawn)).double()
    assert abs(each.mean() - exact) < 4.5 * each.std() / math.sqrt(n)


@pytest.mark.certifies(RIEMANNIAN, claim="its normaliser is the closed form's, from narrow to wide")
@pytest.mark.parametrize("size", [1e-3, 0.1, 1.0, 3.0])
def test_the_normaliser_is_exact(size):
    s = torch.tensor(size).double()
    flat = (math.pi / 2) ** 0.5 * s
    exact = {
        1: (2 * flat).log(),
        2: (2 * math.pi * flat).log() + s.square() / 2 + (s / math.sqrt(2)).erf().log(),
        3: (2 * math.pi * flat).log() + torch.expm1(2 * s.square()).log(),
    }
    for d, expected in exact.items():
        p = RiemannianNormal(torch.zeros(d), s[None], 1.0)
        torch.testing.assert_close(p.log_normaliser[0], expected, rtol=1e-10, atol=1e-10)


def radii(p: RiemannianNormal, n: int) -> Tensor:
    """Distances of n draws from the mean, by the points themselves."""
    with seeded("radii"):
        z, _ = draw(p, (n,))
    return length(log_map(p.loc, z.double())).squeeze(-1)


@pytest.mark.certifies(RIEMANNIAN, claim="its radii have their law")
@pytest.mark.parametrize("d", [1, 2, 8])
@pytest.mark.parametrize("size", [0.05, 0.6, 1.2])
def test_radii_are_drawn_from_their_law(d, size):
    """Kolmogorov-Smirnov on n = 10,000, a chance of 1e-4."""
    n = 10_000
    loc = torch.full((d,), 0.3).double()
    drawn = radii(RiemannianNormal(loc, torch.tensor([size]).double(), 1.0), n).sort().values
    r = torch.linspace(0, size**2 * d + 9 * size, 200_001).double()[1:]
    shape = -0.5 * (r / size).square() + (d - 1) * (r + torch.log(-torch.expm1(-2 * r)))
    cumulated = shape.softmax(0).cumsum(0)
    at = cumulated[torch.searchsorted(r, drawn).clamp_max(len(r) - 1)]
    steps = torch.arange(n).double() / n
    assert torch.maximum((at - steps).abs(), (at - steps - 1 / n).abs()).max() < 2.23 / n**0.5


@pytest.mark.certifies(RIEMANNIAN, claim="a radius's gradient is that of its quantile")
@pytest.mark.parametrize("d", [1, 2, 8])
def test_the_gradient_of_a_radius_is_a_difference_of_quantiles(d):
    def drawn(size: Tensor) -> Tensor:
        with seeded("quantiles"):
            return RiemannianNormal(torch.zeros(d), size[None], 1.0).cells.drawn((50,)).sum()

    size = torch.tensor(0.7).double().requires_grad_()
    found = torch.autograd.grad(drawn(size), size)[0]
    size = size.detach()
    step = 1e-5
    expected = (drawn(size + step) - drawn(size - step)) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.certifies(
    LORENTZ, RIEMANNIAN, claim="in float32 both densities of a draw are float64's, however far out"
)
@pytest.mark.parametrize("build", [lorentz, riemannian])
@pytest.mark.parametrize("latent", [1, 2, 8, 128])
@pytest.mark.parametrize("far", [0.1, 8.0, 1000.0])
def test_single_precision_has_no_edge(build, latent, far):
    """Of the same noise; the network emits means up to 1,000 and any scale."""
    model = build(replace(VECTOR, latent=latent))
    size = sum(model.encoder.sizes)
    with seeded("raw", latent, far):
        raw = far * torch.randn(50, size)
    found = {}
    for kind in (torch.float32, torch.float64):
        leaf = raw.to(kind, copy=True).requires_grad_()
        model.encoder.net.forward = lambda x, c=None, leaf=leaf: leaf
        model = model.to(kind)
        q, p = model.encoder(leaf), model.prior()
        with seeded("noise"):
            z, log_q = draw(q, (20,))
        log_p = p.log_prob(z)
        (log_q - log_p).sum().backward()
        assert z.dtype == log_p.dtype == kind
        assert leaf.grad.isfinite().all()
        assert z.isfinite().all()
        assert length(q.loc).max() < FAR
        found[kind] = torch.stack([log_q, log_p]).double().detach()
    single, double = found.values()
    assert ((single - double).abs() / (1 + double.abs())).max() < 1e-4


@pytest.mark.parametrize("build", [lorentz, riemannian])
def test_it_learns_samples_and_reports_finite_weights(build):
    with seeded("learns"):
        model = build(replace(VECTOR, latent=3))
        x = torch.rand(16, *VECTOR.shape).round()
        adam = torch.optim.Adam(model.parameters(), 0.01)
        losses = []
        for _ in range(40):
            adam.zero_grad()
            loss = model(x)["loss"]
            loss.backward()
            adam.step()
            losses.append(loss.item())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        assert sum(losses[-5:]) < sum(losses[:5])
        assert model.infer(x, k=3).log_w.isfinite().all()
        assert model.sample(4).shape == (4, *VECTOR.shape)


def test_a_hyperboloid_and_a_real_prior_are_refused():
    spec = Spec((6,), latent=2, hidden=8)
    with pytest.raises(Unsupported, match="hyperboloid"):
        VAE(lorentz(spec).encoder, Write(spec), StandardNormal(spec), ELBO())
