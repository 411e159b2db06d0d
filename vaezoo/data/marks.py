"""Numbers that mark a gap in a user's file, such as -999."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .files import BadData
from .raw import Raw

# Numbers that tables write for "not measured".
MARKS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0)
FAR = 5.0  # times the range of the other values, from where such a number is taken for a mark


def must_hold_no_marks(train: Tensor, raw: Raw, who: str) -> None:
    """Raises: BadData where a column holds -999 or the like, far from its other values."""
    values = train.double()
    # (D, marks): of a million columns mostly none is looked at
    held = torch.stack([(values == mark).any(0) for mark in MARKS], 1)
    for i, which in held.nonzero().tolist():
        column = values[:, i]
        mark = MARKS[which]
        is_mark = column == mark
        others = column[~is_mark & ~column.isnan()]
        if not len(others):
            continue
        spread = float(others.max() - others.min())
        gap = max(float(others.min()) - mark, mark - float(others.max()))
        if gap > FAR * spread and gap > 1:
            name = repr(raw.names[i]) if raw.names else str(i)
            raise BadData(
                f"{who}, column {name} has {mark:g} in {int(is_mark.sum())} rows, far from "
                f"all other values; if it marks a gap say missing={mark:g}, else missing=none"
            )


def must_be_held(marks: tuple[float, ...], raw: Mapping[str, Raw], who: str) -> None:
    """Raises: BadData for a mark of a gap that no value is: it was written otherwise."""
    for mark in marks:
        if not any(bool((part.x == mark).any()) for part in raw.values()):
            raise BadData(
                f"missing={mark:g}: no value of {who} is it; write it as it stands in the file"
            )
