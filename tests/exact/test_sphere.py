"""Distributions on the sphere against scipy and quadrature: densities, moments, divergences and
pathwise gradients.
"""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ive
from torch.func import vmap
from vaezoo_plugins import sphere

from tests.conftest import IMAGE, VECTOR, rows_of
from vaezoo import dataset
from vaezoo.core import VAE, Unsupported
from vaezoo.distributions import PowerSpherical, UniformOnSphere, VonMisesFisher, draw, kl
from vaezoo.distributions.spheres import log_area
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write
from vaezoo.training import fit

BOTH = pytest.mark.parametrize("kind", [VonMisesFisher, PowerSpherical])
DIMENSIONS = pytest.mark.parametrize("d", [2, 3, 5, 8])


def made(kind, d: int, kappa: float, mu: torch.Tensor | None = None):
    mu = torch.nn.functional.normalize(
        torch.arange(1.0, d + 1).double() if mu is None else mu, dim=0
    )
    return kind(mu[None], torch.tensor([[kappa]]).double())


def cosine_density(q, w: float) -> float:
    """The density of w = μᵀz in the angle: f(w) sin^{D-2} t times the area of S^{D-2}, at t =
    arccos w.
    """
    d = q.d
    other = torch.linalg.qr(torch.cat([q.mu.mT, torch.eye(d).double()[:, : d - 1]], 1))[0][:, 1]
    z = w * q.mu[0] + math.sqrt(max(0.0, 1 - w * w)) * other
    return float(q.log_prob(z[None]).exp())


def mean_of(kind, d: int, kappa: float, f) -> float:
    """E f(w) by adaptive quadrature over the angle, normalised by scipy alone."""
    shape = (
        (lambda w: math.exp(kappa * (w - 1)))
        if kind is VonMisesFisher
        else (lambda w: ((1 + w) / 2) ** kappa)
    )

    def over(g):
        return quad(
            lambda t: g(math.cos(t)) * shape(math.cos(t)) * math.sin(t) ** (d - 2),
            0,
            math.pi,
            epsabs=1e-13,
        )[0]

    return over(f) / over(lambda w: 1.0)


@pytest.mark.certifies("vmf", claim="draws solve G(t) = u to 1e-9, by adaptive quadrature")
@DIMENSIONS
@pytest.mark.parametrize("kappa", [1.0, 30.0, 1000.0])
def test_the_angle_of_a_draw_is_where_the_distribution_function_has_its_number(
    d: int, kappa: float, monkeypatch: pytest.MonkeyPatch
):
    """Half of the draws once lay up to a sixth of a cell beside it."""
    q = made(VonMisesFisher, d, kappa)
    u = torch.linspace(0.01, 0.99, 25).double()
    monkeypatch.setattr(torch, "rand_like", lambda like: u.reshape(like.shape))
    z, _ = q.draw((25,))
    angles = 2 * ((z - q.mu).norm(dim=-1) / 2).asin().flatten()

    def below(t: float) -> float:
        return quad(
            lambda a: math.exp(kappa * (math.cos(a) - 1)) * math.sin(a) ** (d - 2),
            0,
            t,
            epsabs=1e-15,
            epsrel=1e-12,
            limit=500,
        )[0]

    found = [below(float(t)) / below(math.pi) for t in angles]
    np.testing.assert_allclose(found, u, atol=1e-9)


@pytest.mark.certifies("vmf", "power", claim="q(z|x) integrates to 1 over the sphere")
@BOTH
@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.3, 4.0, 60.0])
def test_density_integrates_to_one(kind, d, kappa):
    q = made(kind, d, kappa)
    area = math.exp(log_area(d - 1))
    total, _ = quad(
        lambda t: cosine_density(q, math.cos(t)) * math.sin(t) ** (d - 2) * area,
        0,
        math.pi,
        epsabs=1e-10,
    )
    assert abs(total - 1) < 1e-7


