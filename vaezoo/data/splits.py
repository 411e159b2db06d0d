"""Splits, binarisation and padding, all fixed by seeds made from names."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ..seeds import generator_for
from .data import SPLITS

Few = Annotated[int, Field(ge=0)]  # rows of the training split that are kept, 0 for all


@dataclass(frozen=True)
class SplitIndices:
    """Which rows of a source stand in which split."""

    train: Tensor  # int64
    validation: Tensor
    test: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.train, self.validation, self.test))

    def split(self, name: str) -> Tensor:
        """One of train, validation and test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def of(self, values: Tensor) -> dict[str, Tensor]:
        """The rows of `values` by split."""
        return {name: values[self.split(name)] for name in SPLITS}

    @property
    def sha256(self) -> str:
        """SHA-256 of the indices of the three splits, as little-endian int64."""
        h = hashlib.sha256()
        for name in SPLITS:
            rows = self.split(name)
            h.update(f"{name}:{len(rows)}:".encode() + rows.numpy().astype("<i8").tobytes())
        return h.hexdigest()


def shuffled(
    rows: int, validation: int, test: int, *names: object, labels: Tensor | None = None
) -> SplitIndices:
    """A split by the seeded permutation of these names; with labels, each split has its share of
    every class.

    Of each class the rows are spread evenly over the line from 0 to 1, in permuted order; splits
    are pieces of that line.

    Raises: ValueError where no row would be left for training.
    """
    if validation + test >= rows:
        raise ValueError(
            f"{rows} rows cannot give {validation} to validation and {test} to test and leave any "
            "for training"
        )
    order = torch.randperm(rows, generator=generator_for("split", *names))
    if labels is not None:
        order = order[torch.argsort(_place_in_class(labels[order]), stable=True)]
    first = order[:test]
    second = order[test : test + validation]
    return SplitIndices(
        order[test + validation :].sort().values, second.sort().values, first.sort().values
    )


def _place_in_class(labels: Tensor) -> Tensor:
    """(N,) -> (N,) in (0, 1): the place of each row among the rows of its class."""
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        place[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return place


def stratified_subset(labels: Tensor, rows: int) -> Tensor:
    """The indices (rows,) of so many rows, in order, with each class's share; fewer are part of
    more. 0 takes them all.
    """
    if not rows:
        return torch.arange(len(labels))
    return _place_in_class(labels).argsort(stable=True)[:rows].sort().values


def binarised_once(p: Tensor, *names: object) -> Tensor:
    """0 or 1 with these probabilities of 1, drawn by the seed of these names. NaN stays NaN."""
    drawn = (torch.rand(p.shape, generator=generator_for("binarise", *names)) < p).float()
    return torch.where(p.isnan(), p, drawn)


def duplicates(train: Tensor | Sequence[Tensor], test: Tensor | Sequence[Tensor]) -> int:
    """Rows of the test split that stand, bit for bit, in the training split too."""
    seen = {row.tobytes() for row in _rows(train)}
    return sum(row.tobytes() in seen for row in _rows(test))


def _rows(x: Tensor | Sequence[Tensor]) -> Iterable[npt.NDArray[np.generic]]:
    return x.numpy() if isinstance(x, Tensor) else (row.numpy() for row in x)


def padded(sequences: Sequence[Tensor], steps: int) -> Tensor:
    """Sequences (T_i, C) -> (N, steps, C), float32, NaN behind the end of each."""
    x = torch.full((len(sequences), steps, sequences[0].shape[1]), torch.nan)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return x
