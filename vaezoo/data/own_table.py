"""A user's table of mixed columns as a data set: split, coded, with a spec that names the columns.

x is one vector a row: numbers standardised, amounts by their logarithms, counts over a power of
two, yes or no as 0 or 1, categories one-hot, ordinals as thermometers. So a network reads no order
where there is none, a gap as zeros, and the mean of x is probabilities.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ..columns import WORDED
from ..core import Spec
from .checked import Checked, checked_labels, must_be_finite
from .columns import Column
from .data import SPLITS, Card, Data
from .labels import coded_labels, in_words, unlabelled, words_of
from .marks import must_hold_no_marks
from .own import assembled, split_rows
from .raw import Raw
from .reader import Reader


def own_table(raw: Raw, who: str, card: Card, gaps: bool = False, marked: bool = False) -> Data:
    """The rows as they were read -> the data set, with its reader. `gaps` says that a model must
    read gaps though the table has none; `marked`, that numbers such as -999 are values.

    Raises: BadData.
    """
    given = _given(raw, who, marked)
    labels, classes = coded_labels(given.labels, who)
    parts, labels, split_hash = split_rows(given, labels, who)

    reader = _reader(raw, parts.values["train"], classes)
    x = {split: reader.read(part) for split, part in parts.values.items()}
    has_gaps = gaps or bool(given.values["train"].isnan().any())
    spec = replace(
        _spec(x["train"], reader, has_gaps),
        classes=len(classes),
        unlabelled=unlabelled(labels, who),
    )
    said = [*raw.words, parts.words.strip("; "), _scales(reader, x["train"]), in_words(labels)]
    words = "; ".join(filter(None, said))
    card = replace(card, processing=words, notes=_notes(reader.columns, parts))
    return assembled(f"table[path={who}]", spec, x, card, labels, split_hash, reader)


def _spec(train: Tensor, reader: Reader, has_gaps: bool) -> Spec:
    """Without what its labels say."""
    return Spec(tuple(train.shape[1:]), reader.likelihood, len(train), has_gaps=has_gaps)


def _given(raw: Raw, who: str, marked: bool) -> Checked:
    """All rows as those of train, each value looked at."""
    values = torch.from_numpy(raw.x)
    must_be_finite(values, raw, who, may_have_gaps=True)
    if not marked:
        must_hold_no_marks(values, raw, who)
    labels = checked_labels(raw, who)
    return Checked({"train": values}, {"train": labels}, "vector", "", False, "")


def _reader(raw: Raw, train: Tensor, classes: tuple[str, ...]) -> Reader:
    """Its columns fitted to the training rows (N, D)."""
    pairs = zip(raw.columns, train.T, strict=True)
    return Reader(
        names=raw.names,
        classes=words_of(classes),
        label=raw.label,
        left_out=raw.left_out,
        table=raw.table,
        columns=tuple(column.fitted(of_train) for column, of_train in pairs),
    )


def _scales(reader: Reader, train: Tensor) -> str:
    """What was done to the values, and what tables of a benchmark are in."""
    words = (
        "categories one-hot, ordinals as thermometers; counts over a power of two, numbers and "
        "the logarithms of amounts standardised with the training split's mean and deviation"
    )
    jacobian = reader.log_jacobian(train).mean()
    if not any(column.is_density for column in reader.columns):
        return words
    return (
        f"{words}: densities in tables are of that, and of the values as given {jacobian:+.4g} "
        "nats a row more in the mean of the training rows"
    )


def _notes(columns: tuple[Column, ...], parts: Checked) -> tuple[str, ...]:
    """Words that are in no training row, of which a model has learned nothing."""
    found = []
    for i, column in enumerate(columns):
        if column.type not in WORDED:
            continue
        learned = set(parts.values["train"][:, i].nan_to_num(-1).long().tolist())
        for code, word in enumerate(column.words):
            held_out = sum(int((parts.values[split][:, i] == code).sum()) for split in SPLITS[1:])
            if code not in learned and held_out:
                found.append(
                    f"{word!r} of the column {column.name!r} is in {held_out} rows, of which none "
                    "is for training: what a model says of it is a guess"
                )
    return tuple(found)
