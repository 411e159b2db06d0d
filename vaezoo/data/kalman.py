"""The Kalman filter, for many sequences at once, in float64.

    z_1 ~ N(m, P)    z_t = A z_{t-1} + N(0, Q)    x_t = H z_t + N(0, R)

A and Q may be of each step, as where the times between them differ. x is (N, T, C), NaN where an
entry is missing or behind the end; a mean is (N, T, S), a covariance (N, T, S, S). Kalman 1960;
Rauch, Tung & Striebel 1965; written after Särkkä 2013, Bayesian Filtering and Smoothing, theorems
4.2 and 8.2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearGaussian:
    """A linear-Gaussian state space; every matrix is float64."""

    transition: Tensor  # A (S, S), or that of each step after the first (T - 1, S, S)
    transition_noise: Tensor  # Q, likewise
    observation: Tensor  # H (C, S)
    observation_noise: Tensor  # R (C, C)
    mean: Tensor  # m (S,), of the first state
    covariance: Tensor  # P (S, S), of the first state

    def draw(self, rows: int, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """States (rows, steps, S) and observations (rows, steps, C), float64."""
        q, r, p = map(
            torch.linalg.cholesky, (self.transition_noise, self.observation_noise, self.covariance)
        )

        def normal(n: int) -> Tensor:
            return torch.randn(rows, n, generator=generator, dtype=torch.float64)

        size = self.mean.shape[-1]
        moves, roots = (_each_step(each, steps) for each in (self.transition, q))
        states = [self.mean + normal(size) @ p.T]
        for move, root in zip(moves, roots, strict=True):
            states.append(states[-1] @ move.T + normal(size) @ root.T)
        z = torch.stack(states, 1)
        noise = torch.stack([normal(len(r)) @ r.T for _ in range(steps)], 1)
        return z, z @ self.observation.T + noise


@dataclass(frozen=True)
class Filtered:
    """p(z_t | x_1 … x_{t-1}), p(z_t | x_1 … x_t), and the log-likelihood of every step."""

    predicted_mean: Tensor
    predicted_covariance: Tensor
    mean: Tensor
    covariance: Tensor
    # (N, T), log p(x_t | x_1 … x_{t-1}) in nats; 0 where nothing of x_t is there
    log_likelihood: Tensor


def kalman_filter(model: LinearGaussian, x: Tensor) -> Filtered:
    """What is known of each state from x (N, T, C) up to it."""
    x = x.to(model.mean)
    mean = model.mean.expand(len(x), -1)  # (N, S)
    covariance = model.covariance.expand(len(x), -1, -1)  # (N, S, S)
    moves, noises = (_each_step(m, x.shape[1]) for m in (model.transition, model.transition_noise))
    steps = []

    for t in range(x.shape[1]):
        if t:
            mean = mean @ moves[t - 1].T
            covariance = moves[t - 1] @ covariance @ moves[t - 1].T + noises[t - 1]
        predicted = mean, covariance
        mean, covariance, log_p = _update(model, x[:, t], mean, covariance)
        steps.append((*predicted, mean, covariance, log_p))
    return Filtered(*(torch.stack(values, 1) for values in zip(*steps, strict=True)))


def _each_step(matrix: Tensor, steps: int) -> Tensor:
    """(S, S), or (≥ steps - 1, S, S), as (steps - 1, S, S): rows may end before the last step."""
    if matrix.ndim == 3:
        return matrix[: steps - 1]
    return matrix.expand(steps - 1, -1, -1)


def _update(
    model: LinearGaussian, x: Tensor, mean: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The state's mean and covariance once x (N, C) is seen, and log p(x).

    A missing entry is made an observation of pure noise, 0 from N(0, 1), that has nothing to do
    with the state: so all rows keep one shape. It adds nothing to the determinant or the residual.
    """
    seen = (~x.isnan()).to(mean)  # (N, C)
    h = seen[:, :, None] * model.observation  # (N, C, S)
    r = seen[:, :, None] * model.observation_noise * seen[:, None, :] + torch.diag_embed(1 - seen)
    residual = torch.where(x.isnan(), 0.0, x - mean @ model.observation.T)
    cross = covariance @ h.mT  # (N, S, C)
    factor = torch.linalg.cholesky(h @ cross + r)
    gain = torch.cholesky_solve(cross.mT, factor).mT  # (N, S, C)

    # Joseph's form: symmetric and positive whatever is rounded.
    keep = torch.eye(mean.shape[1]).to(mean) - gain @ h
    updated = keep @ covariance @ keep.mT + gain @ r @ gain.mT
    moved = mean + (gain @ residual[..., None]).squeeze(-1)
    return moved, updated, _log_normal(residual, factor, seen.sum(-1))


def _log_normal(residual: Tensor, factor: Tensor, entries: Tensor) -> Tensor:
    """log N(residual; 0, factor factorᵀ), (N,), of so many entries (N,) that count."""
    white = torch.linalg.solve_triangular(factor, residual[..., None], upper=False).squeeze(-1)
    half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (white.square().sum(-1) + entries * math.log(2 * math.pi)) - half_log_det


def log_likelihood(x: Tensor, model: LinearGaussian) -> Tensor:
    """log p(x), (N, T, C) -> (N,), in nats, of the entries that are there."""
    return kalman_filter(model, x).log_likelihood.sum(1)
