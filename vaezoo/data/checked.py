"""A user's arrays, checked value by value: what is no data is refused with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .files import BadData
from .formats import Array
from .raw import Raw
from .reader import Reader

AXES = {1: (), 2: ("column",), 3: ("step", "channel"), 4: ("channel", "line", "column")}
CHANNELS = (1, 2, 3, 4)  # that a picture can have
# Beyond it pictures are in units of their own, such as whole grey values in floating point.
LARGE = 10.0
LARGEST_LABEL = 2**53  # from where floating point keeps no two apart


@dataclass(frozen=True)
class Checked:
    """Values (N, *shape), bytes or float64, NaN where one is missing, and labels (N,), by split;
    and what is known of them.
    """

    values: dict[str, Tensor]
    labels: dict[str, Array | None]
    kind: str  # vector, image or sequence
    layout: str  # of images in the file, see `reader.LAYOUTS`
    is_grey: bool  # bytes that are grey values
    words: str


def checked(
    raw: Mapping[str, Raw],
    who: str,
    kind: str,
    may_have_gaps: bool,
    channels: str = "auto",
    missing: tuple[float, ...] = (),
) -> Checked:
    """Arrays as they were read -> values and labels; `kind` is vector, image, sequence or auto.

    Raises: BadData.
    """
    for split, part in raw.items():
        _must_be_numbers(part.x, f"{who} ({split})")
        _must_be_rows(part, f"{who} ({split})")
    is_bytes = all(part.x.dtype == np.uint8 for part in raw.values())
    kind = _kind(raw["train"], kind, is_bytes, may_have_gaps, who)
    layout = _layout(raw["train"].x, channels, who) if kind == "image" else ""
    placing = Reader(missing=missing, layout=layout)
    values = _values(raw, who, kind, placing, may_have_gaps or bool(missing))

    # bytes of 0 and 1 are bits; any other are grey values
    is_grey = is_bytes and kind == "image" and max(part.x.max() for part in raw.values()) > 1
    labels = {split: checked_labels(part, f"{who} ({split})") for split, part in raw.items()}
    return Checked(values, labels, kind, layout, is_grey, _in_words(raw, kind, is_grey))


def _values(
    raw: Mapping[str, Raw], who: str, kind: str, placing: Reader, may_have_gaps: bool
) -> dict[str, Tensor]:
    """(N, *shape) by split, the axes in their places; all finite, and like those of train."""
    values = {split: placing.placed(_tensor(part.x)) for split, part in raw.items()}
    for split, part in raw.items():
        must_be_finite(values[split], part, f"{who} ({split})", may_have_gaps)
        _must_be_like(values["train"], values[split], f"{who}: one x of {split}", kind)
    return values


def _in_words(raw: Mapping[str, Raw], kind: str, is_grey: bool) -> str:
    scale = "value/255" if is_grey else "values as given"
    said = dict.fromkeys(word for part in raw.values() for word in part.words)
    return "; ".join([f"{scale}, read as {kind}s", *said])


def _must_be_like(train: Tensor, x: Tensor, who: str, kind: str) -> None:
    found = tuple(x.shape[1:])
    wanted = tuple(train.shape[1:])
    if found != wanted:
        remedy = "; pad with NaN to one length and say gaps=true" if kind == "sequence" else ""
        raise BadData(f"{who} has shape {found}, of train {wanted}{remedy}")


def _tensor(x: Array) -> Tensor:
    """Bytes as they are, all else in float64: nothing is rounded before it is standardised."""
    return torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.float64))


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


def _layout(x: Array, channels: str, who: str) -> str:
    """How the axes of images stand, see `reader.LAYOUTS`."""
    if x.ndim == 3:
        return "HW"
    if channels != "auto":
        return "HWC" if channels == "last" else ""
    if x.shape[3] not in CHANNELS:
        return ""
    if x.shape[1] not in CHANNELS:
        raise BadData(
            f"{who} has shape {x.shape}, with the channels last; expected (N, C, H, W), "
            "or say channels=last"
        )
    if x.shape[2] > x.shape[3] and x.shape[1] != x.shape[2]:
        raise BadData(
            f"{who} has shape {x.shape}: are the channels first or last? say channels=first or "
            "channels=last"
        )
    return ""


def must_be_finite(x: Tensor, raw: Raw, who: str, may_have_gaps: bool) -> None:
    """Raises: BadData for an infinite value, a row of gaps, or a gap that was not announced."""
    if not x.is_floating_point():
        return
    infinite = x.float().isinf()
    if infinite.any():
        raise BadData(
            f"{who} has an infinite value (or one too large for float32) {where(infinite, raw.ids)}"
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


def checked_labels(part: Raw, who: str) -> Array | None:
    """Whole numbers, or words."""
    if part.labels is None:
        return None
    y = np.asarray(part.labels)
    if y.shape == (len(part.x), 1):
        y = y[:, 0]
    if y.shape != part.x.shape[:1]:
        raise BadData(
            f"{who} has {len(part.x)} rows and labels of shape {y.shape}; expected one label a row"
        )
    if y.dtype.kind in "uf" and (np.abs(y) >= LARGEST_LABEL).any():
        raise BadData(f"{who} has labels such as {y.max():g}; write them as words, or smaller")
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == y.round()).all():
        y = y.astype(np.int64)
    if y.dtype.kind == "S":
        return _in_letters(y, who)
    if y.dtype.kind in "OU":
        return y.astype(str)
    if y.dtype.kind not in "biu":
        raise BadData(f"{who} has labels of type {y.dtype}; expected whole numbers, or words")
    return y.astype(np.int64)


def _in_letters(y: Array, who: str) -> Array:
    """Labels that are bytes as words. Raises: BadData where they are no UTF-8."""
    letters: Any = y  # of the kind "S"
    try:
        return np.char.decode(letters, "utf-8")
    except UnicodeDecodeError:
        raise BadData(f"{who} has labels that are bytes and no UTF-8; write them so") from None