@pytest.mark.certifies("vmf", claim="the normaliser is that of SciPy's Bessel functions")
@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.05, 1.0, 10.0, 300.0])
def test_fisher_normaliser_is_scipys(d, kappa):
    """C_d(κ) = κ^{d/2-1} / ((2π)^{d/2} I_{d/2-1}(κ)) (Davidson et al. 2018)."""
    q = made(VonMisesFisher, d, kappa)
    log_bessel = math.log(ive(d / 2 - 1, kappa)) + kappa
    expected = (d / 2 - 1) * math.log(kappa) - d / 2 * math.log(2 * math.pi) - log_bessel + kappa
    assert abs(q.log_prob(q.mu).item() - expected) < 1e-9


@BOTH
@DIMENSIONS
def test_drawn_log_density_is_that_of_the_point(kind, d):
    torch.manual_seed(0)
    q = made(kind, d, 5.0)
    z, log_q = draw(q, (100,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(100, 1).double())
    torch.testing.assert_close(log_q, q.log_prob(z), rtol=1e-8, atol=1e-8)


@BOTH
@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.5, 20.0])
def test_moments_of_draws_are_those_of_quadrature(kind, d, kappa):
    """E z = E w · μ and E w², n = 40,000, z-score below 5; the part of z across μ has mean zero."""
    torch.manual_seed(1)
    n, q = 40_000, made(kind, d, kappa)
    z, _ = draw(q, (n,))
    w = (z * q.mu).sum(-1)
    for f in (lambda w: w, lambda w: w * w, lambda w: w**3):
        assert abs(f(w).mean() - mean_of(kind, d, kappa, f)) < 5 * f(w).std() / math.sqrt(n)
    across = z - w[..., None] * q.mu
    assert (across.mean(0).abs() < 5 * across.std(0) / math.sqrt(n)).all()


@DIMENSIONS
def test_fisher_draws_have_uniform_distribution_values(d):
    """The inversion is exact: Kolmogorov's distance at n = 20,000 stays below its 0.1 % point."""
    torch.manual_seed(2)
    n, q = 20_000, made(VonMisesFisher, d, 7.0)
    z, _ = draw(q, (n,))
    angle = (z * q.mu).sum(-1).clamp(-1, 1).acos().flatten().sort().values.numpy()
    fine = np.linspace(0, math.pi, 200_001)
    density = np.exp(7.0 * (np.cos(fine) - 1)) * np.sin(fine) ** (d - 2)
    cdf = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    values = np.interp(angle, fine, cdf / cdf[-1])
    assert np.abs(values - (np.arange(n) + 0.5) / n).max() < 1.95 / math.sqrt(n)


@pytest.mark.certifies("vmf", "power", claim="the KL to the uniform prior is that of quadrature")
@BOTH
@DIMENSIONS
@pytest.mark.parametrize("kappa", [0.5, 6.0, 80.0])
def test_divergence_from_uniform_is_that_of_quadrature(kind, d, kappa):
    q, p = made(kind, d, kappa), UniformOnSphere(torch.zeros(d).double())
    log_f = (
        (lambda w: kappa * (w - 1))
        if kind is VonMisesFisher
        else (lambda w: kappa * math.log((1 + w) / 2))
    )
    expected = mean_of(kind, d, kappa, log_f) + q.log_prob(q.mu).item() + log_area(d)
    assert abs(kl(q, p).item() - expected) < 1e-8


@pytest.mark.certifies(
    "vmf", "power", claim="the pathwise gradient for κ is the derivative of quadrature"
)
@BOTH
@DIMENSIONS
def test_gradient_for_the_concentration_is_the_derivative_of_quadrature(kind, d):
    """d/dκ E f(w) for f = w² + w, by central differences of quadrature; 40,000 draws in n = 4,000
    means of ten, z-score below 5.

    The rejection sampler without its correction fails here for every d but 3.
    """
    torch.manual_seed(3)
    n, kappa = 4000, 3.0
    mu = torch.nn.functional.normalize(torch.arange(1.0, d + 1).double(), dim=0)
    each = torch.full((n, 1), kappa).double().requires_grad_()
    w = (draw(kind(mu.expand(n, d), each), (10,))[0] * mu).sum(-1)  # (10, n)
    (gradient,) = torch.autograd.grad((w.square() + w).mean(0).sum(), each)  # (n, 1)
    h, f = 1e-3, lambda w: w * w + w
    exact = (mean_of(kind, d, kappa + h, f) - mean_of(kind, d, kappa - h, f)) / (2 * h)
    assert abs(gradient.mean() - exact) < 5 * gradient.std() / math.sqrt(n)
    assert gradient.std() / math.sqrt(n) < 0.05 * abs(exact)


