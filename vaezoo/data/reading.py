"""A user's own arrays as they stand in a file: .npy, .npz, .csv or .parquet, before any check of
their values.

A table is a vector a row; with the columns `id` and `time` it is long: one row a step, one sequence
an id. A column `label` is the label. In an .npz the arrays are called train, validation and test,
with train_labels and so on, or x and labels; arrays that `numpy.savez` was given without names
(arr_0, arr_1 …) are a list of sequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .data import SPLITS
from .files import BadData, MissingData
from .formats import Array, npy, npz
from .words import cut

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Raw:
    """One split of a user's data: x (N, …) and the labels, if any."""

    x: Array
    labels: Array | None = None
    is_sequence: bool = False  # known to be sequences, whatever its shape
    # of padded sequences: NaN from there on is padding, before it a gap
    lengths: Array | None = None
    ids: tuple[Any, ...] = ()  # of the sequences of a table
    names: tuple[str, ...] = ()  # of the columns of a table
    label: str = ""  # the column of a table that held the labels
    left_out: tuple[str, ...] = ()  # columns of a table that are not x
    table: Mapping[str, str] = field(default_factory=dict)  # how its text was read
    words: tuple[str, ...] = ()  # what was recognised, for the card


def read_columns(path: Path) -> dict[str, Raw]:
    """The arrays by split: at least "train".

    Raises: MissingData, BadData.
    """
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise BadData(
            f"{path} ends in {path.suffix or 'nothing'!r}; "
            f"arrays are read from {', '.join(readers)}"
        )
    if not path.is_file():
        raise MissingData(f"there is no file {path}; path= names a {', '.join(readers)} file")
    if not path.stat().st_size:
        raise BadData(f"{path} is empty")
    return readers[path.suffix.lower()](path)


def _npy(path: Path) -> dict[str, Raw]:
    return {"train": Raw(npy(path.read_bytes(), str(path)))}


def _npz(path: Path) -> dict[str, Raw]:
    arrays = npz(path.read_bytes(), str(path))
    if set(arrays) == {"arr_0"}:
        return {"train": Raw(arrays["arr_0"])}
    if arrays and all(name.startswith("arr_") for name in arrays):
        return {"train": from_list([arrays[f"arr_{i}"] for i in range(len(arrays))], str(path))}

    # named arrays: x and its labels, or splits and theirs
    known = {"x", "labels", *SPLITS, *(f"{split}_labels" for split in SPLITS)}
    if not {"x", "train"} & set(arrays) or set(arrays) - known:
        raise BadData(
            f"{path} holds {cut(', '.join(sorted(arrays))) or 'nothing'}; expected train (or x), "
            f"of {', '.join(sorted(known))}"
        )
    if "x" in arrays and set(arrays) & set(SPLITS):
        raise BadData(
            f"{path} holds x and splits; give either x, to be split here, or train, "
            "validation and test"
        )
    if "x" in arrays:
        return {"train": Raw(arrays["x"], arrays.get("labels"))}
    return {
        split: Raw(arrays[split], arrays.get(f"{split}_labels"))
        for split in SPLITS
        if split in arrays
    }


def from_list(sequences: list[Array], who: str) -> Raw:
    """Sequences (T_i, C) as one array (N, T, C), padded to the longest.

    Raises: BadData.
    """
    for i, sequence in enumerate(sequences):
        if sequence.ndim != 2:
            raise BadData(
                f"{who}: sequence {i} has shape {sequence.shape}; expected (T, C), a step a row"
            )
        if sequence.shape[1:] != sequences[0].shape[1:]:
            raise BadData(
                f"{who}: sequence {i} has shape {sequence.shape}, the first {sequences[0].shape}; "
                "expected (T, C) with one C"
            )
        if not len(sequence):
            raise BadData(f"{who}: sequence {i} has length 0; leave it out")
        if sequence.dtype.kind not in "biuf":
            raise BadData(f"{who}: sequence {i} is of type {sequence.dtype}; expected numbers")
    longest = max(map(len, sequences))
    x = np.full((len(sequences), longest, sequences[0].shape[1]), np.nan)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Raw(x, is_sequence=True, lengths=np.array([len(sequence) for sequence in sequences]))


def _csv(path: Path) -> dict[str, Raw]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    # an empty file and a wrong encoding are ValueErrors
    except (ValueError, pd.errors.ParserError) as error:
        raise BadData(
            f"{path} is no CSV file with a header ({str(error).splitlines()[0]})"
        ) from None
    return {"train": from_table(table, str(path))}


def _parquet(path: Path) -> dict[str, Raw]:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError:
        raise BadData(
            f"reading {path} needs pyarrow; install it (pip install pyarrow) or save the table as "
            ".csv"
        ) from None
    except (OSError, ValueError) as error:
        raise BadData(
            f"{path} is no Parquet file, or a damaged one ({str(error).splitlines()[0]})"
        ) from None
    return {"train": from_table(table, str(path))}


def from_table(table: "pd.DataFrame", who: str) -> Raw:
    """The rows of a table as vectors, or as sequences where it has the columns id and time.

    Raises: BadData.
    """
    keys: list[Any] = [key for key in ("id", "time") if key in table]
    values: list[Any] = [column for column in table if column not in ("id", "time", "label")]
    if len(keys) == 1:
        raise BadData(
            f"{who} has the column {keys[0]} alone; a table of sequences has both id and time"
        )
    if not values:
        raise BadData(
            f"{who} has no column of values; its columns are {', '.join(map(str, table)) or 'none'}"
        )
    if not len(table):
        raise BadData(f"{who} has no rows")
    for column in values:
        _must_be_numbers(table[column], f"{who}, column {column!r}")
    for key in [*keys, *(["label"] if "label" in table else [])]:
        if table[key].isna().any():
            raise BadData(f"{who}: row {int(np.argmax(table[key].isna()))} has no {key}")
    return _long(table, values, who) if keys else Raw(_numbers(table[values]), _labels(table))


def _numbers(table: "pd.DataFrame") -> Array:
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def _labels(table: "pd.DataFrame") -> Array | None:
    return np.asarray(table["label"]) if "label" in table else None


def _must_be_numbers(column: "pd.Series[Any]", who: str) -> None:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return
    bad = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
    example = ""
    if len(bad):
        row = column.index.get_loc(bad.index[0])
        example = f"; the first that is none is {cut(repr(bad.iloc[0]), 40)} in row {row}"
    raise BadData(f"{who} is of type {column.dtype}, expected numbers{example}")


def _long(table: "pd.DataFrame", values: list[Any], who: str) -> Raw:
    """One sequence an id, in the order of time."""
    table = table.assign(time=_ordered(table["time"], who))
    twice = table.duplicated(["id", "time"])
    if twice.any():
        first: Mapping[Any, Any] = table[twice].iloc[0].to_dict()
        raise BadData(f"{who}: id {first['id']} has the time {first['time']} twice")

    table = table.sort_values(["id", "time"], kind="stable")
    groups = [rows for _, rows in table.groupby("id", sort=True)]
    raw = from_list([_numbers(rows[values]) for rows in groups], who)
    raw = replace(raw, ids=tuple(rows["id"].iloc[0] for rows in groups))
    if "label" not in table:
        return raw
    for rows in groups:
        if rows["label"].nunique() != 1:
            raise BadData(f"{who}: id {rows['id'].iloc[0]} has several labels; a sequence has one")
    return replace(raw, labels=np.asarray([rows["label"].iloc[0] for rows in groups]))


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
