"""Experts for views: on a linear-Gaussian pair, whose every density is known, and by quadrature.

x_v = W_v z + b_v + σ ε with orthogonal columns in each W_v, so that p(z|x_v) has independent units
and the experts can be exact.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from torch.nn import functional as F
from vaezoo_plugins.jmvae import jmvae
from vaezoo_plugins.mmvae import Stratified, mmvae
from vaezoo_plugins.mopoe import mopoe
from vaezoo_plugins.mvae import mvae
from vaezoo_plugins.mvtcae import mvtcae

from vaezoo.core import VAE, Spec, Unsupported, View
from vaezoo.distributions import detached, kl
from vaezoo.networks import Read
from vaezoo.seeds import seeded
from vaezoo.views import (
    MixtureOfNormals,
    Opinions,
    are_there,
    mixture_of,
    product,
    split_views,
    without_views,
)

from . import _quadrature as quadrature

VIEWS = (View("left", (3,)), View("right", (2,)))
SPEC = Spec((5,), "normal", latent=2, hidden=16, has_gaps=True, views=VIEWS)
THREE = replace(SPEC, views=(View("a", (2,)), View("b", (2,)), View("c", (1,))))
BUILDS = {"jmvae": jmvae, "mvae": mvae, "mmvae": mmvae, "mopoe": mopoe, "mvtcae": mvtcae}
EVERY = pytest.mark.parametrize("name", list(BUILDS))
SIGMA = 0.6
MISSING = {"none": (), "left": (0,), "right": (1,)}


class Pair:
    """The pair of views, with all its densities, float64."""

    def __init__(self) -> None:
        with seeded("linear views"):
            self.w = [orthogonal(view.size) for view in VIEWS]
            self.b = torch.randn(5).double()
        self.whole = torch.cat(self.w)

    def rows(self, n: int) -> Tensor:
        with seeded("rows"):
            z = torch.randn(n, 2).double()
            return z @ self.whole.T + self.b + SIGMA * torch.randn(n, 5).double()

    def log_p(self, x: Tensor) -> Tensor:
        """log p of the entries that are there in all rows, (N,)."""
        there = ~x[0].isnan()
        w = self.whole[there]
        covariance = w @ w.T + SIGMA**2 * torch.eye(len(w)).double()
        return MultivariateNormal(self.b[there], covariance).log_prob(x[:, there])

    def log_left_given_right(self, x: Tensor) -> Tensor:
        """log N(x_left; μ + S_lr S_rr⁻¹ (x_right - μ_right), S_ll - S_lr S_rr⁻¹ S_rl)."""
        s = self.whole @ self.whole.T + SIGMA**2 * torch.eye(5).double()
        gain = s[:3, 3:] @ s[3:, 3:].inverse()
        mean = self.b[:3] + (x[:, 3:] - self.b[3:]) @ gain.T
        return MultivariateNormal(mean, s[:3, :3] - gain @ s[3:, :3]).log_prob(x[:, :3])


def orthogonal(size: int) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(size, 2).double())
    return q * torch.tensor([1.7, 0.8]).double()


class ExactExpert(nn.Module):
    """q̃(z|x_v) = N(z; Wᵀ(x_v - b)/λσ², 1/λ), λ = WᵀW/σ²; times N(0, I) it is p(z|x_v)."""

    def __init__(self, w: Tensor, b: Tensor, with_prior: bool) -> None:
        super().__init__()
        self.w = w
        self.b = b
        self.precision = w.square().sum(0) / SIGMA**2
        self.total = self.precision + 1 if with_prior else self.precision

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        loc = (x.nan_to_num() - self.b) @ self.w / SIGMA**2 / self.total
        raw = torch.log(torch.expm1(self.total.rsqrt() - 1e-3))
        return torch.cat([loc, raw.expand_as(loc)], -1)


class LinearWriter(nn.Module):
    starts_at_mean = False

    def __init__(self, w: Tensor, b: Tensor) -> None:
        super().__init__()
        self.w = w
        self.b = b

    def raw(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return z @ self.w.T + self.b


def exact(name: str, with_prior: bool) -> tuple[VAE, Pair]:
    """The variant with the pair's own decoders, and experts that are the pair's."""
    pair = Pair()
    model = BUILDS[name](SPEC).double()
    starts = (slice(0, 3), slice(3, 5))
    for i, part in enumerate(starts):
        own = pair.w[i], pair.b[part]
        model.encoder.experts.readers[i] = ExactExpert(*own, with_prior)
        model.decoder.writers[i] = LinearWriter(*own)
    model.decoder.likelihood.log_scale.data.fill_(math.log(SIGMA))
    return model, pair


@pytest.mark.certifies("mvae", claim="with exact experts the bound is log p of the views there")
@pytest.mark.parametrize("gone", list(MISSING))
def test_the_product_of_exact_experts_is_the_posterior_whatever_views_are_there(gone):
    model, pair = exact("mvae", with_prior=False)
    x = without_views(pair.rows(7), SPEC, MISSING[gone])
    log_w = model.infer(x, k=3).log_w
    torch.testing.assert_close(log_w, pair.log_p(x).expand(3, -1), atol=1e-9, rtol=0)


@pytest.mark.certifies("mvae", claim="the objective is the sum of the bounds of eq. 5")
def test_the_sub_sampled_objective_is_the_sum_of_log_densities():
    """With exact experts every draw of R + KL has the mean log p, and KL in closed form."""
    model, pair = exact("mvae", with_prior=False)
    x = pair.rows(7)
    wanted = sum(pair.log_p(without_views(x, SPEC, gone)).mean() for gone in MISSING.values())
    with torch.no_grad(), seeded("objective"):
        found = torch.stack([model(x)["loss"] for _ in range(400)])
    error = found.std() / math.sqrt(400)
    assert (found.mean() + wanted).abs() < 4.5 * error


@pytest.mark.certifies("mvae", claim="in its warm-up each term's KL has the weight of the schedule")
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.4, 1.0])
def test_the_kl_of_every_term_is_warmed_up(progress):
    model, pair = exact("mvae", with_prior=False)
    x = pair.rows(7)
    terms = []
    with torch.no_grad(), seeded("warm-up"):
        for gone in ("none", "right", "left"):  # the terms in their order
            trace = model.infer(without_views(x, SPEC, MISSING[gone]))
            terms.append((-trace.log_px.mean(), trace.kl.mean()))
    with torch.no_grad(), seeded("warm-up"):
        found = model.loss(model, x, None, progress)
    weight = min(1.0, progress / 0.4)
    wanted = sum(distortion + weight * rate for distortion, rate in terms)
    torch.testing.assert_close(found["loss"], wanted, atol=1e-9, rtol=0)
    torch.testing.assert_close(found["joint"], sum(terms[0]), atol=1e-9, rtol=0)


@pytest.mark.certifies("jmvae", claim="with exact experts the bound is log p of each view alone")
@pytest.mark.parametrize("gone", ["left", "right"])
def test_a_row_of_one_view_has_that_views_posterior(gone):
    model, pair = exact("jmvae", with_prior=True)
    x = without_views(pair.rows(7), SPEC, MISSING[gone])
    log_w = model.infer(x, k=3).log_w
    torch.testing.assert_close(log_w, pair.log_p(x).expand(3, -1), atol=1e-9, rtol=0)


@pytest.mark.certifies(
    "mmvae", "mopoe", "mvtcae", claim="the bound is below log p(x) of a linear-Gaussian pair"
)
@pytest.mark.parametrize("name", ["mmvae", "mopoe", "mvtcae"])
def test_mixtures_stay_below_log_p(name):
    """n = 20,000 draws, z-score below 4.5: bounds of one draw below, of all draws at log p(x)."""
    model, pair = exact(name, with_prior=True)
    x = pair.rows(3)
    with torch.no_grad(), seeded("below"):
        log_w = model.infer(x, k=20_000).log_w
    log_p = pair.log_p(x)
    assert (log_w.mean(0) < log_p).all()
    w = (log_w - log_p).exp()
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(20_000)).all()


@pytest.mark.certifies("mmvae", claim="the objective rises with K, and stays below log p(x)")
def test_the_stratified_bound_rises_with_k_and_stays_below():
    model, pair = exact("mmvae", with_prior=True)
    x = pair.rows(400)
    log_p = pair.log_p(x).mean()
    found = []
    for k in (1, 8, 64):
        with torch.no_grad(), seeded("rises"):
            found.append(-Stratified(k)(model, x, None, 1.0)["loss"])
    # every stratum's own mean of weights is not 1, so the limit is below log p(x)
    assert found[0] < found[1] < found[2] < log_p


@pytest.mark.certifies("mvae", claim="log p of one view given the other is the Gaussian formula's")
def test_one_view_given_the_other_is_the_gaussian_formula():
    """log E_{z ~ q(z|x_right)} p(x_left|z), n = 100,000, z-score below 4.5."""
    model, pair = exact("mvae", with_prior=False)
    x = pair.rows(4)
    with torch.no_grad(), seeded("conditional"):
        given = model.infer(without_views(x, SPEC, (0,)), k=100_000)
        wanted = without_views(x, SPEC, (1,))
        log_left = given.px.log_prob(wanted)
    p = (log_left - pair.log_left_given_right(x)).exp()
    assert ((p.mean(0) - 1).abs() < 4.5 * p.std(0) / math.sqrt(100_000)).all()


@pytest.mark.certifies(*BUILDS, claim="IWAE comes to log p of the views there, of quadrature")
@EVERY
@pytest.mark.parametrize("gone", list(MISSING))
def test_importance_sampling_finds_log_p(name, gone):
    """n = 20,000, z-score below 4.5; of experts that are wide, so that weights are even."""
    with seeded(name):
        model = BUILDS[name](SPEC).double().eval()
        model.decoder.likelihood.log_scale.data.fill_(0.0)
        for reader in model.encoder.modules():
            if isinstance(reader, Read):
                reader.out[-1].bias.data[2:] += 2.0
        x = without_views(torch.randn(3, 5).double(), SPEC, MISSING[gone])
    with torch.no_grad(), seeded("importance"):
        w = (model.infer(x, k=20_000).log_w - quadrature.log_p(model, x)).exp()
    assert w.std(0).max() < 3
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(20_000)).all()


def opinions() -> Opinions:
    """Three experts, four rows: all there, one lacking, two lacking, all lacking."""
    with seeded("opinions"):
        loc = torch.randn(3, 4, 2).double()
        scale = 0.5 + torch.rand(3, 4, 2).double()
    there = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]]).bool()
    loc = torch.where(there[..., None], loc, 0.0)
    return Opinions(loc, torch.where(there[..., None], scale, 1.0), there)


@pytest.mark.certifies("mvae", "mvtcae", claim="the product is that of the densities, normalised")
@pytest.mark.parametrize("prior", [True, False])
def test_the_product_is_that_of_the_densities(prior):
    said = opinions()
    q = product(said, prior)
    z, cell = quadrature.grid(2, 7.0, 401)
    log_f = torch.stack([one.log_prob(z[:, None]) for one in said.each])  # (V, points, B)
    log_f = torch.where(said.there[:, None], log_f, 0.0).sum(0)
    base = -0.5 * z.square().sum(-1, keepdim=True) - math.log(2 * math.pi)
    log_f = log_f + (base if prior else torch.where(said.there.any(0), 0.0, base))
    expected = log_f - quadrature.log_integral(log_f, cell)
    torch.testing.assert_close(q.log_prob(z[:, None]), expected, atol=1e-8, rtol=1e-8)


@pytest.mark.certifies("mmvae", "mopoe", claim="the mixture's density integrates to 1")
def test_the_mixture_has_the_density_of_its_draws():
    """n = 40,000 draws, z-score below 4.5 for the mass of each quadrant."""
    said = opinions()
    q = mixture_of(said.loc, said.scale, said.there)
    z, cell = quadrature.grid(2, 8.0, 401)
    mass = q.log_prob(z[:, None]).exp() * cell
    torch.testing.assert_close(mass.sum(0), torch.ones(4).double(), atol=1e-6, rtol=0)
    n = 40_000
    with seeded("mixture"):
        drawn, log_q = q.draw((n,))
    torch.testing.assert_close(log_q, q.log_prob(drawn))
    for signs in ((1, 1), (1, -1), (-1, 1)):
        share = mass[(z * torch.tensor(signs) > 0).all(-1)].sum(0)
        # the grid's own axes have a half of their mass on either side
        there = ((drawn * torch.tensor(signs)) > 0).all(-1).double().mean(0)
        assert ((there - share).abs() < 4.5 * (share * (1 - share) / n).sqrt() + 0.02).all()
    torch.testing.assert_close(q.centre(), (mass[..., None] * z[:, None]).sum(0), atol=1e-4, rtol=0)


def made(name: str, spec: Spec = SPEC, **options: float) -> tuple[VAE, Tensor]:
    with seeded("made", name):
        model = BUILDS[name](spec, **options).double()
        x = torch.randn(6, 5).double()
    return model, x


@pytest.mark.certifies("jmvae", claim="the objective is R + KL + α Σ KL(q(z|x) ‖ q(z|x_v))")
def test_the_terms_of_jmvae():
    model, x = made("jmvae", alpha=0.7)
    x = torch.cat([x, without_views(x, SPEC, (1,))])
    with seeded("terms"):
        found = model(x)
    with seeded("terms"):
        trace = model.infer(x)
    whole = model.encoder(x)
    wanted = torch.zeros(12).double()
    for q_v in model.encoder.experts(x).each:
        wanted[:6] += divergence(whole, q_v, 6)
    bound = -trace.log_px.mean() + trace.kl.mean()
    torch.testing.assert_close(found["loss"], bound + 0.7 * wanted.mean(), atol=1e-6, rtol=1e-6)


def divergence(q: Distribution, p: Distribution, rows: int) -> Tensor:
    """∫ q log q/p of the first rows, (rows,)."""
    z, cell = quadrature.grid(2, 10.0, 601)
    with torch.no_grad():
        log_q = q.log_prob(z[:, None])[:, :rows]
        log_p = p.log_prob(z[:, None])[:, :rows]
    return (log_q.exp() * (log_q - log_p)).sum(0) * cell


@pytest.mark.certifies("mvtcae", claim="α = 0 is the ELBO; α > 0 weighs as the paper's objective")
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_the_terms_of_mvtcae(alpha):
    model, x = made("mvtcae", alpha=alpha, beta=1.3)
    with seeded("terms"):
        found = model(x)
    with seeded("terms"):
        trace = model.infer(x)
    q = model.encoder(x)
    apart = sum(kl(q, r_v) for r_v in model.encoder.experts(x).each) / 2
    rate = (1 - alpha) * trace.kl + alpha * apart
    wanted = -(2 - alpha) / 2 * trace.log_px.mean() + 1.3 * rate.mean()
    torch.testing.assert_close(found["loss"], wanted)


@pytest.mark.certifies("mopoe", claim="its components are the products of all subsets there")
def test_the_components_are_the_subsets():
    model, x = made("mopoe", THREE)
    x[0] = without_views(x[:1], THREE, (1,))
    q = model.encoder(x)
    said = model.encoder.experts(x)
    assert isinstance(q, MixtureOfNormals)
    assert q.weights[:, 1].tolist() == pytest.approx([1 / 7] * 7)
    assert sorted(q.weights[:, 0].tolist()) == pytest.approx([0] * 4 + [1 / 3] * 3)
    densities = []
    z = torch.randn(5, 1, 2).double()
    for subset in ([1, 0, 0], [0, 0, 1], [1, 0, 1]):
        densities.append(product(said.of(torch.tensor(subset).bool()), False).log_prob(z)[:, 0])
    wanted = torch.stack(densities).logsumexp(0) - math.log(3)
    torch.testing.assert_close(q.log_prob(z)[:, 0], wanted)


@pytest.mark.certifies(
    "mmvae", claim="the experts' gradient has the bound's mean for K = 1, and less variance"
)
@pytest.mark.parametrize("k", [1, 8])
def test_the_gradient_of_experts_has_the_mean_of_the_bounds_for_one_draw(k):
    """n = 300 gradients of an expert's bias over 64 copies of a row, z-scores below 4.5; for K = 8
    of experts that are far apart, the gradient leans by more than that.
    """
    model, x = made("mmvae", k=k)
    x = x[:1].expand(64, -1)
    for reader, to in zip(model.encoder.experts.readers, (-1.0, 1.0), strict=True):
        reader.out[-1].bias.data[:2] += to
    bias = model.encoder.experts.readers[0].out[-1].bias

    def plain() -> Tensor:
        q = model.encoder(x)
        z = q.of_each(k).flatten(0, 1)
        log_w = model.decoder(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
        bounds = log_w.unflatten(0, (k, -1)).logsumexp(0) - math.log(k)
        return -(q.weights * bounds).sum(0).mean()

    gradients = {}
    for name, loss in {"plain": plain, "own": lambda: model(x)["loss"]}.items():
        with seeded("gradients", name):
            found = [torch.autograd.grad(loss(), bias)[0] for _ in range(300)]
        gradients[name] = torch.stack(found)
    own, other = gradients["own"], gradients["plain"]
    error = ((own.var(0) + other.var(0)) / 300).sqrt()
    is_near = (own.mean(0) - other.mean(0)).abs() < 4.5 * error
    assert bool(is_near.all()) == (k == 1)
    if k == 1:
        assert own.var(0).sum() < other.var(0).sum()


@EVERY
def test_what_a_view_says_does_not_depend_on_the_other(name):
    model, x = made(name)
    changed = x.clone()
    changed[:, 3:] += 1
    before = model.encoder.experts(x)
    after = model.encoder.experts(changed)
    assert torch.equal(before.loc[0], after.loc[0])
    assert not torch.equal(before.loc[1], after.loc[1])


@EVERY
def test_gradients_are_finite_where_views_are_missing(name):
    model, x = made(name, THREE)
    x = torch.cat([without_views(x[:2], THREE, gone) for gone in ((), (0,), (1, 2))])
    model(x)["loss"].backward()
    for parameter in model.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@EVERY
def test_data_of_one_view_is_refused_in_a_sentence(name):
    with pytest.raises(Unsupported, match="needs x as two named views or more"):
        BUILDS[name](Spec((5,), "normal"))


@pytest.mark.parametrize(
    ("shape", "views", "network"),
    [
        ((2, 8, 8), (View("one", (1, 8, 8)), View("other", (1, 8, 8))), "conv"),
        ((70,), (View("picture", (1, 8, 8)), View("words", (6,))), "mlp"),
        ((7, 5), (View("slow", (7, 2)), View("fast", (7, 3))), "rnn"),
    ],
)
@EVERY
def test_views_are_images_vectors_and_sequences(name, shape, views, network):
    spec = Spec(shape, latent=3, hidden=16, network=network, has_gaps=True, views=views)
    model = BUILDS[name](spec)
    x = (torch.rand(4, *shape) > 0.5).float()
    parts = split_views(x, spec)
    assert [tuple(part.shape[1:]) for part in parts] == [view.shape for view in views]
    x[1:] = without_views(x[1:], spec, (1,))
    assert are_there(x, spec).tolist() == [[True] * 4, [True, False, False, False]]
    trace = model.infer(x, k=2)
    assert trace.px.mean.shape == (2, 4, *shape)
    assert trace.log_w.isfinite().all()
    assert model(x)["loss"].isfinite()
    assert model.sample(3).shape == (3, *shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"has_gaps": False}, "say has_gaps=True"),
        ({"views": (View("a", (3,)), View("b", (3,)))}, "have 6 numbers in all, and x has 5"),
        ({"views": (View("a", (3,)), View("a", (2,)))}, "names, each its own"),
        ({"views": (View("a", (-1, -3)), View("b", (2,)))}, "have 5 numbers"),
    ],
)
def test_a_spec_of_impossible_views_is_refused(change, words):
    with pytest.raises(Unsupported, match=words):
        replace(SPEC, **change)


def test_a_spec_of_views_comes_back_from_a_trials_key_and_others_do_not_know_of_it():
    import json

    assert Spec.of(json.loads(json.dumps(SPEC.stated()))) == SPEC
    assert "views" not in Spec((3,)).stated()


def test_the_experts_of_a_detached_mixture_have_no_gradient():
    said = opinions()
    loc = said.loc.clone().requires_grad_()
    q = mixture_of(loc, said.scale, said.there)
    assert not detached(q).log_prob(torch.zeros(4, 2).double()).requires_grad
    assert F.softplus(q.log_prob(torch.zeros(4, 2).double())).requires_grad