@BOTH
@DIMENSIONS
def test_gradient_for_the_direction_is_the_derivative_of_the_exact_mean(kind, d):
    """E (aᵀz)² = A + B (aᵀμ)², so its derivative along a tangent v is 2 B (aᵀμ)(aᵀv), B from E w²;
    40,000 draws in n = 4,000 means of ten.
    """
    torch.manual_seed(4)
    n, kappa = 4000, 3.0
    raw = torch.arange(1.0, d + 1).double().expand(n, d).clone().requires_grad_()
    a = torch.nn.functional.normalize(torch.randn(d).double(), dim=0)
    mu = torch.nn.functional.normalize(raw, dim=-1)
    z, _ = draw(kind(mu, torch.full((n, 1), kappa).double()), (10,))  # (10, n, D)
    (gradient,) = torch.autograd.grad((z @ a).square().mean(0).sum(), raw)  # (n, D)
    m, length = mu[0].detach(), raw[0].detach().norm()
    b = (d * mean_of(kind, d, kappa, lambda w: w * w) - 1) / (d - 1)
    exact = 2 * b * (a @ m) * (a - (a @ m) * m) / length
    assert ((gradient.mean(0) - exact).abs() < 5 * gradient.std(0) / math.sqrt(n) + 1e-12).all()


@BOTH
@DIMENSIONS
def test_the_mean_of_p_over_q_is_one(kind, d):
    """p uniform, q of small concentration; n = 40,000, z-score below 4."""
    torch.manual_seed(5)
    q, n = made(kind, d, 0.4), 40_000
    log_q = draw(q, (n,))[1]
    w = (-log_area(d) - log_q).exp()
    assert abs(w.mean() - 1) / (w.std() / math.sqrt(n)) < 4


@BOTH
def test_single_precision_stays_finite_for_extreme_concentrations(kind):
    torch.manual_seed(6)
    mu = torch.nn.functional.normalize(torch.randn(5, 16), dim=-1)
    kappa = torch.tensor([[1e-3], [1.0], [50.0], [1000.0], [5000.0]], requires_grad=True)
    q = kind(mu, kappa)
    z, log_q = draw(q, (200,))
    (z.sum() + log_q.sum() + q.kl_to_uniform().sum()).backward()
    assert z.isfinite().all()
    assert log_q.isfinite().all()
    assert kappa.grad.isfinite().all()


