"""Which rows of a split stand for all of them, for what looks at a part.

Files may be sorted by label, by length or by time: the first rows of a file are no sample of it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.data import Data
from ..data.splits import stratified_subset
from ..seeds import generator_for


class Part(NamedTuple):
    """Some rows of a split."""

    rows: Tensor  # (n,), their indices in the split, on the CPU
    x: Tensor  # (n, *shape), on the device
    c: Tensor | None  # their conditions


def some_rows(data: Data, split: str, most: int, among: Tensor | None = None) -> Tensor:
    """Indices, in order, of at most `most` rows of a split, of those `among` (M,) where given.

    They are drawn by a seed that is the same for all models and trials, each class with its share;
    fewer are part of more.
    """
    rows = torch.arange(len(data.split(split))) if among is None else among.cpu()
    if len(rows) <= most:
        return rows
    order = torch.randperm(len(rows), generator=generator_for("part", data.identity, split))
    rows = rows[order]
    if not data.labels:
        return rows[:most].sort().values
    return rows[stratified_subset(data.labels[split][rows], most)].sort().values
