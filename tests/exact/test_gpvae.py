"""The banded posterior and the Gaussian processes of gpvae, against dense Gaussians and the Kalman
filter, at irregular times.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from vaezoo_plugins.gpvae import GPVAE, Banded, Processes, covariance, gpvae, whitening

from vaezoo.core import Spec, Unsupported
from vaezoo.data.kalman import LinearGaussian, log_likelihood
from vaezoo.data.sources.sde import sde
from vaezoo.distributions import kl
from vaezoo.seeds import seeded
from vaezoo.training.training import fit

TIMES = (0.0, 0.3, 1.5, 1.9, 4.0, 4.8)
T, C, D = len(TIMES), 3, 2
LENGTH = 2.0
SPEC = Spec((T, C), "normal", latent=D, hidden=8, has_gaps=True, network="rnn", times=TIMES)


def linear(spec: Spec = SPEC, kernel: str = "ou") -> GPVAE:
    """A linear model of no nugget whose decoder's columns are orthogonal: then the dimensions of z
    are independent given x too, as in q.
    """
    with seeded("weights"):
        model = gpvae(spec, kernel=kernel, length=LENGTH, nugget=0.0, linear=True).double()
        columns, _ = torch.linalg.qr(torch.randn(C, D).double())
    with torch.no_grad():
        model.write.weight.copy_(columns * torch.tensor([1.5, 0.7], dtype=torch.float64))
    return model


def rows(spec: Spec = SPEC) -> Tensor:
    """(4, T, C): complete, with a step missing, with the first missing, and padded."""
    with seeded("x"):
        x = torch.randn(4, *spec.shape).double()
    x[1, 2] = x[2, 0] = x[3, 4:] = math.nan
    return x


def kalman(model: GPVAE) -> LinearGaussian:
    """The model of the kernel exp(-Δ/length) as a state space."""
    identity = torch.eye(D).double()
    decay = torch.exp(-torch.tensor(model.spec.clock, dtype=torch.float64).diff() / LENGTH)[
        :, None, None
    ]
    return LinearGaussian(
        transition=decay * identity,
        transition_noise=(1 - decay.square()) * identity,
        observation=model.write.weight.detach(),
        observation_noise=torch.eye(C).double() * variance(model),
        mean=torch.zeros(D).double(),
        covariance=identity,
    )


def variance(model: GPVAE) -> Tensor:
    return (2 * model.likelihood.head.log_scale.detach()).exp()


def exact(model: GPVAE, x: Tensor) -> Tensor:
    """log p(x), (N,), by the filter."""
    return log_likelihood(x - model.write.bias.detach(), kalman(model))


def posterior(model: GPVAE, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, b_tt and b_t,t+1 of p(z|x), (N, T, D) each, by dense algebra."""
    times = torch.tensor(model.spec.clock, dtype=torch.float64)
    inverse = torch.linalg.inv(covariance("ou", (times[:, None] - times).abs() / LENGTH))
    seen = (~x.isnan()).all(-1).double()
    w = model.write.weight.detach()
    evidence = torch.where(x.isnan(), 0.0, x - model.write.bias.detach()) @ w / variance(model)
    found = []
    for row, is_seen in zip(evidence, seen, strict=True):
        for d in range(D):
            weight = w[:, d].square().sum() / variance(model)
            precision = inverse + weight * torch.diag(is_seen)
            # Λ = Bᵀ B with B upper: the lower root, transposed
            upper = torch.linalg.cholesky(precision).T
            beside = nn.functional.pad(upper.diagonal(1), (0, 1))
            found.append((torch.linalg.solve(precision, row[:, d]), upper.diagonal(), beside))
    return tuple(torch.stack(each).unflatten(0, (-1, D)).mT for each in zip(*found, strict=True))


class Known(nn.Module):
    """What a smoother that knows p(z|x) says."""

    def __init__(self, moments: tuple[Tensor, Tensor, Tensor]) -> None:
        super().__init__()
        self.moments = moments

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.moments


