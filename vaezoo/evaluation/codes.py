"""The centres of q(z|x), for active units, probes and scores of disentanglement."""

from collections.abc import Iterator, Sequence
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

    # (N, D), float32 on the CPU: all latents that are codes side by side; of a stepwise latent its
    # mean over the steps
    flat: Tensor
    units: Tensor  # (M, D): the same with M = N, save that each step of a stepwise latent is a row
    # (D,), float64: Var over x of E_q z; of a stepwise latent at equal t, in the mean over t
    variance: Tensor
    rows: Tensor  # (N,): which rows of the split
    is_discrete: bool  # some latent takes values that have no mean


def codes_of(model: Model, pieces: Iterator[tuple[Tensor, Tensor | None]], rows: Tensor) -> Codes:
    """The codes of all pieces together, which are these rows (N,) of a split."""
    flat = []
    by_latent = list[list[tuple[Tensor, Tensor]]]()
    discrete = False
    for x, c in pieces:
        with at_centre():
            trace = model.infer(x, c)
        latents = [i for i, latent in enumerate(trace.latents) if latent.is_code]
        flat.append(torch.cat([_pooled(trace, i) for i in latents], -1).cpu())
        by_latent.append([_by_step(trace, i) for i in latents])
        discrete = discrete or any(_is_discrete(latent.q) for latent in trace.latents)

    whole = torch.cat(flat)
    found = [_joined(parts) for parts in zip(*by_latent, strict=True)]
    variance = torch.cat([variance_at_steps(*one) for one in found])
    units = torch.cat([z for z, _ in found], -1) if _has_one_clock(found) else whole
    return Codes(whole, units, variance, rows, discrete)


def _has_one_clock(found: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Whether all latents stand at the same steps of the same rows."""
    return all(torch.equal(steps, found[0][1]) for _, steps in found)


def variance_at_steps(z: Tensor, steps: Tensor) -> Tensor:
    """(D,), float64: the variance of rows z (M, D) about the mean of their own step, steps (M,)."""
    z = z.double()
    rows = steps.bincount().clamp_min(1)[:, None]
    means = z.new_zeros(len(rows), z.shape[1]).index_add(0, steps, z) / rows
    return (z - means[steps]).square().mean(0)


def _joined(pieces: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    values, steps = zip(*pieces, strict=True)
    return torch.cat(values), torch.cat(steps)


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


def _has_steps(trace: Trace, i: int) -> bool:
    return trace.latents[i].stepwise and trace.latents[i].z.ndim > 3


def _pooled(trace: Trace, i: int) -> Tensor:
    """(B, D)."""
    if not _has_steps(trace, i):
        return trace.latents[i].z[0].flatten(1).float()
    z, seen = _steps(trace, i)
    return torch.where(seen[..., None], z, 0.0).sum(1) / seen.sum(1, keepdim=True).clamp_min(1)


def _by_step(trace: Trace, i: int) -> tuple[Tensor, Tensor]:
    """A latent's rows (M, D), each step of each x, and which step it is (M,); 0 where there are
    none.
    """
    if not _has_steps(trace, i):
        z = _pooled(trace, i).cpu()
        return z, torch.zeros(len(z), dtype=torch.long)
    z, seen = _steps(trace, i)
    return z[seen].cpu(), seen.nonzero()[:, 1].cpu()


def _is_discrete(q: Distribution) -> bool:
    try:
        return bool(q.support.is_discrete)  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return False
