"""A diffusion as prior: its cross entropy by quadrature, its density, its draws, its bound."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from vaezoo_plugins.lsgm import LAST, Denoising, Diffused, ScorePrior, lsgm

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.diffusion import kept, time_of
from vaezoo.distributions import mixture, normal
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended, once

SCALES = (0.4, 0.7)
DIMS = pytest.mark.parametrize("dims", [1, 2])
TIMES = pytest.mark.parametrize("times", ["importance", "uniform"])
TYPES = pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-2), (torch.float32, 1e-2)])


class Clumps(nn.Module):
    """ê(s, z) = E[e | α z₀ + σ e = z] for z₀ of a mixture of two Gaussians."""

    def __init__(self, dims: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        means = torch.tensor([[-1.2, -0.5], [1.0, 0.6]], dtype=dtype)[:, :dims]
        self.means = nn.Parameter(means, requires_grad=False)
        self.scales = nn.Parameter(torch.tensor(SCALES, dtype=dtype)[:, None], requires_grad=False)

    def density(self, s: float) -> Distribution:
        """Of z_s."""
        time = self.means.new_full((1, 1), s)
        alpha, sigma = kept(time) if s else (torch.ones_like(time), torch.zeros_like(time))
        spread = (alpha * self.scales).square() + sigma.square()  # (M, 1)
        parts = normal(alpha * self.means, spread.sqrt().expand_as(self.means))
        return mixture(self.means.new_zeros(2), parts)

    def forward(self, s: Tensor, z: Tensor) -> Tensor:
        alpha, sigma = (one.unsqueeze(-1) for one in kept(s))  # (N, 1, 1)
        variance = (alpha * self.scales).square() + sigma.square()  # (N, M, 1)
        off = z.unsqueeze(1) - alpha * self.means  # (N, M, D)
        log_density = -off.square().sum(-1) / (2 * variance[..., 0])
        log_density = log_density - z.shape[1] / 2 * variance[..., 0].log()
        return (log_density.softmax(-1)[..., None] * sigma * off / variance).sum(1)


def posterior(dims: int, s: float = 0.0) -> Distribution:
    """q(z|x), or at s > 0 what the diffusion makes of it."""
    loc, scale = torch.tensor([[0.3, -0.4], [0.5, 0.3]]).double()[:, :dims]
    alpha, sigma = kept(torch.tensor(s).double()) if s else (torch.tensor(1.0), torch.tensor(0.0))
    return normal(alpha * loc, ((alpha * scale).square() + sigma.square()).sqrt())


def exact(dims: int, s: float) -> float:
    """-∫ q log p at s, by quadrature."""
    z, cell = quadrature.grid(dims, 7.0, 4001 if dims == 1 else 401)
    q = posterior(dims, s).log_prob(z).exp()
    return -float((q * Clumps(dims).density(s).log_prob(z)).sum() * cell)


@pytest.mark.certifies("lsgm", claim="the mean of the cross entropy's estimate is -∫ q log p")
@DIMS
@TIMES
def test_the_cross_entropy_of_the_exact_score_is_that_of_quadrature(dims, times):
    """400 means of 1,000 draws each: z-score below 4.5 against q and p at s = 0.001, and 0.02 nats
    against those without noise. What 1e-3 nats allow is that z_1 is not quite N(0, I).
    """
    p = Diffused(Clumps(dims), dims, 20, times)
    with seeded("cross entropy"):
        z = posterior(dims).sample(torch.Size((400, 1000)))
        means = torch.stack([p.cross_entropy(each).mean() for each in z])
    error = 4.5 * float(means.std()) / math.sqrt(400)
    assert error < {"importance": 0.03, "uniform": 0.1}[times]
    assert abs(float(means.mean()) - exact(dims, LAST)) < error + 1e-3
    assert abs(exact(dims, LAST) - exact(dims, 0.0)) < 0.02


@pytest.mark.certifies("lsgm", claim="times even in log σ² have the same mean and less variance")
def test_times_by_importance_have_less_variance():
    spread = {}
    for times in ("importance", "uniform"):
        p = Diffused(Clumps(2), 2, 20, times)
        with seeded("variance"):
            z = posterior(2).sample(torch.Size((20_000,)))
            spread[times] = float(p.cross_entropy(z[torch.randperm(len(z))]).var())
    assert spread["importance"] < spread["uniform"] / 2


def test_the_cross_entropy_to_the_standard_normal_has_no_noise():
    model, _ = built(Spec((5,), latent=2, hidden=32), 0)
    model.prior.noise.logit.data.fill_(-math.inf)
    z, _ = quadrature.grid(2, 3.0, 7)
    expected = -StandardNormal(Spec((5,), latent=2)).double()().log_prob(z)
    found = model.prior().cross_entropy(z)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_the_time_of_a_variance_is_where_it_is_kept():
    s = torch.logspace(-5, 0, 50, dtype=torch.float64)
    torch.testing.assert_close(time_of(kept(s)[1].square()), s, rtol=1e-10, atol=0)


def test_weights_are_those_of_maximum_likelihood():
    """∫ w ds over [0.001, 1] by both: (log σ² - log (1 - σ²))/2 at the ends, in closed form. A
    hundredth is what so many times leave out of the peak at s = 1.
    """
    _, sigma = kept(torch.tensor([LAST, 1.0]).double())
    variance = sigma.square()
    ends = (variance.log() - torch.log1p(-variance)) / 2
    for times in ("importance", "uniform"):
        p = Diffused(Clumps(1), 1, 20, times)
        with seeded("weights"):
            s, weight = p.weighed_times(torch.zeros(200_000, 1).double())
        assert LAST <= float(s.min()) < float(s.max()) <= 1
        assert float(weight.mean()) == pytest.approx(float(ends[1] - ends[0]), rel=1e-2)


@pytest.mark.certifies("lsgm", claim="log p of the flow is that of a known mixture, to 1e-2 nats")
@DIMS
@TYPES
def test_the_flow_of_the_exact_score_has_the_density_of_the_mixture(dims, dtype, digits):
    known = Clumps(dims, dtype)
    p = Diffused(known, dims, 40, "importance")
    with seeded("points"):
        z = known.density(0.0).sample(torch.Size((2, 100)))
        drawn = p.sample(torch.Size((2, 2500)))
    found = p.log_prob(z)
    assert found.dtype == dtype
    assert drawn.dtype == dtype
    torch.testing.assert_close(found, known.density(0.0).log_prob(z), rtol=0, atol=digits)

    error = drawn.flatten(0, 1).std(0) / math.sqrt(5000)
    off = drawn.flatten(0, 1).mean(0) - known.means.mean(0)
    assert (off.abs() < 4.5 * error + 2e-3).all()


@once
def built(spec: Spec, steps: int) -> tuple[VAE, Tensor]:
    """With a network that is felt beside the Gaussian part: α = 0.12."""
    with seeded("lsgm"):
        model = lsgm(spec, steps=15).double()
        model.prior.noise.logit.data.fill_(-2.0)
        x = torch.rand(4, *spec.shape).round().double()
        descended(model, x.repeat(16, 1), steps)
    return model.eval(), x


@pytest.mark.certifies("lsgm", claim="the density integrates to 1, and draws have it")
@pytest.mark.parametrize("steps", [0, 100])
def test_the_density_integrates_to_one_and_draws_have_it(steps):
    """In two dimensions. n = 5,000 draws: the share in each quadrant, z-score below 4.5."""
    model, _ = built(Spec((5,), latent=2, hidden=32), steps)
    p = model.prior()
    z, cell = quadrature.grid(2, 10.0, 80)
    with torch.no_grad(), seeded("draws"):
        mass = p.log_prob(z).exp() * cell
        drawn = p.sample(torch.Size((5000,)))
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-2)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = torch.tensor(signs)
        share = float(mass[(z * sign > 0).all(-1)].sum())
        found = float((drawn * sign > 0).all(-1).double().mean())
        assert abs(found - share) < 4.5 * math.sqrt(share * (1 - share) / 5000) + 0.01


def test_the_gaussian_part_alone_is_the_standard_normal():
    model, _ = built(Spec((5,), latent=2, hidden=32), 0)
    model.prior.noise.logit.data.fill_(-math.inf)
    z, _ = quadrature.grid(2, 3.0, 7)
    expected = StandardNormal(Spec((5,), latent=2)).double()().log_prob(z)
    torch.testing.assert_close(model.prior().log_prob(z), expected, rtol=0, atol=1e-12)


@pytest.mark.certifies("lsgm", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to")
def test_bounds_lie_below_quadrature_and_meet_it():
    """One latent number. n = 5,000 draws, z-score below 5."""
    model, x = built(Spec((5,), latent=1, hidden=16), 100)
    z, cell = quadrature.grid(1, 15.0, 801)
    with torch.no_grad(), seeded("draws"):
        joint = model.prior().log_prob(z)[:, None] + model.decoder(z[:, None]).log_prob(x)
        exact_log_p = quadrature.log_integral(joint, cell)
        log_w = model.infer(x, k=5000).log_w
    bounds.meet(log_w, exact_log_p)


def test_the_loss_is_its_terms_and_all_parts_learn():
    model, x = built(Spec((5,), latent=2, hidden=16), 0)
    terms = model(x)
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])
    terms["loss"].backward()
    for part in (model.encoder, model.decoder, model.prior):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_another_prior_is_refused():
    spec = Spec((5,), latent=2, hidden=16)
    with pytest.raises(Unsupported, match="the prior StandardNormal has none"):
        VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Denoising())
    assert ScorePrior(spec)().event_shape == (2,)


def test_ten_steps_are_as_good_as_eighty_after_training():
    model, _ = built(Spec((5,), latent=2, hidden=32), 100)
    p = model.prior()
    with torch.no_grad(), seeded("points"):
        z = p.sample(torch.Size((200,)))
        p.steps = 80
        many = p.log_prob(z)
        p.steps = 10
        few = p.log_prob(z)
    torch.testing.assert_close(few, many, rtol=0, atol=1e-2)
