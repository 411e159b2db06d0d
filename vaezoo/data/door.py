"""What data must be before anything is built on it: the one door for a plugin's data set and for
a `Data` that a notebook put together.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core import Spec
from .files import BadData

if TYPE_CHECKING:
    from .data import Data

SPLITS = ("train", "validation", "test")
# Beyond it float32 does not tell whole numbers apart.
LARGEST = 2.0**24


def must_agree(data: "Data") -> None:
    """Types and shapes of splits, labels, factors and truth, without a look at the values of x.

    Raises: BadData, one sentence.
    """
    for split in SPLITS:
        _must_be_tensor(data, split)
        _must_be_labelled(data, split)
        for name in ("factors", "truth"):
            of_rows = getattr(data, name).get(split)
            if of_rows is not None and len(of_rows) != len(data.split(split)):
                raise BadData(
                    f"{data.name} ({split}) has {len(data.split(split))} rows and "
                    f"{len(of_rows)} of {name}; expected one a row"
                )
    _must_have_classes(data)


def must_be_whole(data: "Data", split: str) -> None:
    """Raises: BadData where a split has another shape than its spec says, no rows, or a value that
    is neither a number nor a gap that the spec speaks of.
    """
    x = data.split(split)
    who = f"{data.name} ({split})"
    if not len(x) or not _fits_shape(x, data.spec):
        raise BadData(
            f"{who} has shape {tuple(x.shape)}; "
            f"its spec says (N, {', '.join(map(str, data.spec.shape))})"
        )
    if x.sum().isfinite():
        return  # in one pass: neither NaN nor infinity, which a sum would keep
    if x.isinf().any():
        raise BadData(f"{who} has an infinite value")
    gaps = x.isnan()
    if gaps.any() and not data.spec.has_gaps:
        raise BadData(
            f"{who} has NaN, and its spec says that there are no gaps; fill them, "
            "or set has_gaps=True"
        )
    empty = gaps.flatten(1).all(1)
    if empty.any():
        raise BadData(
            f"{who}: row {int(empty.int().argmax())} is all NaN, an x of length 0; leave it out"
        )


def _fits_shape(x: Tensor, spec: Spec) -> bool:
    """Whether x is (N, *shape); sequences may be padded to fewer steps."""
    shape = tuple(x.shape[1:])
    if spec.is_sequence and len(shape) == 2:
        steps, channels = spec.shape
        return 0 < shape[0] <= steps and shape[1] == channels
    return shape == spec.shape


def must_be_counted(data: "Data") -> None:
    """Raises: BadData where the spec's `n_train` is not the number of training rows, by which
    some objectives are weighed.
    """
    if data.spec.n_train != len(data.train):
        raise BadData(
            f"{data.name} has {len(data.train)} rows to train on, and its spec says "
            f"n_train={data.spec.n_train}; write n_train={len(data.train)}"
        )


def must_be_on_scale(data: "Data") -> None:
    """Raises: BadData for values that float32 does not keep apart, or that are no probabilities
    where every minibatch is to draw bits of them.
    """
    if data.spec.is_dynamic and not _is_within(data.train, 0.0, 1.0):
        raise BadData(
            f"{data.name} is binarised in every minibatch and has {_extreme(data.train):g} in "
            "train; expected probabilities in [0, 1]"
        )
    for split in SPLITS:
        x = data.split(split)
        if not _is_within(x, -LARGEST, LARGEST):
            raise BadData(
                f"{data.name} ({split}) has values such as {_extreme(x):g}, which float32 does "
                "not keep apart; standardise them in float64 before they are cast"
            )


def _must_be_tensor(data: "Data", split: str) -> None:
    x = data.split(split)
    if not isinstance(x, Tensor):
        raise BadData(
            f"{data.name} ({split}) is of type {type(x).__name__}; expected a torch.Tensor"
        )
    if x.dtype not in (torch.float32, torch.float64):
        remedy = ".float() / 255 for grey values" if x.dtype == torch.uint8 else ".float()"
        raise BadData(
            f"{data.name} ({split}) is of {x.dtype}; expected torch.float32: write {remedy}"
        )


def _must_be_labelled(data: "Data", split: str) -> None:
    """One int64 in 0 … classes-1 for every row, or none in any split."""
    if not data.labels:
        return
    who = f"{data.name} ({split})"
    if split not in data.labels:
        raise BadData(f"{who} has no labels, and other splits have; label all splits or none")
    y = data.labels[split]
    if y.shape != (len(data.split(split)),):
        raise BadData(
            f"{who} has {len(data.split(split))} rows and labels of shape {tuple(y.shape)}; "
            "expected one label a row"
        )
    if y.dtype != torch.int64:
        raise BadData(f"{who} has labels of {y.dtype}; expected torch.int64: write .long()")
    classes = data.spec.classes
    lowest = -1 if data.spec.unlabelled else 0  # -1 is a row without a label
    if classes and len(y) and not lowest <= int(y.min()) <= int(y.max()) < classes:
        bad = y[(y < lowest) | (y >= classes)][0].item()
        remedy = "; of rows without a label write how many as unlabelled=" if bad == -1 else ""
        raise BadData(
            f"{who} has the label {bad}, and its spec says classes={classes}: expected "
            f"0 … {classes - 1}{remedy}"
        )
    lacking = int((y < 0).sum())
    if split == "train" and data.spec.unlabelled != lacking:
        raise BadData(
            f"{who} has {lacking} rows labelled -1, and its spec says "
            f"unlabelled={data.spec.unlabelled}; write unlabelled={lacking}"
        )


def _must_have_classes(data: "Data") -> None:
    classes = data.spec.classes
    if data.labels and classes == 1:
        raise BadData(
            f"{data.name} has labels of one class, which tell nothing; leave labels and classes out"
        )
    if data.labels and not classes:
        raise BadData(
            f"{data.name} has labels, and its spec says classes=0; write how many there are"
        )


def _is_within(x: Tensor, low: float, high: float) -> bool:
    """NaN, a gap, is within."""
    if not x.numel():
        return True
    smallest, largest = torch.aminmax(x)
    if smallest.isnan():
        smallest, largest = torch.aminmax(torch.where(x.isnan(), low, x))
    return bool(smallest >= low) and bool(largest <= high)


def _extreme(x: Tensor) -> float:
    values = x.double().nan_to_num()
    return float(values.flatten()[values.abs().argmax()])
