"""A user's arrays, checked value by value: what is no data is refused with its place."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .files import BadData
from .formats import Array
from .reading import Raw

AXES = {1: (), 2: ("column",), 3: ("step", "channel"), 4: ("channel", "line", "column")}


@dataclass(frozen=True)
class Checked:
    """x (N, *shape), float32, and labels (N,), int64, by split; and what was done, in words."""

    x: dict[str, Tensor]
    labels: dict[str, Tensor | None]
    words: str


def checked(raw: Mapping[str, Raw], who: str, kind: str, may_have_gaps: bool) -> Checked:
    """Arrays as they were read -> x and labels; `kind` is vector, image, sequence or auto.

    Raises: BadData.
    """
    for split, part in raw.items():
        _must_be_numbers(part.x, f"{who} ({split})")
        _must_be_rows(part, f"{who} ({split})")
    is_bytes = all(part.x.dtype == np.uint8 for part in raw.values())
    kind = _kind(raw["train"], kind, is_bytes, may_have_gaps, who)

    # bytes of 0 and 1 are bits; any other are grey values
    is_grey = is_bytes and kind == "image" and max(part.x.max() for part in raw.values()) > 1
    scale = 255.0 if is_grey else 1.0
    x = {split: _shaped(_float32(part.x) / scale, kind, who) for split, part in raw.items()}
    for split, part in raw.items():
        _must_be_finite(x[split], part, f"{who} ({split})", may_have_gaps)
        _must_be_like(x["train"], x[split], f"{who}: one x of {split}", kind)

    labels = {split: _checked_labels(part, f"{who} ({split})") for split, part in raw.items()}
    words = "value/255" if is_grey else "values as given"
    return Checked(x, labels, f"{words}, read as {kind}s")


def _must_be_like(train: Tensor, x: Tensor, who: str, kind: str) -> None:
    found = tuple(x.shape[1:])
    wanted = tuple(train.shape[1:])
    if found != wanted:
        remedy = "; pad with NaN to one length and say gaps=true" if kind == "sequence" else ""
        raise BadData(f"{who} has shape {found}, of train {wanted}{remedy}")


def _float32(x: Array) -> Tensor:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return torch.from_numpy(x.astype(np.float32))


def _must_be_numbers(x: Array, who: str) -> None:
    if x.dtype.kind not in "biuf":
        raise BadData(
            f"{who} is of type {x.dtype}; expected real numbers: float, int, uint8 or bool"
        )


def _must_be_rows(part: Raw, who: str) -> None:
    shape = part.x.shape
    if len(shape) not in (2, 3, 4):
        raise BadData(
            f"{who} has shape {shape}; expected (N, D) vectors, (N, T, C) sequences, (N, H, "
            "W) or (N, C, H, W) images"
        )
    if not shape[0]:
        raise BadData(f"{who} has no rows: its shape is {shape}")
    if not part.x.size:
        raise BadData(
            f"{who} holds x of no numbers (a sequence of length 0?): its shape is {shape}"
        )


def _kind(raw: Raw, kind: str, is_bytes: bool, gaps: bool, who: str) -> str:
    """What the axes mean: said by the user, or plain from shape and type."""
    dims = raw.x.ndim
    fitting = {2: ("vector",), 3: ("sequence", "image"), 4: ("image",)}[dims]
    if kind != "auto" and (kind not in fitting or (raw.is_sequence and kind != "sequence")):
        raise BadData(
            f"{who} has shape {raw.x.shape}, which is no set of {kind}s; "
            f"it can be {' or '.join(fitting)}"
        )
    if kind != "auto" or dims != 3:
        return fitting[0] if kind == "auto" else kind
    if raw.is_sequence or gaps:
        return "sequence"
    if is_bytes:
        return "image"
    raise BadData(
        f"{who} has shape {raw.x.shape}: (N, T, C) sequences or (N, H, "
        "W) images? say kind=sequence or kind=image"
    )


def _shaped(x: Tensor, kind: str, who: str) -> Tensor:
    if kind == "image" and x.ndim == 4 and x.shape[1] > 4 and x.shape[3] <= 4:
        raise BadData(
            f"{who} has shape {tuple(x.shape)}, with the channels last; expected (N, C, H, W)"
        )
    return x[:, None] if kind == "image" and x.ndim == 3 else x


def _must_be_finite(x: Tensor, raw: Raw, who: str, may_have_gaps: bool) -> None:
    if x.isinf().any():
        raise BadData(
            f"{who} has an infinite value (or one too large for float32) "
            f"{where(x.isinf(), raw.ids)}"
        )
    empty = x.flatten(1).isnan().all(1)
    if empty.any():
        raise BadData(
            f"{who}: {_row(int(empty.int().argmax()), raw.ids)} is all NaN, an x of length 0; "
            "leave it out"
        )
    gaps = x.isnan()
    if raw.lengths is not None:  # behind the end of a sequence of a list there is padding
        gaps &= (torch.arange(x.shape[1]) < torch.from_numpy(raw.lengths)[:, None])[..., None]
    if gaps.any() and not may_have_gaps:
        raise BadData(
            f"{who} has NaN {where(gaps, raw.ids)}; fill or remove it, "
            "or say gaps=true if it marks padding or a gap"
        )


def where(bad: Tensor, ids: tuple[object, ...] = ()) -> str:
    """The place of the first bad entry, such as "in row 3, column 2"."""
    row, *place = bad.nonzero()[0].tolist()
    inside = [f"{axis} {i}" for axis, i in zip(AXES[bad.ndim], place, strict=True)]
    return f"in {', '.join([_row(row, ids), *inside])} (counted from 0)"


def _row(i: int, ids: tuple[object, ...]) -> str:
    return f"the sequence of id {ids[i]}" if ids else f"row {i}"


def _checked_labels(part: Raw, who: str) -> Tensor | None:
    if part.labels is None:
        return None
    y = np.asarray(part.labels)
    if y.shape != part.x.shape[:1]:
        raise BadData(
            f"{who} has {len(part.x)} rows and labels of shape {y.shape}; expected one label a row"
        )
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == y.round()).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "biu":
        raise BadData(f"{who} has labels of type {y.dtype}; expected whole numbers")
    return torch.from_numpy(y.astype(np.int64))
