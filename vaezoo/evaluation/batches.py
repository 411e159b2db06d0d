"""Rows in pieces, so that memory does not grow with the size of a split."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..networks import step_mask


def batches(x: Tensor, c: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """x (N, …) and c (≥ N, …) in pieces of `size` rows; padded sequences end at their piece's
    longest.
    """
    for i in range(0, len(x), size):
        yield trimmed(x[i : i + size]), None if c is None else c[i : i + size][: len(x) - i]


def balanced(x: Tensor, k: int, entries: int) -> Iterator[tuple[Tensor, int]]:
    """Which rows of x to take together, and how many of their k draws at a time, for about
    `entries` numbers in memory.

    Sequences of like length come together, so that little of a piece is padding and none of it is
    counted.
    """
    sizes = _sizes(x)
    order = sizes.argsort(stable=True)
    known = sizes[order].tolist()
    start = 0
    while start < len(order):
        draws = max(1, min(k, entries // known[start]))
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * known[stop] * draws <= entries:
            stop += 1
        yield order[start:stop], draws
        start = stop


def _sizes(x: Tensor) -> Tensor:
    """Numbers in each row up to its last step, (N,)."""
    whole = torch.full((len(x),), max(1, x[0].numel()) if len(x) else 1)
    if x.ndim != 3 or not x.isnan().any():
        return whole
    return step_mask(x).sum(1).clamp_min(1).cpu() * x.shape[2]


def trimmed(x: Tensor) -> Tensor:
    """Sequences (B, T, C) without the steps at the end that are padding in every row; anything else
    as it is.
    """
    if x.ndim != 3 or not len(x) or not x[:, -1].isnan().all():
        return x
    return x[:, : max(1, int(step_mask(x).sum(1).max()))]
