"""Labels as numbers: 0 … classes-1 in their order, -1 for a row without a label."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .files import BadData
from .formats import Array

UNLABELLED = -1


def coded_labels(
    labels: Mapping[str, object], who: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The labels as 0 … classes-1, in their order, and what the classes are called."""
    given = {split: np.asarray(y) for split, y in labels.items() if y is not None}
    if not given:
        return {}, ()
    if len(given) < len(labels):
        raise BadData(
            f"{who} has labels for {', '.join(given)} only; give them for every split or for none"
        )
    if len({y.dtype.kind in "SU" for y in given.values()}) > 1:
        raise BadData(f"{who} has words as labels in one split and numbers in another")

    names, codes = _coded(np.concatenate(list(given.values())), who)
    _must_be_classes(names, int((codes >= 0).sum()), who)
    parts = torch.from_numpy(codes.astype(np.int64)).split([len(y) for y in given.values()])
    return dict(zip(given, parts, strict=True)), tuple(map(str, names))


def _coded(labels: Array, who: str) -> tuple[Array, np.typing.NDArray[np.int64]]:
    """The classes in their order, and the place of each label (N,) among them, or -1."""
    names, codes = np.unique(labels, return_inverse=True)
    at = _place_of_none(names, who)
    if at is None:
        return names, codes
    return np.delete(names, at), np.where(codes == at, UNLABELLED, codes - (codes > at))


def _place_of_none(names: np.typing.NDArray[np.generic], who: str) -> int | None:
    """Where -1 stands among the labels, if it is no class: it marks rows without a label, as a
    number or among words, but for the two classes -1 and 1.

    Raises: BadData where it could be either.
    """
    found = [str(name) for name in names.tolist()]
    if str(UNLABELLED) not in found or sorted(found) == ["-1", "1"]:
        return None
    if sorted(found) == ["-1", "0", "1"]:
        raise BadData(
            f"{who} has the labels -1, 0 and 1: where -1 is a class write the classes as words, "
            "where it is no label write 1 and 2 for the others; or say label=none"
        )
    return found.index(str(UNLABELLED))


def _must_be_classes(names: np.typing.NDArray[np.generic], rows: int, who: str) -> None:
    """The classes, and how many rows have one."""
    found = names.tolist()
    if not found:
        raise BadData(f"{who} has no row with a label; say label=none")
    if len(found) == 1:
        raise BadData(
            f"{who} has one class only, {found[0]!r}: labels of it tell nothing; "
            "say label=none to read the rows without them"
        )
    if len(found) == rows and rows > 20:
        raise BadData(
            f"{who} has {rows} rows and as many different labels; they are names of rows, "
            "not classes: say label=none to read the rows without them"
        )


def unlabelled(coded: Mapping[str, Tensor], who: str) -> int:
    """How many training rows have no label.

    Raises: BadData where a split has rows without a label and the training rows have none such, or
    where no row of a split has one.
    """
    lacking = {split: y < 0 for split, y in coded.items() if (y < 0).any()}
    if lacking and "train" not in lacking:
        raise BadData(
            f"{who} has rows labelled -1 in {', '.join(lacking)} and none to train on; leave them "
            "out"
        )
    for split, none in lacking.items():
        if none.all():
            raise BadData(f"{who} ({split}) has no row with a label; label some, or label=none")
    return int(lacking["train"].sum()) if lacking else 0


def as_numbered_by(
    classes: tuple[str, ...], labels: Tensor, own: tuple[str, ...], who: str
) -> Tensor:
    """Labels (N,) that count the names `own`, as they count the names `classes` of another data
    set; -1 stays.

    Raises: BadData where a label is none of its classes.
    """
    if own == classes:
        return labels
    places = [classes.index(name) if name in classes else None for name in own]
    for i in labels[labels >= 0].unique().tolist():
        if places[i] is None:
            raise BadData(
                f"{who} has rows of the class {own[i]!r}, and this model knows "
                f"{', '.join(classes)}; say label=none to read the rows without their labels"
            )
    table = torch.tensor([UNLABELLED if at is None else at for at in places] + [UNLABELLED])
    return table[labels]  # -1 is the last


def words_of(classes: tuple[str, ...]) -> tuple[str, ...]:
    """What the classes are called; nothing where that is 0, 1, 2 …, as they are coded."""
    are_numbered = classes == tuple(map(str, range(len(classes))))
    return () if are_numbered else classes


def in_words(coded: Mapping[str, Tensor]) -> str:
    """What a card says of rows without a label."""
    lacking = sum(int((y < 0).sum()) for y in coded.values())
    return f"{lacking} rows labelled -1 have no label" if lacking else ""
