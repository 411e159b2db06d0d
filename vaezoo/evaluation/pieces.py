"""Rows in pieces, so that memory does not grow with the size of a split."""

from collections.abc import Iterator

from torch import Tensor


def pieces(x: Tensor, c: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """x (N, …) and c (≥ N, …) in pieces of `size` rows."""
    for i in range(0, len(x), size):
        yield x[i : i + size], None if c is None else c[i : i + size][: len(x) - i]
