"""The bound and importance sampling against quadrature, on a model with two latent dimensions."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from vaezoo import variants
from vaezoo.core import VAE, Encoder, Spec
from vaezoo.distributions import normal
from vaezoo.evaluation import (
    elbo_of,
    evaluate,
    importance_log_likelihood,
    quadrature_log_likelihood,
)
from vaezoo.evaluation.bounds import estimate, estimate_all
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.registry import load_registry

from .conftest import digits, gaussian_vae

PLANE = Spec((1, 8, 8), latent=2, hidden=16)


def plane_vae() -> VAE:
    """A decoder with some life in it, in float64: posteriors are neither the prior nor Normal."""
    model = gaussian_vae(PLANE).double()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter *= 1.7
    return model


def exact(model: VAE, x: Tensor) -> Tensor:
    def log_joint(z: Tensor) -> Tensor:
        z = z.expand(-1, len(x), -1)
        return model.decoder(z).log_prob(x) + model.prior().log_prob(z)

    return quadrature_log_likelihood(log_joint, 2, points=81)  # 161 give the same to 1e-13


@pytest.fixture
def rows() -> Tensor:
    return digits().test[:12].double()


def test_quadrature_gives_the_evidence_of_a_linear_gaussian_model():
    w, x = (
        torch.tensor([[0.7], [-1.3]], dtype=torch.float64),
        torch.randn(5, 2, dtype=torch.float64),
    )

    def log_joint(z: Tensor) -> Tensor:
        return normal(z @ w.T, torch.tensor(0.5).double()).log_prob(x) + normal(
            torch.zeros(1), torch.ones(1)
        ).log_prob(z)

    covariance = w @ w.T + 0.25 * torch.eye(2)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance).log_prob(
        x
    )
    torch.testing.assert_close(
        quadrature_log_likelihood(log_joint, 1), evidence, rtol=0, atol=1e-10
    )


def test_importance_sampling_rises_from_the_bound_to_the_exact_log_likelihood(rows: Tensor):
    torch.manual_seed(1)
    model = plane_vae()
    truth = exact(model, rows).mean()
    values = [importance_log_likelihood(model, rows, k=k).mean() for k in (1, 10, 100, 20_000)]
    bound = elbo_of(model, rows, k=20_000).mean()
    assert bound < values[2] < truth + 0.02
    assert values[1] < values[3]
    # at K = 20,000 the weights' deviation leaves far less than this
    assert abs(values[3] - truth) < 0.03
    assert truth - bound > 0.1  # so the test could fail


def test_importance_sampling_is_exact_for_any_k_when_q_is_the_posterior():
    class Exact(Encoder):
        def forward(self, x: Tensor, c: Tensor | None = None):
            # of x ~ N(z, 1/4), z ~ N(0, 1)
            return normal(0.8 * x, torch.full_like(x, math.sqrt(0.2)))

    class Identity(Write):
        def forward(self, z: Tensor, c: Tensor | None = None):
            return normal(z, torch.full_like(z, 0.5))

    spec = Spec((3,), likelihood="normal", latent=3)
    model = VAE(Exact(), Identity(spec), StandardNormal(spec), ELBO()).double()
    x = torch.randn(7, 3, dtype=torch.float64)
    evidence = normal(
        torch.zeros(3).double(), torch.full((3,), math.sqrt(1.25), dtype=torch.float64)
    ).log_prob(x)
    for k in (1, 7):
        torch.testing.assert_close(
            importance_log_likelihood(model, x, k=k), evidence, rtol=0, atol=1e-10
        )


def test_pieces_of_draws_give_what_all_draws_at_once_give(rows: Tensor):
    """The running sum is that of one trace whose draws are the same."""
    model = plane_vae()
    torch.manual_seed(5)
    pieces = estimate(model, rows, None, 30, 7)
    torch.manual_seed(5)
    traces = [model.infer(rows, None, n) for n in (7, 7, 7, 7, 2)]
    log_w = torch.cat([t.log_w for t in traces])
    torch.testing.assert_close(
        pieces.log_likelihood, log_w.logsumexp(0) - math.log(30), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(
        pieces.log_px, torch.cat([t.log_px for t in traces]).mean(0), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(pieces.kl, traces[0].kl, rtol=0, atol=1e-10)


def test_memory_grows_neither_with_draws_nor_with_rows():
    largest = 0

    class Watched(Write):
        def forward(self, z: Tensor, c: Tensor | None = None):
            nonlocal largest
            largest = max(largest, z.shape[0] * z.shape[1] * PLANE.size)
            return super().forward(z, c)

    model = VAE(Gaussian(PLANE), Watched(PLANE), StandardNormal(PLANE), ELBO())
    x = digits().test
    for n, k in ((10, 100), (10, 1000), (300, 100)):
        assert estimate_all(model, x[:n], None, k, 2**14).log_px.shape == (n,)
    assert largest <= 2**14


def test_bound_is_minus_the_sum_of_its_halves_and_below_the_log_likelihood(data, model, cache):
    answer = evaluate(model, data, cache=cache)
    assert answer["elbo"] == pytest.approx(-answer["kl"] - answer["reconstruction_nll"], abs=1e-4)
    assert -answer["nll"] > answer["elbo"]
    assert answer["bits_per_dim"] == pytest.approx(answer["nll"] / 64 / math.log(2), rel=1e-6)
    assert answer.settings["importance_samples"] == 100


def test_active_units_counts_the_units_that_move(data, cache):
    model = gaussian_vae(data.spec)
    last = model.encoder.net.out[-1]
    with torch.no_grad():
        # two move, one is dead, one nearly
        last.weight[:4] *= torch.tensor([10.0, 10.0, 0.0, 1e-3])[:, None]
    assert evaluate(model, data, cache=cache)["active_units"] == 2


def test_sequences_have_three_normalisations(cache):
    from tests.conftest import SEQUENCE, rows_of
    from vaezoo.data.data import Data
    from vaezoo.networks import step_mask

    from .conftest import CARD

    splits = [rows_of(replace(SEQUENCE), 40, seed) for seed in range(3)]
    data = Data("toy-sequences", SEQUENCE, *splits, CARD)
    answer = evaluate(gaussian_vae(SEQUENCE), data, cache=cache, importance_samples=5)
    steps = step_mask(data.test).sum(1).double()
    assert answer["nll_per_step"] == pytest.approx(answer["nll"] * 40 / float(steps.sum()))
    assert answer["nll_mean_per_step"] != pytest.approx(answer["nll_per_step"], rel=1e-4)
    assert math.isfinite(answer["mse"])
    assert "psnr" not in answer
    assert answer.reasons["psnr"] == "not an image"
    assert answer.settings["extractor"] == "random network"
    assert math.isfinite(answer["fid"])


@pytest.mark.parametrize("name", ["vq", "fsq"])
def test_the_bound_of_one_code_is_its_term_of_the_sum_over_all_codes(name):
    """log p(x) = log Σ_z p(x|z) π(z), all codes written out, is no smaller than the term at z(x),
    which is what the table prints as elbo, and as elbo alone.
    """
    data = digits(labelled=False, n_test=50)
    data = replace(data, spec=replace(data.spec, latent=4))
    torch.manual_seed(0)
    options = {"vq": {"size": 5, "width": 2}, "fsq": {"levels": 3}}[name]
    model = variants()[name](data.spec, **options).eval()
    with torch.no_grad():
        model.decoder.into.weight *= 5
    model.fit_prior(data.train)
    found = evaluate(model, data, metrics=[load_registry().metrics["likelihood"]])

    prior = model.prior()
    values = list(prior.tables[0])
    codes = torch.stack([torch.stack(one) for one in product(values, repeat=len(prior.log_chance))])
    with torch.no_grad():
        joint = model.decoder(codes[:, None]).log_prob(data.test) + prior.log_prob(codes)[:, None]
        mine = prior.index(model.encoder(data.test).rounded)  # (50, slots)
        own = (prior.index(codes)[:, None] == mine).all(-1)  # (codes, 50)
    assert (own.sum(0) == 1).all()
    assert found["elbo"] == pytest.approx(joint[own.nonzero(as_tuple=True)].mean().item(), abs=1e-4)
    assert found["elbo"] < joint.logsumexp(0).mean().item()
    assert found["elbo"] == pytest.approx(-found["kl"] - found["reconstruction_nll"], abs=1e-4)
    assert not {"nll", "bits_per_dim"} & set(found)
    assert "one code" in found.reasons["elbo"]
    assert found.reasons["nll"] == found.reasons["elbo"]
