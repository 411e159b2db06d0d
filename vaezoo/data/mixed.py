"""The rows of a table whose columns are of several types, words and gaps among them."""

from typing import TYPE_CHECKING, Any

import torch

from .asked import Asked
from .coding import as_words, coded
from .columns import Column
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
    table = _with_gaps(table, asked.marks)
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


def _with_gaps(table: "pd.DataFrame", marks: tuple[str, ...]) -> "pd.DataFrame":
    """The table with its marks of gaps, and words of nothing but spaces, as gaps; a column whose
    other cells are numbers is one of numbers.
    """
    import pandas as pd

    found = {}
    for name in table:
        cells = table[name]
        if marks or cells.dtype == object:
            is_mark = as_words(cells).isin([*marks, ""])
            cells = cells.where(~is_mark, None) if is_mark.any() else cells
        found[name] = _as_numbers(cells) if marks else cells
    return pd.DataFrame(found)


def _as_numbers(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    try:
        return pd.to_numeric(cells)
    except (ValueError, TypeError):
        return cells
