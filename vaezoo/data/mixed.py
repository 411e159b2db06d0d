"""The rows of a table whose columns are of several types, words and gaps among them."""

from typing import TYPE_CHECKING, Any

import torch

from .asked import Asked
from .coding import as_numbers, as_words, coded
from .columns import Column
from .dialect import MISSING
from .files import BadData
from .guess import guessed, said_types
from .raw import Raw

if TYPE_CHECKING:
    import pandas as pd


def mixed(table: "pd.DataFrame", asked: Asked, who: str) -> Raw:
    """x (N, D), numbers and codes of words, NaN for a gap, and what each column is, guessed unless
    it is known.

    Raises: BadData.
    """
    table = with_gaps(table, asked.marks)
    for name in map(str, table):
        if table[name].isna().all():
            raise BadData(
                f"{who}, column {name!r} has no values at all; say drop={name} to leave it out"
            )
    columns = asked.known or _columns(table, asked, who)
    x = coded(table, columns, who)
    for column, values in zip(columns, x.T, strict=True):
        column.must_hold(torch.from_numpy(values), f"{who}, column")
    return Raw(x, columns=tuple(columns))


def _columns(table: "pd.DataFrame", asked: Asked, who: str) -> tuple[Column, ...]:
    said = said_types(asked.types, list(map(str, table)), who)
    return tuple(guessed(table[name], name, said.get(name, ""), who) for name in map(str, table))


def with_gaps(table: "pd.DataFrame", marks: tuple[str, ...]) -> "pd.DataFrame":
    """The table with its marks of gaps, and words of nothing but spaces, as gaps; a column whose
    other cells are numbers is one of numbers.
    """
    import pandas as pd

    found = {}
    for name in table:
        cells = table[name]
        if marks or cells.dtype == object:
            is_mark = _are_marks(cells, (*marks, ""))
            cells = cells.where(~is_mark, None) if is_mark.any() else cells
        found[name] = _as_numbers(cells) if marks else cells
    return pd.DataFrame(found)


def must_hold_marks(table: "pd.DataFrame", marks: tuple[str, ...], who: str) -> None:
    """Raises: BadData for a mark that stands in no cell, but for those that every table may hold
    and that were read as gaps already.
    """
    for mark in marks:
        if mark not in MISSING and not any(
            _are_marks(table[name], (mark,)).any() for name in table
        ):
            raise BadData(
                f"missing={mark}: no cell of {who} holds it; write it as it stands in the file"
            )


def _are_marks(cells: "pd.Series[Any]", marks: tuple[str, ...]) -> "pd.Series[bool]":
    """Which cells are marks: -999 and -999.0 are one number."""
    import pandas as pd

    words = as_words(cells)
    numbers = as_numbers(pd.Series(marks, dtype=object)).dropna()
    found = words.isin(marks)
    return found | as_numbers(words).isin(numbers) if len(numbers) else found


def _as_numbers(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    try:
        return pd.to_numeric(cells)
    except (ValueError, TypeError, OverflowError):
        return cells
