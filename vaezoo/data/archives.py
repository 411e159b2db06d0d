"""Several arrays in one file, by their names: which is x, which the labels, of which split."""

import io
import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .asked import Asked
from .data import SPLITS
from .files import BadData
from .formats import Array
from .raw import Raw, from_list

X_NAMES = ("x", "data", "images", "features", "inputs")
Y_NAMES = ("y", "labels", "label", "targets", "target")
SPLIT_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test",
}  # fmt: skip
NONE = "none"


def named(arrays: Mapping[str, Array], asked: Asked, who: str) -> dict[str, Raw]:
    """The arrays by split, from names such as x and y, x_train and y_train, or images and labels.

    Raises: BadData.
    """
    if set(arrays) == {"arr_0"}:
        return {"train": Raw(arrays["arr_0"])}
    if arrays and all(name.startswith("arr_") for name in arrays):
        return {"train": from_list([arrays[f"arr_{i}"] for i in range(len(arrays))], who)}

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
        return {"train": Raw(_array(stored))}
    items: list[Any] = []
    if isinstance(stored, dict):
        items = list(stored.values())
    elif isinstance(stored, list | tuple):
        items = list(stored)
    if not items or not all(isinstance(item, Tensor) for item in items):
        raise BadData(f"{who} holds a {type(stored).__name__}; expected a tensor, or several")

    arrays = [_array(item) for item in items]
    if isinstance(stored, dict):
        return named(dict(zip(map(str, stored), arrays, strict=True)), asked, who)
    if len(arrays) == 2 and arrays[1].ndim == 1 and len(arrays[0]) == len(arrays[1]):
        return {"train": Raw(arrays[0], None if asked.label == NONE else arrays[1])}
    return {"train": from_list(arrays, who)}


def _loaded(content: bytes, who: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for what it does not load
        words = str(error).partition("\n")[0].partition(". ")[0]
        raise BadData(f"{who} holds more than tensors, or is damaged ({words})") from None


def _array(tensor: Tensor) -> Array:
    dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
