"""Sequences as networks read them: steps, masks, padding, gaps."""

import torch
from torch import Tensor

from .core import Spec

__all__ = ["from_steps", "reverse_steps", "step_mask", "to_steps", "without_gaps"]


def to_steps(x: Tensor, spec: Spec) -> Tensor:
    """x (B, *shape) -> (B, T, C): a sequence as it is, an image as rows in time. NaN stays NaN."""
    spec.as_steps  # noqa: B018  (raises Unsupported for a vector)
    return x.transpose(1, 2).flatten(2) if spec.is_image else x


def from_steps(h: Tensor, spec: Spec) -> Tensor:
    """(K, B, T, C, …) -> (K, B, *shape, …), the inverse of `to_steps`."""
    if not spec.is_image:
        return h
    return h.unflatten(3, (spec.shape[0], spec.shape[2])).transpose(2, 3)


def step_mask(x: Tensor) -> Tensor:
    """Which steps of x (B, T, C) are there: (B, T), true up to the last step with any entry that is
    not NaN.
    """
    seen = ~x.isnan().all(-1)
    return seen.flip(1).cumsum(1).flip(1) > 0


def reverse_steps(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, T, …) with each row's steps reversed within its length; padding stays where it is."""
    rows, steps = mask.shape
    here = torch.arange(steps, device=x.device)
    mirrored = mask.sum(1, keepdim=True) - 1 - here
    source = torch.where(mirrored < 0, here, mirrored)  # (B, T)

    # whole steps are copied, (B·T, …): a gather number by number takes ten times as long
    first_of_row = steps * torch.arange(rows, device=x.device)[:, None]
    flat = (source + first_of_row).flatten()
    return x.flatten(0, 1).index_select(0, flat).unflatten(0, (rows, steps))


def without_gaps(x: Tensor, spec: Spec) -> Tensor:
    """x with 0 in place of NaN, for a network to read (zero imputation: Mattei & Frellsen 2019,
    arXiv:1812.02633, §2).
    """
    return torch.where(x.isnan(), 0.0, x) if spec.has_gaps else x
