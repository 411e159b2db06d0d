"""The centres of q(z|x), for active units, probes and scores of disentanglement."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core import Model, Trace
from ..distributions import at_centre
from ..networks import step_mask


@dataclass(frozen=True)
class Codes:
    """E_q z of N rows."""

    # (N, D), float32 on the CPU: all latents side by side; of a stepwise latent its mean over the
    # steps
    flat: Tensor
    units: Tensor  # (M, D): the same with M = N, save that each step of a stepwise latent is a row
    is_discrete: bool  # some latent takes values that have no mean


def codes_of(model: Model, rows: Iterator[tuple[Tensor, Tensor | None]]) -> Codes:
    """The codes of all rows, piece by piece."""
    flat = []
    units = []
    discrete = False
    for x, c in rows:
        with at_centre():
            trace = model.infer(x, c)
        flat.append(torch.cat([_pooled(trace, i) for i in range(len(trace.latents))], -1).cpu())
        units.append(_by_step(trace).cpu())
        discrete = discrete or any(_is_discrete(latent.q) for latent in trace.latents)
    return Codes(torch.cat(flat), torch.cat(units), discrete)


def _steps(trace: Trace, i: int) -> tuple[Tensor, Tensor]:
    """A stepwise latent (B, T, D) and which of its steps are there (B, T)."""
    z = trace.latents[i].z[0]
    x = trace.x
    z = z.flatten(2)
    seen = (
        step_mask(x)
        if x.ndim == 3 and x.shape[1] == z.shape[1]
        else torch.ones(z.shape[:2], dtype=torch.bool)
    )
    return z, seen.to(z.device)


def _pooled(trace: Trace, i: int) -> Tensor:
    """(B, D)."""
    if not (trace.latents[i].stepwise and trace.latents[i].z.ndim > 3):
        return trace.latents[i].z[0].flatten(1).float()
    z, seen = _steps(trace, i)
    return torch.where(seen[..., None], z, 0.0).sum(1) / seen.sum(1, keepdim=True).clamp_min(1)


def _by_step(trace: Trace) -> Tensor:
    """(M, D): a row of x, or, where every latent is stepwise, a step of it."""
    if not all(latent.stepwise and latent.z.ndim > 3 for latent in trace.latents):
        return torch.cat([_pooled(trace, i) for i in range(len(trace.latents))], -1)
    parts = [_steps(trace, i) for i in range(len(trace.latents))]
    return torch.cat([z for z, _ in parts], -1)[parts[0][1]]


def _is_discrete(q: Distribution) -> bool:
    try:
        return bool(q.support.is_discrete)  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return False
