"""The card of a data set: all that a reader of a table must know of the data, ready for JSON."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from ..columns import WORDED
from .columns import Column
from .data import SPLITS, Data
from .reader import Reader

SHOWN = 12  # words of a column
TYPES = {
    "number": "number",
    "amount": "amount above 0",
    "count": "count",
    "yesno": "yes or no",
    "category": "category",
    "ordinal": "ordinal",
}


def card_of(data: Data) -> dict[str, object]:
    """Sizes, values, source, licence, processing and hashes by their names in plain words; lists,
    strings and numbers only.
    """
    spec = data.spec
    card = data.card
    facts = {
        "data set": data.name,
        "title": card.title,
        "shape": list(spec.shape),
        "likelihood": spec.likelihood,
        "classes": spec.classes,
        "sizes": {split: list(data.split(split).shape) for split in SPLITS},
    }

    values = {
        "binarised anew in every minibatch": spec.is_dynamic,
        "has gaps": spec.has_gaps,
        "times": _times_in_words(spec.times),
        "log p(x) is known": data.exact is not None,
        "test rows that are in train too": data.duplicates,
    }
    if not spec.times:
        del values["times"]
    origin = {
        "source": card.source,
        "licence": card.licence,
        "processing": card.processing,
        "notes": list(card.notes),
    }
    hashes = {"SHA-256": dict(data.hashes), "SHA-256 of the split": data.split_hash}
    return facts | _own(data) | origin | values | hashes


def _times_in_words(times: tuple[float, ...]) -> str:
    if not times:
        return ""
    gaps = [later - before for before, later in pairwise(times)] or [0.0]
    return (
        f"{len(times)} from {times[0]:.4g} to {times[-1]:.4g}, {min(gaps):.3g} to {max(gaps):.3g} "
        "apart; a variant without the tag `times` reads the steps as equally spaced"
    )


def _own(data: Data) -> dict[str, object]:
    """Of a table its columns, with the type that their values look like; its labels."""
    reader = data.reader
    if reader is None:
        return {}
    facts: dict[str, object] = {}
    if reader.columns:
        facts["columns"] = _mixed_columns(data, reader)
    elif reader.names and not data.spec.is_image:
        facts["columns"] = _columns(data, reader)
    if reader.label and data.labels:
        names = reader.classes or tuple(map(str, range(data.spec.classes)))
        facts[f"label {reader.label!r}"] = _labels_in_words(data.labels, names)
    if reader.left_out:
        facts["left out"] = list(reader.left_out)
    return facts


def _mixed_columns(data: Data, reader: Reader) -> dict[str, str]:
    both = zip(reader.columns, _as_given(data, reader).T, strict=True)
    return {column.name: mixed_column_in_words(column, cells) for column, cells in both}


def _columns(data: Data, reader: Reader) -> dict[str, str]:
    columns = _as_given(data, reader).flatten(0, -2).T  # (D, n)
    lacking = "gaps or padding" if data.spec.is_sequence else "gaps"
    pairs = zip(reader.names, columns, strict=True)
    return {name: column_in_words(column, lacking) for name, column in pairs}


def _as_given(data: Data, reader: Reader) -> Tensor:
    """The rows of all splits, (N, …), in the units of the file."""
    return torch.cat([reader.back(data.split(split)) for split in SPLITS])


def _labels_in_words(labels: Mapping[str, Tensor], names: tuple[str, ...]) -> str:
    """How many rows each class has; first, how many have none."""
    y = torch.cat([labels[split] for split in SPLITS])
    counts = y[y >= 0].bincount(minlength=len(names)).tolist()
    shown = [f"{name} ({n})" for name, n in zip(names, counts, strict=True)]
    if (y < 0).any():
        shown.insert(0, f"none ({int((y < 0).sum())})")
    return ", ".join(shown[:20]) + ", …" * (len(shown) > 20)


def mixed_column_in_words(column: Column, cells: Tensor) -> str:
    """The type of a mixed table's column, its words or its range, and how many cells (n,) are
    lacking.
    """
    there = cells[~cells.isnan()]
    lacking = len(cells) - len(there)
    gaps = f"; {lacking} gaps" if lacking else ""
    called = TYPES[column.type]
    if column.type not in WORDED:
        # what was standardised comes back to a few parts in ten million of the largest
        low, high = (v if abs(v) > 1e-6 * there.abs().max() else 0.0 for v in there.aminmax())
        return f"{called}, {float(low):.6g} … {float(high):.6g}{gaps}"
    rows = torch.bincount(there.long(), minlength=len(column.words)).tolist()
    shown = [f"{word} ({n})" for word, n in zip(column.words, rows, strict=True)][:SHOWN]
    more = f" and {len(column.words) - SHOWN} more" if len(column.words) > SHOWN else ""
    between = " < " if column.type == "ordinal" else ", "
    return f"{called}: {between.join(shown)}{more}{gaps}"


def column_in_words(column: Tensor, called: str = "gaps") -> str:
    """What the values of a column (n,), NaN for a gap, look like: yes or no, whole numbers, amounts
    or numbers; their range; how many are lacking.
    """
    there = column[~column.isnan()]
    lacking = len(column) - len(there)
    gaps = f", {lacking} {called}" if lacking else ""
    if not len(there):
        return f"nothing{gaps}"
    low = float(there.min())
    high = float(there.max())
    # what was standardised comes back to a few parts in ten million
    nearest = there.round()
    are_whole = bool(((there - nearest).abs() <= 1e-6 * there.abs().max().clamp_min(1)).all())
    near_zero = 1e-6 * max(abs(low), abs(high))
    low = 0.0 if abs(low) <= near_zero else low
    high = 0.0 if abs(high) <= near_zero else high
    if are_whole:
        low = round(low)
        high = round(high)
    if are_whole and {low, high} == {0, 1}:
        kind = "yes or no"
    elif are_whole:
        kind = "counts" if low > -0.5 else "whole numbers"
    else:
        kind = "amounts" if low > 0 else "numbers"
    if low == high:
        kind = "one value"
    return f"{kind}, {low:.6g} … {high:.6g}{gaps}"