def bounds(model: GPVAE, x: Tensor) -> Tensor:
    """The ELBO of a linear model in closed form, (N,)."""
    trace = model.infer(x)
    q = trace.latents[0].q
    w, noise = model.write.weight, variance(model)
    mean = model.write(q.loc)
    spread = q.variance @ w.square().T / noise  # E (W z - W m)²/σ²
    log_px = -0.5 * ((x - mean).square() / noise + spread + (2 * math.pi * noise).log())
    return log_px.nansum((1, 2)) - trace.kl


@pytest.mark.certifies(
    "gpvae", claim="with a linear decoder and the kernel exp(−Δ), p(x) is that of a Kalman filter"
)
def test_weights_at_the_exact_posterior_are_the_likelihood_of_the_kalman_filter():
    model, x = linear(), rows()[:3]  # without padding, where q is of no data at all
    model.smooth = Known(posterior(model, x))
    with seeded("draws"):
        log_w = model.infer(x, None, 5).log_w
    torch.testing.assert_close(log_w, exact(model, x).expand(5, 3), rtol=1e-9, atol=1e-9)


@pytest.mark.certifies("gpvae", claim="the bound is at most log p(x), and is it at the posterior")
def test_the_bound_is_tight_at_the_exact_posterior_and_below_elsewhere():
    model, x = linear(), rows()
    assert (bounds(model, x) < exact(model, x) - 0.1).all()
    model.smooth = Known(posterior(model, x[:3]))
    torch.testing.assert_close(bounds(model, x[:3]), exact(model, x[:3]), rtol=1e-9, atol=1e-9)


@pytest.mark.certifies("gpvae", claim="a step that nobody saw is integrated out")
def test_a_time_at_which_nothing_was_seen_changes_no_likelihood():
    x = rows()[:1]
    few = linear()
    times = (*TIMES[:3], 1.7, *TIMES[3:])
    many = linear(replace(SPEC, shape=(T + 1, C), times=times))
    with_gap = torch.cat([x[:, :3], torch.full((1, 1, C), math.nan), x[:, 3:]], 1)
    few.smooth = Known(posterior(few, x))
    many.smooth = Known(posterior(many, with_gap))
    torch.testing.assert_close(few.infer(x).log_w, many.infer(with_gap).log_w, rtol=0, atol=1e-9)


def banded(mask: Tensor | None) -> Banded:
    with seeded("band"):
        loc, raw, beside = torch.randn(3, 4, T, D).double()
    return Banded(loc, raw.exp(), beside, mask)


def dense(q: Banded, row: int, d: int, steps: int) -> MultivariateNormal:
    """The first steps of one row and dimension, as one Gaussian."""
    b = torch.diag(q.diagonal[row, :steps, d]) + torch.diag(q.beside[row, : steps - 1, d], 1)
    return MultivariateNormal(q.loc[row, :steps, d], precision_matrix=b.T @ b)


LENGTHS = (6, 6, 4, 1)
MASK = torch.arange(T) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.certifies("gpvae", claim="the density of the posterior is that of a dense Gaussian")
def test_the_band_is_a_gaussian_of_that_precision():
    q = banded(MASK)
    with seeded("z"):
        z = torch.randn(4, T, D).double()
    found = q.log_prob(z)
    for row, steps in enumerate(LENGTHS):
        parts = [dense(q, row, d, steps) for d in range(D)]
        expected = sum(part.log_prob(z[row, :steps, d]) for d, part in enumerate(parts))
        torch.testing.assert_close(found[row], expected, rtol=1e-10, atol=1e-10)
        spread = torch.stack([part.variance for part in parts], -1)
        torch.testing.assert_close(q.variance[row, :steps], spread, rtol=1e-10, atol=1e-10)


def test_draws_have_the_posteriors_covariance():
    # n = 40,000; the largest of 36 correlations within 5 standard errors
    q = banded(None)
    with seeded("draws"):
        z = q.sample((40_000,))[:, 0, :, 0]
    scaled = (z - q.loc[0, :, 0]) / q.variance[0, :, 0].sqrt()
    wanted = dense(q, 0, 0, T).covariance_matrix
    wanted = wanted / torch.outer(wanted.diagonal().sqrt(), wanted.diagonal().sqrt())
    assert (scaled.T @ scaled / 40_000 - wanted).abs().max() < 5 * (2 / 40_000) ** 0.5


