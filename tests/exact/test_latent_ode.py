"""Latent ODEs: the solvers against the matrix exponential, and linear dynamics against the Kalman
filter of a state that meets no noise, at irregular times.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from vaezoo_plugins.latent_ode import euler, latent_ode, runge_kutta

from vaezoo.core import VAE, Encoder, Spec
from vaezoo.data.kalman import LinearGaussian, log_likelihood
from vaezoo.distributions import at_centre
from vaezoo.seeds import seeded

from . import _bounds as bounds

TIMES = (0.0, 0.3, 1.5, 1.9, 4.0)
T, C, D = len(TIMES), 3, 2
SPEC = Spec((T, C), "normal", latent=D, hidden=8, has_gaps=True, network="rnn", times=TIMES)
A = torch.tensor([[-0.2, 0.7], [-0.9, 0.1]], dtype=torch.float64)


def linear(spec: Spec = SPEC, rate: int = 40) -> VAE:
    """dz/dt = A z, in float64."""
    with seeded("weights"):
        model = latent_ode(spec, rate=rate, linear=True).double()
    with torch.no_grad():
        model.decoder.drift.net.weight.copy_(A)
    return model


def rows() -> Tensor:
    """(4, T, C): complete, with a step missing, with the first missing, and padded."""
    with seeded("x"):
        x = torch.randn(4, T, C).double()
    x[1, 2] = x[2, 0] = x[3, 3:] = math.nan
    x[0, 1, 2] = math.nan
    return x


def kalman(model: VAE) -> LinearGaussian:
    """z_0 ~ N(0, I), z_t = exp(A Δ) z_t-1 without noise, x_t = W z_t + N(0, σ²)."""
    gaps = torch.tensor(TIMES, dtype=torch.float64).diff()[:, None, None]
    variance = (2 * model.decoder.likelihood.head.log_scale.detach()).exp()
    return LinearGaussian(
        transition=torch.linalg.matrix_exp(A * gaps),
        transition_noise=torch.zeros(T - 1, D, D).double(),
        observation=model.decoder.write.weight.detach(),
        observation_noise=variance * torch.eye(C).double(),
        mean=torch.zeros(D).double(),
        covariance=torch.eye(D).double(),
    )


def exact(model: VAE, x: Tensor) -> Tensor:
    """log p(x), (N,), by the filter."""
    return log_likelihood(x - model.decoder.write.bias.detach(), kalman(model))


class Posterior(Encoder):
    """p(z_0|x) of linear dynamics, one dense Gaussian a row."""

    def __init__(self, system: LinearGaussian, bias: Tensor) -> None:
        super().__init__()
        self.system = system
        self.bias = bias

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        moves = [torch.eye(D).double()]
        for step in self.system.transition:
            moves.append(step @ moves[-1])
        design = torch.cat([self.system.observation @ move for move in moves])  # (T C, D)
        variance = self.system.observation_noise[0, 0]
        seen = (~x.isnan()).flatten(1).double()
        residual = torch.where(x.isnan(), 0.0, x - self.bias).flatten(1)
        precision = torch.eye(D).double() + design.T @ (seen[..., None] * design) / variance
        mean = torch.linalg.solve(precision, residual @ design / variance)
        return MultivariateNormal(mean, precision_matrix=precision)


@pytest.mark.parametrize(("solve", "order"), [(euler, 1), (runge_kutta, 4)])
def test_a_solver_has_its_order(solve, order):
    z = torch.tensor([1.0, -0.5], dtype=torch.float64)
    right = torch.linalg.matrix_exp(1.7 * A) @ z
    coarse, fine = ((solve(lambda v: v @ A.T, z, 1.7, steps) - right).norm() for steps in (64, 128))
    assert coarse / fine == pytest.approx(2**order, rel=0.1)


def test_a_solver_goes_back_the_way_it_came():
    z = torch.tensor([1.0, -0.5], dtype=torch.float64)
    there = runge_kutta(lambda v: torch.tanh(v @ A.T), z, 1.7, 200)
    back = runge_kutta(lambda v: torch.tanh(v @ A.T), there, -1.7, 200)
    torch.testing.assert_close(back, z, rtol=0, atol=1e-8)


@pytest.mark.certifies(
    "latent_ode", claim="with linear dynamics p(x) is that of a Kalman filter, at irregular times"
)
def test_weights_at_the_exact_posterior_are_the_likelihood_of_the_kalman_filter():
    model, x = linear(), rows()
    model.encoder = Posterior(kalman(model), model.decoder.write.bias.detach())
    with seeded("draws"):
        log_w = model.infer(x, None, 5).log_w
    # what is left is the error of Runge and Kutta's steps of 1/40
    torch.testing.assert_close(log_w, exact(model, x).expand(5, 4), rtol=0, atol=1e-6)


@pytest.mark.certifies("latent_ode", claim="the bound is at most log p(x), and IWAE comes near it")
def test_bounds_stay_below_the_exact_likelihood_and_rise_to_it():
    # E log mean w ≤ log p(x); n = 4,000 draws of 4 rows, z = 4
    model, x = linear(rate=4), rows()
    known = exact(model, x)
    with torch.no_grad(), seeded("draws"):
        trace = model.infer(x, None, 4000)
    each = trace.log_px - trace.kl
    assert (each.mean(0) + 4 * each.std(0) / math.sqrt(4000) < known).all()
    weights = (trace.log_w - known).exp()  # of mean 1
    assert ((weights.mean(0) - 1).abs() < 4 * weights.std(0) / math.sqrt(4000)).all()


def nonlinear(times: tuple[float, ...]) -> VAE:
    with seeded("weights"):
        spec = replace(SPEC, shape=(len(times), C), times=times)
        return latent_ode(spec).double()


@pytest.mark.certifies("latent_ode", claim="a step that nobody saw is no input, and counts nothing")
def test_a_time_at_which_nothing_was_seen_changes_nothing():
    # one step of a solver a unit of time: both models take the same steps
    few, many = nonlinear((0.0, 1.0, 3.0, 4.0)), nonlinear((0.0, 1.0, 2.0, 3.0, 4.0))
    x = rows()[:, :4]
    bounds.read_the_same(few, many, x, 2)


def test_times_move_the_path_and_the_code():
    near, far = nonlinear((0.0, 1.0, 2.0, 3.0)), nonlinear((0.0, 1.0, 2.0, 8.0))
    x = rows()[:1, :4]
    with at_centre():
        both = [model.infer(x) for model in (near, far)]
    assert (both[0].z - both[1].z).abs().max() > 1e-4
    means = [model.decoder(both[0].z).mean for model in (near, far)]
    torch.testing.assert_close(means[0][:, :, :3], means[1][:, :, :3], rtol=0, atol=1e-12)
    assert (means[0] - means[1])[:, :, 3].abs().max() > 1e-4
