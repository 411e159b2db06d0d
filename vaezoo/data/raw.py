"""One split of a user's data as it stands in a file, before any check of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .columns import Column
from .files import BadData
from .formats import Array


@dataclass(frozen=True)
class Raw:
    """x (N, …) and the labels, if any."""

    x: Array
    labels: Array | None = None
    is_sequence: bool = False  # known to be sequences, whatever its shape
    # of padded sequences: NaN from there on is padding, before it a gap
    lengths: Array | None = None
    ids: tuple[Any, ...] = ()  # of the sequences of a table
    names: tuple[str, ...] = ()  # of the columns of a table
    rows: tuple[str, ...] = ()  # names of the rows
    label: str = ""  # the column of a table that held the labels
    left_out: tuple[str, ...] = ()  # columns of a table that are not x
    table: Mapping[str, str] = field(default_factory=dict)  # what was said of it, see `asked`
    columns: tuple[Column, ...] = ()  # of a mixed table, whose x holds codes of words
    words: tuple[str, ...] = ()  # what was recognised, for the card
    times: tuple[float, ...] = ()  # of the steps, in the file's units, see `long.at_times`


def numbers(array: Array, who: str) -> Array:
    """The array, bytes as they are and all else in float64. Raises: BadData."""
    if array.dtype.kind not in "biuf":
        raise BadData(f"{who} of type {array.dtype}; expected real numbers")
    return np.require(array, requirements="W") if array.dtype == np.uint8 else array.astype(float)


def from_list(sequences: list[Array], who: str) -> Raw:
    """Sequences (T_i, C) as one array (N, T, C), padded to the longest.

    Raises: BadData.
    """
    if len({sequence.shape for sequence in sequences}) > 1:
        # one number a step; of one length they could be rows
        sequences = [one[:, None] if one.ndim == 1 else one for one in sequences]
    for i, sequence in enumerate(sequences):
        if sequence.ndim != 2:
            raise BadData(
                f"{who}: sequence {i} has shape {sequence.shape}; expected (T, C), a step a row"
            )
        if sequence.shape[1:] != sequences[0].shape[1:]:
            raise BadData(
                f"{who}: sequence {i} has shape {sequence.shape}, the first {sequences[0].shape}; "
                "expected (T, C) with one C"
            )
        if not len(sequence):
            raise BadData(f"{who}: sequence {i} has length 0; leave it out")
        if sequence.dtype.kind not in "biuf":
            raise BadData(f"{who}: sequence {i} is of type {sequence.dtype}; expected numbers")
    longest = max(map(len, sequences))
    x = np.full((len(sequences), longest, sequences[0].shape[1]), np.nan)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Raw(x, is_sequence=True, lengths=np.array([len(sequence) for sequence in sequences]))
