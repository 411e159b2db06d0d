"""A user's own data: arrays or a table in a file, checked value by value before any training
starts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ...hooks import hookimpl, tags
from ..asked import Asked
from ..data import Card, Data
from ..files import BadData
from ..own import Auto, own_data
from ..reading import read_columns

Kind = Literal["auto", "vector", "image", "sequence"]
Said = Literal["auto", "true", "false"]
Channels = Literal["auto", "first", "last"]
Levels = Annotated[int, Field(ge=0)]


@tags("user")
def arrays(
    path: str,
    likelihood: str = "auto",
    kind: Kind = "auto",
    gaps: bool = False,
    standardise: bool | Auto = "auto",
    levels: Levels = 0,
    missing: str = "",
    channels: Channels = "auto",
    label: str = "",
    id: str = "",
    drop: str = "",
    header: Said = "auto",
    index: Said = "auto",
    separator: Literal["auto", "comma", "semicolon", "tab", "bar", "space"] = "auto",
    decimal: Literal["auto", "point", "comma"] = "auto",
    encoding: str = "auto",
    times: str = "",
) -> Data:
    """Your own data: .csv, .tsv, .parquet, .npy, .npz, .pt, a folder of pictures or recordings.

    `gaps` allows NaN, for padding and missing entries. `standardise` is on for real columns of
    vectors and sequences; samples, codes and filled gaps are in the file's units all the same.
    `levels` is how many values an entry can take, for likelihoods on levels; 0 reads it from the
    data. `missing` is a number that marks a gap, such as -999, or several joined by +; none: none.
    `channels` says where those of images stand.

    `label` names the column (or array) of labels, none for none; `id` the one that names rows, and
    `drop` those to leave out, joined by +. How a text is laid out is recognised, or asked about:
    `header` and `index` say whether the first line and the first column hold names, `separator`,
    `decimal` and `encoding` the rest. Of a long table `times=true` puts steps at their times, one
    for each time that any id has, with a gap where an id has none; else they are in its order.

    Raises: MissingData, BadData.
    """
    asked = Asked(label, id, drop, header, index, separator, decimal, encoding, times=times)
    return own_data(
        read_columns(Path(path).expanduser(), asked),
        path,
        Card(Path(path).name, f"the user's file {path}", "the user's own", ""),
        likelihood=likelihood,
        kind=kind,
        gaps=gaps,
        standardise=standardise,
        levels=levels,
        missing=_marks(missing),
        channels=channels,
    )


def _marks(text: str) -> tuple[float, ...] | None:
    if text.lower() == "none":
        return None
    try:
        return tuple(float(word) for word in text.split("+") if word)
    except ValueError:
        raise BadData(
            f"missing={text}: expected a number that marks a gap, several joined by +, or none"
        ) from None


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [arrays]
