"""Several arrays in one file, by their names: which is x, which the labels, of which split."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .asked import Asked
from .data import SPLITS
from .files import LIMIT, BadData
from .formats import Array
from .raw import Raw, from_list

X_NAMES = ("x", "data", "images", "features", "inputs")
Y_NAMES = ("y", "labels", "label", "targets", "target")
SPLIT_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test",
}  # fmt: skip
NONE = "none"
PLAIN = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def named(arrays: Mapping[str, Array], asked: Asked, who: str) -> dict[str, Raw]:
    """The arrays by split, from names such as x and y, x_train and y_train, or images and labels.

    Raises: BadData.
    """
    if set(arrays) == {"arr_0"}:
        return {"train": Raw(arrays["arr_0"])}
    listed = [f"arr_{i}" for i in range(len(arrays))]
    if arrays and set(arrays) == set(listed):
        return {"train": from_list([arrays[name] for name in listed], who)}

    found: dict[tuple[str, str], str] = {}
    for name in arrays:
        if name in asked.dropped:
            continue
        place = ("", "y") if name == asked.label else _place(name)
        if place is None:
            raise BadData(_unknown(arrays, who))
        if place in found:
            raise BadData(
                f"{who} holds {found[place]} and {name}, which mean the same; leave one out by "
                f"drop={name}"
            )
        found[place] = name
    return _by_split(arrays, found, asked, who)


def _by_split(
    arrays: Mapping[str, Array], found: Mapping[tuple[str, str], str], asked: Asked, who: str
) -> dict[str, Raw]:
    splits = [split for split in SPLITS if (split, "x") in found]
    if ("", "x") in found and splits:
        raise BadData(
            f"{who} holds {found['', 'x']} and splits; give either x, to be split here, or train, "
            "validation and test"
        )
    if ("", "x") not in found and "train" not in splits:
        raise BadData(_unknown(arrays, who))
    raw = {}
    for split in splits or [""]:
        labels = found.get((split, "y")) if asked.label != NONE else None
        raw[split or "train"] = Raw(
            arrays[found[split, "x"]],
            None if labels is None else arrays[labels],
            table=asked.said(),
        )
    return raw


def _place(name: str) -> tuple[str, str] | None:
    """(split or "", x or y) of a name such as X_train or test-labels; None for any other."""
    split, role = "", ""
    for word in re.split(r"[_\-. ]", name.lower()):
        if word in SPLIT_NAMES and not split:
            split = SPLIT_NAMES[word]
        elif word in X_NAMES and not role:
            role = "x"
        elif word in Y_NAMES and not role:
            role = "y"
        else:
            return None
    return split, role or "x"


def _unknown(arrays: Mapping[str, Array], who: str) -> str:
    return (
        f"{who} holds {', '.join(sorted(arrays)) or 'nothing'}; expected train (or x), with labels "
        "(or y); x_train and y_train; images and labels; label=NAME names the labels, and "
        "drop=NAME leaves others out"
    )


def tensors(content: bytes, asked: Asked, who: str) -> dict[str, Raw]:
    """Tensors that torch saved: one, a dictionary of them by names, x with labels, or a list of
    sequences. Nothing else is loaded from such a file.

    Raises: BadData.
    """
    stored = _loaded(content, who)
    if isinstance(stored, Tensor):
        _must_be_bearable([stored], content, who)
        return {"train": Raw(_array(stored))}
    items = _items(stored, who)
    _must_be_bearable(items, content, who)
    arrays = [_array(item) for item in items]
    if isinstance(stored, dict):
        names = list(map(str, stored))
        if len(set(names)) < len(names):
            raise BadData(f"{who} holds two tensors of one name")
        return named(dict(zip(names, arrays, strict=True)), asked, who)
    if len(arrays) == 2 and arrays[1].ndim == 1 and len(arrays[0]) == len(arrays[1]):
        return {"train": Raw(arrays[0], None if asked.label == NONE else arrays[1])}
    return {"train": from_list(arrays, who)}


def _items(stored: Any, who: str) -> list[Tensor]:
    """The tensors of a list or a dictionary. Raises: BadData where there are none, or others."""
    items: list[Any] = []
    if isinstance(stored, dict):
        items = list(stored.values())
    elif isinstance(stored, list | tuple):
        items = list(stored)
    if not items or not all(isinstance(item, Tensor) for item in items):
        raise BadData(f"{who} holds a {type(stored).__name__}; expected a tensor, or several")
    return items


def _must_be_bearable(items: Sequence[Tensor], content: bytes, who: str) -> None:
    """Raises: BadData where the tensors are far larger than what is stored of them, as a number
    that is spread over a million rows is, or of a kind that numpy has not.
    """
    size = sum(item.numel() * item.element_size() for item in items)
    if size > max(LIMIT, len(content)):
        raise BadData(f"{who} unpacks to {size:,} bytes; at most {LIMIT:,} are read")
    for item in items:
        if item.dtype not in PLAIN or item.device.type != "cpu" or item.is_nested:
            raise BadData(
                f"{who} holds a tensor of {item.dtype} on {item.device}; expected real numbers"
            )


def _loaded(content: bytes, who: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for what it does not load
        words = str(error).partition("\n")[0].partition(". ")[0]
        raise BadData(f"{who} holds more than tensors, or is damaged ({words})") from None


def _array(tensor: Tensor) -> Array:
    dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    dense = dense.resolve_neg()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
