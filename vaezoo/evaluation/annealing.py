"""Annealed importance sampling: log p(x) without an encoder, for models of four parts with real
codes.

The path p_β(z) ∝ p(z) p(x|z)^β runs from the prior to the posterior, with Hamiltonian Monte Carlo
at each β (Neal 2001; Wu et al. 2017, arXiv:1611.04273). On data that the model itself drew, a chain
that starts at the true z and runs back gives an upper bound, and the gap between the two limits the
error (Grosse et al. 2015, arXiv:1511.02543).
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..core import VAE, Model, Unsupported, require_parts
from ..distributions import Drawable

LEAPFROGS = 10  # steps of one proposal (Wu et al. 2017)
LogDensity = Callable[[Tensor], Tensor]  # z (K, B, *event) -> (K, B)


def ais_log_likelihood(
    model: Model, x: Tensor, c: Tensor | None = None, chains: int = 16, temperatures: int = 200
) -> Tensor:
    """(B,): log 1/K Σ_k w_k of K chains from the prior, in nats; in expectation below log p(x).

    Raises: Unsupported for a model that is not four parts, or whose codes or prior do not allow
    gradients.
    """
    vae = _four_parts(model)
    with torch.no_grad():
        prior = vae.prior(c)
        z = prior.sample(
            torch.Size((chains, len(x)) if prior.batch_shape != (len(x),) else (chains,))
        )
        log_w = _anneal(*_densities(vae, x, c), z, schedule(temperatures).to(x))
    return log_w.logsumexp(0) - math.log(chains)


def bdmc_gap(
    model: Model, n: int = 32, chains: int = 16, temperatures: int = 200
) -> tuple[Tensor, Tensor]:
    """Lower and upper bound of log p(x), (n,) each, of n rows that the model drew: their gap limits
    the error of AIS.
    """
    vae = _four_parts(model)
    with torch.no_grad():
        z = vae.prior(None).sample(torch.Size((1, n)))
        x = vae.decoder(z, None).sample()[0]
        lower = ais_log_likelihood(vae, x, None, chains, temperatures)
        start = z.expand(chains, *z.shape[1:])
        log_w = _anneal(*_densities(vae, x, None), start, schedule(temperatures).to(x).flip(0))
    return lower, math.log(chains) - log_w.logsumexp(0)


def schedule(n: int, steepness: float = 4.0) -> Tensor:
    """(n + 1,) from 0 to 1, denser at both ends: a sigmoid (Wu et al. 2017)."""
    s = torch.sigmoid(torch.linspace(-steepness, steepness, n + 1, dtype=torch.float64))
    return (s - s[0]) / (s[-1] - s[0])


def _four_parts(model: Model) -> VAE:
    vae = require_parts(model, "annealed importance sampling")
    if vae.encoder.space != "real":
        raise Unsupported(
            "annealed importance sampling moves real codes; "
            f"these live in the space {vae.encoder.space!r}"
        )
    if isinstance(vae.prior(None), Drawable):
        raise Unsupported("annealed importance sampling needs the prior's density at any z")
    return vae


def _densities(vae: VAE, x: Tensor, c: Tensor | None) -> tuple[LogDensity, LogDensity]:
    return (lambda z: vae.prior(c).log_prob(z)), (lambda z: vae.decoder(z, c).log_prob(x))


def _anneal(log_prior: LogDensity, log_likelihood: LogDensity, z: Tensor, betas: Tensor) -> Tensor:
    """The chains' log weights (K, B), from z (K, B, *event) at betas[0] to betas[-1]."""
    log_w = z.new_zeros(z.shape[:2])
    size = z.new_full(z.shape[:2], 0.1)
    for before, after in pairwise(betas):
        log_w = log_w + (after - before) * log_likelihood(z)
        z, accepted = _hamiltonian(lambda z, b=after: log_prior(z) + b * log_likelihood(z), z, size)  # type: ignore[misc]
        # about two in three are accepted (Wu et al. 2017 aim at 0.65)
        size = size * torch.where(accepted, 1.02, 0.95)
    return log_w


def _hamiltonian(log_p: LogDensity, z: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """The next state of chains at z that leave exp(log_p) as it is, and which of them moved, (K,
    B).
    """
    step = size[(...,) + (None,) * (z.ndim - 2)]
    start = z
    momentum = torch.randn_like(z)
    value, slope = _with_gradient(log_p, z)
    before = value - _kinetic(momentum)

    for _ in range(LEAPFROGS):
        momentum = momentum + 0.5 * step * slope
        z = z + step * momentum
        value, slope = _with_gradient(log_p, z)
        momentum = momentum + 0.5 * step * slope

    accepted = torch.rand_like(value).log() < value - _kinetic(momentum) - before
    return torch.where(accepted[(...,) + (None,) * (z.ndim - 2)], z, start), accepted


def _kinetic(momentum: Tensor) -> Tensor:
    return 0.5 * momentum.flatten(2).square().sum(2)


def _with_gradient(log_p: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_p(z)
        return value.detach(), torch.autograd.grad(value.sum(), z)[0]
