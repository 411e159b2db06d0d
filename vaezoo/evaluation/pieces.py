"""Rows in pieces, so that memory does not grow with the size of a split."""

from collections.abc import Iterator

from torch import Tensor

from ..networks import step_mask


def pieces(x: Tensor, c: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """x (N, …) and c (≥ N, …) in pieces of `size` rows; padded sequences end at their piece's longest."""
    for i in range(0, len(x), size):
        yield cut(x[i : i + size]), None if c is None else c[i : i + size][: len(x) - i]


def cut(x: Tensor) -> Tensor:
    """Sequences (B, T, C) without the steps at the end that are padding in every row; anything else as it is."""
    if x.ndim != 3 or not len(x) or not x[:, -1].isnan().all():
        return x
    return x[:, : max(1, int(step_mask(x).sum(1).max()))]
