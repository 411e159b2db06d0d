"""A user's table of mixed columns: numbers, amounts, counts, yes or no, categories, ordinals, with
gaps.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ...hooks import hookimpl, tags
from ..asked import Asked
from ..data import Card, Data
from ..files import BadData
from ..own_table import own_table
from ..reading import TABLES, kind_of, read_columns

Said = Literal["auto", "true", "false"]


@tags("user")
def table(
    path: str,
    types: str = "",
    columns: str = "",
    label: str = "",
    id: str = "",
    drop: str = "",
    missing: str = "",
    gaps: bool = False,
    header: Said = "auto",
    index: Said = "auto",
    separator: Literal["auto", "comma", "semicolon", "tab", "bar", "space"] = "auto",
    decimal: Literal["auto", "point", "comma"] = "auto",
    encoding: str = "auto",
) -> Data:
    """Your own table with words, counts and gaps: every column has a law of its own type.

    From .csv, .tsv, .txt or .parquet. Types are guessed, see `vaezoo data FILE`. `types` overrules,
    such as types=age:number+grade:low<middle<high: number, amount (above 0), count, yesno,
    category, ordinal, or the words of an ordinal from the lowest on. `columns` names those that are
    read, `drop` those that are not, `id` the one that names rows, `label` that of the classes (none
    for none), which is no part of x; several are joined by +. Empty cells are gaps, and what
    `missing` names, such as missing=unknown+-999; none: nothing else. Words such as NA or none are
    gaps among numbers, and asked about among words. `gaps` trains a model of a table without gaps
    so that it can read them. The rest says how a text is laid out, as in `arrays`.

    Raises: MissingData, BadData.
    """
    file = Path(path).expanduser()
    if kind_of(file) not in TABLES:
        raise BadData(
            f"{path} is no table: mixed columns are read from {', '.join(TABLES)}, and arrays[path="
            "…] reads other files"
        )
    said = Asked(
        label, id, drop, header, index, separator, decimal, encoding, columns,
        missing, types=types, is_mixed=True,
    )  # fmt: skip
    return own_table(
        read_columns(file, said)["train"],
        path,
        Card(file.name, f"the user's file {path}", "the user's own", ""),
        gaps,
        marked=said.says_no_marks,
    )


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [table]