@pytest.mark.certifies("gpvae", claim="the KL in closed form is that of two dense Gaussians")
@pytest.mark.parametrize("kernel", ["cauchy", "rbf", "ou"])
def test_the_kl_is_that_of_dense_gaussians(kernel):
    whiten = whitening(TIMES, kernel, [LENGTH, LENGTH / 2], 1e-3)
    q, p = banded(MASK), Processes(whiten, MASK)
    times = torch.tensor(TIMES, dtype=torch.float64)
    for row, steps in enumerate(LENGTHS):
        expected = 0.0
        for d, length in enumerate([LENGTH, LENGTH / 2]):
            k = covariance(kernel, (times[:, None] - times).abs() / length)
            k = (k + 1e-3 * torch.eye(T).double())[:steps, :steps]
            prior = MultivariateNormal(torch.zeros(steps).double(), k)
            expected = expected + kl_divergence(dense(q, row, d, steps), prior)
        torch.testing.assert_close(kl(q, p)[row], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", ["cauchy", "ou"])
def test_draws_of_the_prior_have_the_kernel(kernel):
    # n = 40,000; the largest of 36 covariances within 5 standard errors
    with seeded("draws"):
        z = Processes(whitening(TIMES, kernel, [LENGTH], 0.0)).sample((40_000,))[..., 0].double()
    times = torch.tensor(TIMES, dtype=torch.float64)
    wanted = covariance(kernel, (times[:, None] - times).abs() / LENGTH)
    assert (z.T @ z / 40_000 - wanted).abs().max() < 5 * (2 / 40_000) ** 0.5


def test_a_singular_kernel_is_refused_in_a_sentence():
    with pytest.raises(Unsupported, match="singular at 40 such times; give it a larger nugget"):
        gpvae(Spec((40, 3), "normal", network="rnn"), kernel="rbf", length=10.0, nugget=0.0)


def test_dimensions_take_turns_at_the_scales():
    whiten = gpvae(SPEC, scales=2, length=4.0).whiten
    for d, length in enumerate([4.0, 2.0]):
        torch.testing.assert_close(whiten[d], whitening(TIMES, "cauchy", [length], 0.1)[0])


def test_the_rate_of_the_default_starts_where_training_comes_down_from_it():
    """Below 10 nats a step; under a nugget of 1e-3 it is 300 a step, and stays the largest term."""
    data = sde(rows=100)
    with seeded("start"), torch.no_grad():
        rate = gpvae(data.spec).infer(data.test).kl.mean()
    assert rate < 10 * data.spec.shape[0]


@pytest.mark.certifies(
    "gpvae", claim="on an OU process its linear form closes most of the gap to the exact log p(x)"
)
def test_the_linear_form_comes_near_the_exact_likelihood():
    data = sde(rows=300, steps=12, states=1, missing=0.0)
    spec = replace(data.spec, latent=1)
    with seeded("weights"):
        model = gpvae(spec, kernel="ou", length=10.0, nugget=0.0, window=9, linear=True)
    fit(model, data, epochs=30, batch=50, learning_rate=0.05, seed=0)
    fit(model, data, epochs=15, batch=50, learning_rate=0.01, seed=0)
    with torch.no_grad(), seeded("bounds"):
        trace = model.infer(data.test, None, 64)
    elbo = (trace.log_px - trace.kl).mean(0)
    known = data.exact(data.test)
    independent = Normal(data.train.mean(0), data.train.std(0)).log_prob(data.test).sum((1, 2))
    floor = independent.mean()
    assert (elbo.mean() - floor) / (known.mean() - floor) >= 0.8
    # n = 60 test rows, z = 3
    assert (known - elbo).mean() > -3 * (known - elbo).std() / math.sqrt(len(known))
