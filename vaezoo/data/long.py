"""Long tables: one row a step, one sequence an id."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .coding import as_numbers
from .files import BadData
from .formats import Array
from .raw import Raw, from_list

if TYPE_CHECKING:
    import pandas as pd


SPARSE = 10  # times as many steps as the longest sequence has, from where almost all are gaps


def numbers_of(table: "pd.DataFrame") -> Array:
    """The cells as float64, NaN where nothing is."""
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def sequences(
    table: "pd.DataFrame", values: list[str], label: str, who: str, times: str = ""
) -> Raw:
    """One sequence an id, in the order of time; with `times`, at its times, see `at_times`."""
    table = table.assign(time=_ordered(table["time"], who))
    _must_have_a_time_once(table, who)
    table = table.sort_values(["id", "time"], kind="stable")
    groups = [rows for _, rows in table.groupby("id", sort=True)]
    if times:
        raw = at_times(groups, values, times, who)
    else:
        raw = from_list([numbers_of(rows[values]) for rows in groups], who)
    ids = tuple(rows["id"].iloc[0] for rows in groups)
    labels = _labels(groups, label, who) if label else raw.labels
    return replace(raw, ids=ids, rows=tuple(map(str, ids)), labels=labels)


def _must_have_a_time_once(table: "pd.DataFrame", who: str) -> None:
    """Raises: BadData where a sequence has two steps at one time."""
    twice = table.duplicated(["id", "time"])
    if twice.any():
        first: Mapping[Any, Any] = table[twice].iloc[0].to_dict()
        raise BadData(f"{who}: id {first['id']} has the time {first['time']} twice")


def _labels(groups: "list[pd.DataFrame]", label: str, who: str) -> Array:
    """(N,), one a sequence. Raises: BadData where one has several."""
    for rows in groups:
        if rows[label].nunique() != 1:
            raise BadData(f"{who}: id {rows['id'].iloc[0]} has several labels; a sequence has one")
    return np.asarray([rows[label].iloc[0] for rows in groups])


def at_times(groups: "list[pd.DataFrame]", values: list[str], times: str, who: str) -> Raw:
    """Sequences (N, T, C) at T times that all share, NaN where an id has no row.

    `times` is "true" for those that any id has, or the times joined by +, as a model that was
    trained on others keeps them. Dates are seconds since 1970.

    Raises: BadData for a time that is none of those, and where ids share too few.
    """
    own = [_seconds(rows["time"]) for rows in groups]
    grid = _of_any(own, who) if times.lower() == "true" else _said(times, who)
    x = np.full((len(groups), len(grid), len(values)), np.nan)
    near = 1e-6 * float(np.diff(grid).min()) if len(grid) > 1 else 1e-6
    for i, (rows, when) in enumerate(zip(groups, own, strict=True)):
        early = np.subtract(when, near)
        at = np.searchsorted(grid, early).clip(max=len(grid) - 1)
        strange = np.abs(np.subtract(grid[at], when)) > near
        if strange.any():
            raise BadData(
                f"{who}: id {rows['id'].iloc[0]} has the time {when[strange][0]:g}, and the times "
                f"of this model are {len(grid)} from {grid[0]:g} to {grid[-1]:g} without it"
            )
        x[i, at] = numbers_of(rows[values])
    return Raw(x, is_sequence=True, times=tuple(grid.tolist()))


def _of_any(own: list[Array], who: str) -> Array:
    """All times that any sequence has, (T,). Raises: BadData where each has a few of its own."""
    grid = np.unique(np.concatenate(own)).astype(np.float64)
    longest = max(map(len, own))
    if len(grid) > SPARSE * longest:
        raise BadData(
            f"{who}: its ids have {len(grid)} times between them and {longest} each at most; round "
            "the column 'time' so that they share more, or leave times=true away"
        )
    return grid


def in_usual_gaps(times: tuple[float, ...]) -> tuple[float, ...]:
    """The same from 0 on, the median gap being 1."""
    if len(times) < 2:
        return ()
    unit = float(np.median(np.diff(times)))
    return tuple((time - times[0]) / unit for time in times)


def in_text(times: tuple[float, ...]) -> str:
    """As `at_times` reads them, joined by +: 1e+20 is 1e20."""
    return "+".join(repr(time).replace("e+", "e") for time in times)


def _said(times: str, who: str) -> Array:
    try:
        grid = np.array([float(word) for word in times.split("+")])
    except ValueError:
        raise BadData(
            f"times={times}: {who} has steps at their times by times=true, or at times that are "
            "named, joined by +"
        ) from None
    if not np.isfinite(grid).all() or not (np.diff(grid) > 0).all():
        raise BadData(f"times={times}: expected times each later than the one before")
    return grid


def _seconds(time: "pd.Series[Any]") -> Array:
    """Numbers as they are, dates as seconds since 1970; float64."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(time):
        return time.to_numpy(dtype=np.float64)
    utc = pd.to_datetime(time, utc=True)
    since: Array = (utc - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64)
    return since


def _ordered(time: "pd.Series[Any]", who: str) -> "pd.Series[Any]":
    """Times as numbers or dates, which have an order: as text, 10 would come before 9."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(time) or pd.api.types.is_datetime64_any_dtype(time):
        return time
    dates = pd.to_datetime(time, errors="coerce", format="ISO8601", utc=True)
    if not dates.isna().any():
        return dates
    bad = as_numbers(time).isna()
    # among numbers the word, else what is no date
    bad = bad if bad.any() and not bad.all() else dates.isna()
    row = int(np.argmax(bad))
    raise BadData(
        f"{who}, column 'time' has {time.iloc[row]!r} in row {row}; expected numbers, "
        "or dates such as 2024-12-31T23:59"
    )
