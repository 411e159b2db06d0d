"""Rows as a model is to read them: shape, gaps, columns in its order."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Spec, Unsupported
from .asked import Asked
from .coding import coded
from .files import BadData
from .formats import Array
from .mixed import with_gaps
from .raw import Raw, numbers
from .reader import Reader

COMPLETE = (
    "was trained on complete data and cannot read gaps: train it on data with gaps, such as "
    "'holes[of=digits]' or 'arrays[path=FILE,gaps=true]'"
)


def placed(raw: Raw, spec: Spec, reader: Reader, who: str) -> Tensor:
    """The same of what was read: shorter sequences of a list or a table are padded."""
    values = torch.from_numpy(raw.x)
    if not values.ndim:
        raise BadData(f"{who} is one number, and this model reads rows of shape {spec.shape}")
    if reader.layout and values.ndim != (3 if reader.layout == "HW" else 4):
        raise BadData(f"{who} has shape {tuple(values.shape)}, and this model reads {spec.shape}")
    x = reader.read(values)
    lacking = spec.shape[0] - x.shape[1] if raw.is_sequence and spec.has_gaps else 0
    if lacking > 0:
        x = torch.nn.functional.pad(x, (0, 0, 0, lacking), value=torch.nan)
    return fitting(x, spec, who)


def fitting(x: Tensor, spec: Spec, who: str) -> Tensor:
    """x, if it is what a model of this spec reads: rows of its shape, finite, with NaN only where
    the spec says that there are gaps.

    Raises: BadData, which calls x by the name `who`.
    """
    shape = tuple(spec.shape)
    found = tuple(x.shape[1:])
    if x.ndim and not len(x):
        raise BadData(f"{who} has no rows: its shape is {tuple(x.shape)}")
    if not x.ndim or found != shape:
        pads = spec.is_sequence and found[1:] == shape[1:]
        remedy = "; pad shorter sequences with NaN and cut longer ones" if pads else ""
        raise BadData(f"{who} has rows of shape {found}, and this model reads {shape}{remedy}")

    if x.isinf().any():
        place = first_row(x.isinf())
        raise BadData(f"{who} has an infinite value (or one too large for float32) in {place}")
    if x.isnan().any() and not spec.has_gaps:
        raise BadData(f"{who} has NaN in {first_row(x.isnan())}, and this model {COMPLETE}")
    empty = x.flatten(1).isnan().all(1)
    if empty.any():
        raise BadData(f"{who}: {first_row(empty)} is all NaN, an x of length 0; leave it out")
    return x


def must_read_gaps(spec: Spec, who: str) -> None:
    """Raises: Unsupported where a model of this spec cannot read missing entries."""
    if not spec.has_gaps:
        raise Unsupported(f"{who} {COMPLETE}")


def in_order(x: Any, reader: Reader) -> Array:
    """The values of an array, bytes as they are and all else float64; of a table of pandas those of
    the columns that the reader names.

    Raises: BadData where a column is lacking.
    """
    if reader.columns and not isinstance(x, np.ndarray):
        _must_have(x, reader)
        marks = Asked.again(reader.table).marks
        return coded(with_gaps(x[list(reader.names)], marks), reader.columns, "x")
    if isinstance(x, np.ndarray) or not reader.names:
        return numbers(np.asarray(x), "x is an array")
    _must_have(x, reader)
    return x[list(reader.names)].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def _must_have(x: Any, reader: Reader) -> None:
    lacking = [name for name in reader.names if name not in x]
    if lacking:
        raise BadData(f"x lacks the columns {', '.join(lacking)}, which this model was trained on")


def first_row(bad: Tensor) -> str:
    """Its place in words."""
    return f"row {int(bad.nonzero()[0, 0])} (counted from 0)"
