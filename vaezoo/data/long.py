"""Long tables: one row a step, one sequence an id."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import BadData
from .formats import Array
from .raw import Raw, from_list

if TYPE_CHECKING:
    import pandas as pd


def numbers_of(table: "pd.DataFrame") -> Array:
    """The cells as float64, NaN where nothing is."""
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def sequences(table: "pd.DataFrame", values: list[str], label: str, who: str) -> Raw:
    """One sequence an id, in the order of time."""
    table = table.assign(time=_ordered(table["time"], who))
    twice = table.duplicated(["id", "time"])
    if twice.any():
        first: Mapping[Any, Any] = table[twice].iloc[0].to_dict()
        raise BadData(f"{who}: id {first['id']} has the time {first['time']} twice")

    table = table.sort_values(["id", "time"], kind="stable")
    groups = [rows for _, rows in table.groupby("id", sort=True)]
    raw = from_list([numbers_of(rows[values]) for rows in groups], who)
    ids = tuple(rows["id"].iloc[0] for rows in groups)
    raw = replace(raw, ids=ids, rows=tuple(map(str, ids)))
    if not label:
        return raw
    for rows in groups:
        if rows[label].nunique() != 1:
            raise BadData(f"{who}: id {rows['id'].iloc[0]} has several labels; a sequence has one")
    return replace(raw, labels=np.asarray([rows[label].iloc[0] for rows in groups]))


def _ordered(time: "pd.Series[Any]", who: str) -> "pd.Series[Any]":
    """Times as numbers or dates, which have an order: as text, 10 would come before 9."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(time) or pd.api.types.is_datetime64_any_dtype(time):
        return time
    dates = pd.to_datetime(time, errors="coerce", format="ISO8601", utc=True)
    if not dates.isna().any():
        return dates
    bad = pd.to_numeric(time, errors="coerce").isna()
    # among numbers the word, else what is no date
    bad = bad if bad.any() and not bad.all() else dates.isna()
    row = int(np.argmax(bad))
    raise BadData(
        f"{who}, column 'time' has {time.iloc[row]!r} in row {row}; expected numbers, "
        "or dates such as 2024-12-31T23:59"
    )