@BOTH
def test_draws_work_under_stacked_seeds(kind):
    mu = torch.nn.functional.normalize(torch.randn(3, 4, 5), dim=-1)
    kappa = torch.rand(3, 4, 1) + 1
    z, log_q = vmap(lambda m, k: kind(m, k).draw((2,)), randomness="different")(mu, kappa)
    assert z.shape == (3, 2, 4, 5)
    torch.testing.assert_close(log_q[1], kind(mu[1], kappa[1]).log_prob(z[1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", [sphere.vmf, sphere.power])
@pytest.mark.parametrize("latent", [2, 5])
def test_it_trains_and_samples_on_every_kind_of_data(spec, variant, latent):
    torch.manual_seed(7)
    spec = replace(spec, latent=latent)
    model, x = variant(spec), rows_of(spec, 6)
    model(x)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    trace = model.infer(x, k=3)
    assert trace.log_w.shape == (3, 6)
    assert trace.latents[0].kl_is_exact
    assert model.sample(4).shape == (4, *spec.shape)


def test_a_sphere_and_a_real_prior_are_refused():
    with pytest.raises(Unsupported, match="sphere"):
        VAE(sphere.Fisher(IMAGE), Write(IMAGE), StandardNormal(IMAGE), ELBO())
    with pytest.raises(Unsupported, match="latent ≥ 2"):
        sphere.vmf(replace(VECTOR, latent=1))


@pytest.mark.certifies(
    "vmf", claim="its KL is the exact one up to 128 dimensions and κ = 10⁶, in float32"
)
@pytest.mark.parametrize("d", [2, 3, 5, 50, 128])
@pytest.mark.parametrize("kappa", [1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_divergence_of_fisher_is_exact_at_every_size(d, kappa, dtype):
    """KL = κ A_d(κ) + log C_d(κ) + log area, by Bessel functions of 40 digits."""
    with mpmath.workdps(40):
        k = mpmath.mpf(kappa)
        nu = mpmath.mpf(d) / 2
        bessel = mpmath.besseli(nu - 1, k)
        log_c = (nu - 1) * mpmath.log(k) - nu * mpmath.log(2 * mpmath.pi) - mpmath.log(bessel)
        log_sphere = mpmath.log(2) + nu * mpmath.log(mpmath.pi) - mpmath.log(mpmath.gamma(nu))
        exact = float(k * mpmath.besseli(nu, k) / bessel + log_c + log_sphere)
    mu = torch.nn.functional.normalize(torch.arange(1.0, d + 1), dim=-1)[None].to(dtype)
    found = VonMisesFisher(mu, torch.tensor([[kappa]], dtype=dtype)).kl_to_uniform().item()
    assert abs(found - exact) < (1e-5 if dtype == torch.float32 else 1e-9) * max(1.0, exact)


@BOTH
@pytest.mark.parametrize("d", [2, 8, 50, 128])
@pytest.mark.parametrize("kappa", [1.0, 1e3, 1e5, 1e6])
def test_single_precision_agrees_with_double(kind, d, kappa):
    """The density at the draws, by the draw itself and by the point, 200 draws; and gradients."""
    torch.manual_seed(8)
    mu = torch.nn.functional.normalize(torch.randn(1, d), dim=-1)
    raw = torch.tensor([[kappa]], requires_grad=True)
    q = kind(mu, raw)
    z, log_q = draw(q, (200,))
    twin = kind(mu.double(), raw.detach().double())
    again = twin.log_prob(z.double())
    # The draw knows its angle √(D/κ) in float64. Its point in float32 is off by 6e-8, which is
    # 6e-8 · κ · √(D/κ) nats; 200 draws go to some seven times that.
    assert (log_q - again).abs().max() < 1e-5 + 4e-7 * (kappa * d) ** 0.5
    assert (q.log_prob(z) - again).abs().max() < 1e-4
    (gradient,) = torch.autograd.grad(log_q.mean() + q.kl_to_uniform().sum(), raw)
    assert gradient.isfinite().all()


@pytest.mark.certifies("power", "vmf", claim="the network gives η = κμ, with no flat part in κ")
@pytest.mark.parametrize("part", [sphere.Fisher, sphere.Power])
def test_mu_and_kappa_are_the_polar_coordinates_of_one_vector(part):
    torch.manual_seed(9)
    encoder = part(replace(VECTOR, latent=3)).double()
    m = torch.randn(4, 3).double() * torch.tensor([[1e-4], [0.1], [1.0], [30.0]])
    encoder.net.forward = lambda x, c=None: x
    q = encoder(m)
    torch.testing.assert_close((q.kappa - 1e-3) * q.mu, 48 * m, rtol=1e-6, atol=1e-9)
    nothing = encoder(torch.zeros(1, 3).double())
    assert nothing.mu.norm().item() == pytest.approx(1)
    (slope,) = torch.autograd.grad(
        encoder(m.requires_grad_()).kappa.sum(), m
    )  # of length 48 everywhere: nothing vanishes
    torch.testing.assert_close(slope.norm(dim=-1), torch.full((4,), 48.0).double())


@pytest.mark.certifies("power", "vmf", claim="the concentration falls at first and comes back")
def test_the_concentration_comes_back_when_the_codes_carry_something():
    """32 dimensions of which digits need few: the rate ended at 0.016 nats when κ had a number of
    its own, and q was uniform for good.
    """
    data = dataset("digits")
    data = replace(data, spec=replace(data.spec, latent=32))
    torch.manual_seed(0)
    model = sphere.power(data.spec)
    rates = [row["train_rate"] for row in fit(model, data, epochs=40).rows]
    assert min(rates) < 0.6
    assert rates[-1] > 0.7
