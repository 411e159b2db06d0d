"""Words of a table as codes, and codes as words."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..columns import WORDED
from .columns import Column
from .files import BadData
from .formats import Array
from .reader import Reader

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 8  # words of a column in a sentence


def word_of(value: Any) -> str:
    """What stands in a cell, as one word: 1.0 and 1 are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def as_words(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The cells as words; gaps stay."""
    words = column.astype(object).where(column.notna(), None)
    return words.map(word_of, na_action="ignore")


def as_numbers(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """The cells as numbers, NaN where they are none or beyond floating point."""
    import pandas as pd

    try:
        return pd.to_numeric(cells, errors="coerce")
    except OverflowError:
        return cells.map(_number)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def coded(table: "pd.DataFrame", columns: Sequence[Column], who: str) -> Array:
    """The values of these columns (N, D), float64: numbers, and codes of words.

    Raises: BadData where a word is none of the column's, or a number is a word.
    """
    return np.stack([_codes(table[column.name], column, who) for column in columns], 1)


def _codes(cells: "pd.Series[Any]", column: Column, who: str) -> Array:
    if column.type not in WORDED:
        values = as_numbers(cells).to_numpy(dtype=np.float64, na_value=np.nan)
        _must_be_known(cells, np.isnan(values) & cells.notna().to_numpy(), column, who)
        return values
    codes = as_words(cells).map({word: float(i) for i, word in enumerate(column.words)})
    values = codes.to_numpy(dtype=np.float64, na_value=np.nan)
    _must_be_known(cells, np.isnan(values) & cells.notna().to_numpy(), column, who)
    return values


def _must_be_known(cells: "pd.Series[Any]", bad: Array, column: Column, who: str) -> None:
    if not bad.any():
        return
    row = int(np.argmax(bad))
    words = ", ".join(column.words[:SHOWN]) + (", …" if len(column.words) > SHOWN else "")
    needs = f"one of {words}" if column.type in WORDED else f"numbers (it is of type {column.type})"
    raise BadData(
        f"{who}, column {column.name!r} has {word_of(cells.iloc[row])!r} in row {row} (counted "
        f"from 0); expected {needs}: correct it, or empty the cell, which then is a gap"
    )


def worded(values: Tensor, columns: Sequence[Column]) -> "pd.DataFrame":
    """The inverse: values (N, D) as a table, its columns called by their names."""
    import pandas as pd

    found = {}
    for column, cells in zip(columns, values.double().cpu().T, strict=True):
        found[column.name] = _cells(column, cells.numpy())
    return pd.DataFrame(found)


def _cells(column: Column, values: Array) -> Any:
    """Whole numbers without a fraction, words as the file had them."""
    import pandas as pd

    is_gap = np.isnan(values)
    if column.type in WORDED:
        are_numbers = all(map(_is_plain, column.words))
        words = np.array(column.words, dtype=object)[np.where(is_gap, 0, values).astype(np.int64)]
        cells = pd.Series(words, dtype=object).where(~is_gap, None)
        return cells.map(int, na_action="ignore").astype("Int64") if are_numbers else cells
    if column.type == "count" and np.abs(values[~is_gap]).max(initial=0) < 2**53:
        return pd.Series(values).astype("Int64")
    return values


def _is_plain(word: str) -> bool:
    """Whether it is a whole number that is written again as it was: 01 is none."""
    return bool(re.fullmatch(r"-?\d{1,15}", word, re.ASCII)) and str(int(word)) == word


def again(values: Tensor, theirs: Sequence[Column], own: Sequence[Column], who: str) -> Tensor:
    """Values (N, D) by the words of one table, as those of another of the same columns.

    Raises: BadData where a column is lacking, or has other words.
    """
    lacking = [column.name for column in own if column.name not in {c.name for c in theirs}]
    if lacking:
        raise BadData(f"{who} lacks the columns {', '.join(lacking)}, which the model reads")
    return torch.from_numpy(coded(worded(values, theirs), own, who))


def as_read_by(reader: Reader, x: Tensor, own: Reader, who: str) -> Tensor:
    """x (N, *shape) of one reader as another reads the values that stand behind it, its columns in
    the order of that one.

    Raises: BadData where columns are lacking or are others, or have other words.
    """
    if own.columns == reader.columns and reader.columns:
        return x
    if reader.columns:
        return reader.read(again(own.back(x), own.columns, reader.columns, who))
    order = reader.order_of(own, who)
    if not order and (own.mean, own.deviation) == (reader.mean, reader.deviation):
        return x
    values = replace(own, layout=reader.layout).back(x)
    return reader.read(values[..., order] if order else values)
