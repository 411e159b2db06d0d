"""The exact filter and smoother of linear Gaussian states z whose codes a are seen.

T steps, N rows, D numbers in a state and in a code. T comes first, so that what one step reads lies
together. Float64 is meant: over a hundred steps float32 loses a covariance's positivity.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Filtered",
    "Smoothed",
    "System",
    "applied",
    "filtered",
    "log_density",
    "smoothed",
]


class System(NamedTuple):
    """z_1 ~ N(m, P), z_t = A_t z_t-1 + N(0, Q), a_t = C_t z_t + N(0, R), for N rows of a."""

    forward: Tensor  # A_t, (T, N, D, D), or (1, 1, D, D) where all rows and steps share it
    emit: Tensor  # C_t, likewise
    first: Tensor  # m, (D,)
    variance_first: Tensor  # the diagonals of P, Q and R, (D,) each
    variance_z: Tensor
    variance_a: Tensor


class Belief(NamedTuple):
    """N(mean, covariance) of z_t for N rows; a covariance that all share is (1, D, D)."""

    mean: Tensor  # (N, D)
    covariance: Tensor  # (N, D, D)


class Filtered(NamedTuple):
    """What a Kalman filter knows of the states of N rows.

    Covariances are (1, …) where all rows share them.
    """

    mean: Tensor  # (T, N, D), of z_t given a_≤t
    covariance: Tensor  # (T, N, D, D)
    predicted: Tensor  # (T, N, D), of z_t given a_<t
    spread: Tensor  # (T, N, D, D)
    log_p: Tensor  # (T, N): log p(a_t|a_<t)


class Smoothed(NamedTuple):
    """z_1:T given all of a, for N rows; covariances as in `Filtered`."""

    mean: Tensor  # (T, N, D)
    covariance: Tensor  # (T, N, D, D)
    with_next: Tensor  # (T - 1, N, D, D): the covariance of z_t+1 and z_t


def applied(matrix: Tensor, vector: Tensor) -> Tensor:
    """(…, D, D) and (…, D) -> (…, D)."""
    return (matrix @ vector[..., None])[..., 0]


def log_density(system: System, a: Tensor, mask: Tensor | None = None) -> Tensor:
    """log p(a) of each row of a (T, N, D), (N,); steps outside `mask` (T, N) do not count.

    The value is the filter's. Its gradient is that of log p(a, z), averaged over p(z|a) as the
    smoother knows it (Fisher's identity): no gradient goes back through the two recursions.
    """
    with torch.no_grad():
        known = filtered(system, a)
    log_p = _over_steps(known.log_p, mask)
    if not torch.is_grad_enabled():
        return log_p
    with torch.no_grad():
        z = smoothed(system, known, mask)
    of_both = _over_steps(_expected(system, a, z), mask)
    return log_p + (of_both - of_both.detach())


def _over_steps(each: Tensor, mask: Tensor | None) -> Tensor:
    """Σ over the steps that are there: (T, N) -> (N,)."""
    return (each if mask is None else torch.where(mask, each, 0.0)).sum(0)


def filtered(system: System, a: Tensor) -> Filtered:
    """Kalman's filter over a (T, N, D).

    In the loop is what one step needs of the step before; log p(a_t|a_<t) follows for all t.
    """
    forward, emit = (each.expand(len(a), -1, -1, -1) for each in (system.forward, system.emit))
    noise_z = torch.diag(system.variance_z)
    covariance = torch.diag(system.variance_first).expand(emit.shape[1], -1, -1)
    predicted = Belief(system.first.expand(a.shape[1], -1), covariance)
    known = predicted
    trail = []
    for t, a_t in enumerate(a):
        if t:
            predicted = _predicted(known, forward[t], noise_z)
        known, error, root = _updated(predicted, a_t, emit[t], system.variance_a)
        trail.append((*known, *predicted, error, root))

    # T tuples of (N, …) -> (T, N, …)
    means, covariances, centres, spreads, errors, roots = (
        torch.stack(each) for each in zip(*trail, strict=True)
    )
    return Filtered(means, covariances, centres, spreads, _log_normal(errors, roots))


def _predicted(known: Belief, forward: Tensor, noise_z: Tensor) -> Belief:
    """z_t given a_<t, from z_t-1 given a_<t."""
    mean = applied(forward, known.mean)
    return Belief(mean, torch.baddbmm(noise_z, forward @ known.covariance, forward.mT))


def _updated(
    predicted: Belief, a: Tensor, emit: Tensor, variance: Tensor
) -> tuple[Belief, Tensor, Tensor]:
    """z_t once a_t (N, D) is seen; the error of the prediction C m, and the root of its covariance.

    S = C Σ Cᵀ + R = L Lᵀ; where there is no factor cholesky_ex gives NaN, and cholesky raises.
    """
    mean, spread = predicted
    error = a - applied(emit, mean)
    cross = emit @ spread
    root = torch.linalg.cholesky_ex(torch.baddbmm(torch.diag(variance), cross, emit.mT))[0]
    half = torch.linalg.solve_triangular(root, cross, upper=False)
    gain = torch.linalg.solve_triangular(root.mT, half, upper=True).mT  # K = Σ Cᵀ S⁻¹

    # Joseph's form of the covariance, which is positive however K is rounded
    rest = torch.baddbmm(torch.eye(a.shape[-1]).to(a), gain, emit, alpha=-1)
    covariance = torch.baddbmm((gain * variance) @ gain.mT, rest @ spread, rest.mT)
    return Belief(mean + applied(gain, error), covariance), error, root


def _log_normal(error: Tensor, root: Tensor) -> Tensor:
    """log N(e; 0, L Lᵀ) from e (T, N, D) and L (T, N, D, D): (T, N)."""
    surprise = torch.linalg.solve_triangular(root, error[..., None], upper=False)[..., 0]
    log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (surprise.square() + math.log(2 * math.pi)).sum(-1) - log_det


def smoothed(system: System, known: Filtered, mask: Tensor | None) -> Smoothed:
    """z_t given all of a (Rauch, Tung & Striebel 1965). `mask` (T, N) says which steps are there.

    Given z_t+1 and a_≤t, z_t is Gaussian with mean m_t + G_t (z_t+1 - A m_t) and a covariance that
    does not depend on z_t+1. G_t is 0 where step t + 1 is padding, which teaches nothing.
    """
    forward = system.forward[-len(known.mean) + 1 :]
    before = known.covariance[:-1]
    spread = known.spread[1:]
    root = torch.linalg.cholesky_ex(spread)[0]
    gain = torch.cholesky_solve(forward @ before, root).mT  # G = Σ_t Aᵀ (Σ_t+1|t)⁻¹
    if mask is not None:
        gain = gain * mask[1:, :, None, None]
    centre = known.mean[:-1] - applied(gain, known.predicted[1:])
    rest = before - gain @ spread @ gain.mT

    last = Belief(known.mean[-1], known.covariance[-1].expand(gain.shape[1], -1, -1))
    means, covariances = _backwards(last, gain, centre, rest)
    return Smoothed(means, covariances, covariances[1:] @ gain.mT)


def _backwards(last: Belief, gain: Tensor, centre: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Means (T, N, Z) and covariances (T, N, Z, Z), from those of the last step back to the first:
    z_t is centre_t + G_t z_t+1 with noise of the covariance rest_t.
    """
    later = last
    found = [later]
    for g, m, v in zip(gain.flip(0), centre.flip(0), rest.flip(0), strict=True):
        later = Belief(m + applied(g, later.mean), torch.baddbmm(v, g @ later.covariance, g.mT))
        found.append(later)
    means, covariances = (torch.stack(each) for each in zip(*reversed(found), strict=True))
    return means, covariances


def _expected(system: System, a: Tensor, z: Smoothed) -> Tensor:
    """E log p(a_t|z_t) + log p(z_t|z_t-1) over z given a, (T, N)."""
    emit = system.emit
    forward = system.forward[-len(a) + 1 :]
    emitted = a - applied(emit, z.mean)
    moved = z.mean[1:] - applied(forward, z.mean[:-1])
    of_z = z.covariance.diagonal(dim1=-2, dim2=-1)

    # the diagonals of C V Cᵀ, and of V_t - A X - (A X)ᵀ + A V_t-1 Aᵀ with X = Cov(z_t-1, z_t)
    of_emitted = (emit @ z.covariance * emit).sum(-1)
    of_moved = of_z[1:] + ((forward @ z.covariance[:-1] - 2 * z.with_next) * forward).sum(-1)

    at_first = _log_scaled(z.mean[:1] - system.first, of_z[:1], system.variance_first)
    later = _log_scaled(moved, of_moved, system.variance_z)
    return _log_scaled(emitted, of_emitted, system.variance_a) + torch.cat([at_first, later])


def _log_scaled(mean: Tensor, variance: Tensor, of_noise: Tensor) -> Tensor:
    """E log N(e; 0, diag of_noise) for an e of this mean and variance: (T, N, D) -> (T, N)."""
    return -0.5 * ((mean.square() + variance) / of_noise + (2 * math.pi * of_noise).log()).sum(-1)
