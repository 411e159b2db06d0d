"""Tables: a vector a row; with the columns `id` and `time` one step a row, one sequence an id."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .asked import AUTO, NONE, Asked
from .coding import as_numbers
from .dialect import Dialect, decoded, dialect_of, rows_of
from .files import BadData
from .formats import Array
from .long import in_text, numbers_of, sequences
from .mixed import mixed, must_hold_marks, with_gaps
from .parsed import parsed
from .raw import Raw
from .reader import must_name_alike

if TYPE_CHECKING:
    import pandas as pd

ENOUGH = 10  # rows from which a first column of 0, 1, 2 … is taken for an index
EXACT = 2**53  # up to which float64 has every whole number


def from_text(content: bytes, asked: Asked, who: str) -> Raw:
    """The rows of a text of separated values. Raises: BadData."""
    text = decoded(content, asked.encoding, who)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # a line that spreadsheets write
        text = rest
    dialect = dialect_of(text, asked, who)
    rows = rows_of(text, dialect.separator)
    names = rows.pop(0) if dialect.has_header else [f"c{i}" for i in range(len(rows[0]))]
    names = _as_wide_as_rows(names, rows, asked, who)
    table = _trimmed(parsed(rows, names, dialect, asked, who), who)
    raw = from_table(table, who, asked)
    return replace(raw, words=_in_words(dialect) + raw.words)


def _in_words(dialect: Dialect) -> tuple[str, ...]:
    """What was recognised that another reader might have read otherwise."""
    words = []
    if not dialect.has_header:
        words.append("no line of names: columns are called c0, c1, …")
    if dialect.separator != "comma":
        words.append(f"columns separated by {dialect.separator}")
    if dialect.decimal == "comma":
        words.append("decimal commas")
    return tuple(words)


def _as_wide_as_rows(names: list[str], rows: list[list[str]], asked: Asked, who: str) -> list[str]:
    """The names, one a column. Raises: BadData where a row has more fields, or fewer."""
    if asked.index.lower() == "true" and rows and len(names) == len(rows[0]) - 1:
        names = ["", *names]
    for i, row in enumerate(rows):
        if len(row) != len(names):
            remedy = (
                "; if the first column names the rows say index=true"
                if i == 0 and len(row) == len(names) + 1 > 2
                else ""
            )
            raise BadData(
                f"{who} has {len(names)} columns by its first line, and {len(row)} values in row "
                f"{i} (counted from 0){remedy}"
            )
    return names


def _trimmed(table: "pd.DataFrame", who: str) -> "pd.DataFrame":
    """Without columns that have neither name nor values: lines that end with a separator."""
    while len(table.columns) > 1 and table.columns[-1] == "" and table.iloc[:, -1].isna().all():
        table = table.iloc[:, :-1]
    for i, name in enumerate(table.columns[1:], 1):
        if name == "":
            raise BadData(f"{who}: column {i} (counted from 0) has no name; give it one")
    return table


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for."""

    values: list[str]
    label: str  # "" for none
    keys: list[str]  # of a long table: which sequence, and which step
    left_out: tuple[str, ...]


def from_table(table: "pd.DataFrame", who: str, asked: Asked | None = None) -> Raw:
    """The rows of a table as vectors, or as sequences where it has the columns id and time.

    Raises: BadData.
    """
    asked = asked or Asked()
    table = table.rename(columns=str)
    asked = _of_what_is_there(table, asked)
    _must_have(table, asked, who)
    table, rows, words = _without_index(table, asked, who)
    roles = _roles(table, asked, who)
    if asked.is_mixed:
        table = _marked_label(table, roles.label, asked, who)
    _must_be_values(table, roles, asked.is_mixed, who)

    if roles.keys:
        named = table.rename(columns={roles.keys[0]: "id"})
        raw = sequences(named, roles.values, roles.label, who, asked.times)
        asked = replace(asked, times=in_text(raw.times))
    else:
        raw = _vectors(table, roles, rows, asked, who)
    return replace(
        raw,
        names=tuple(roles.values),
        label=roles.label,
        left_out=roles.left_out,
        table=asked.said(),
        words=words,
    )


def _vectors(
    table: "pd.DataFrame", roles: Roles, rows: tuple[str, ...], asked: Asked, who: str
) -> Raw:
    """A vector a row, with the names of the rows."""
    if asked.times:
        raise BadData(f"times={asked.times} is for a long table, and {who} has no id and time")
    if asked.id:
        rows = tuple(table[asked.id].astype(str))
        _must_name_rows(rows, asked.id, who)
    values = table[roles.values]
    raw = mixed(values, asked, who) if asked.is_mixed else Raw(numbers_of(values))
    return replace(raw, labels=_labels(table, roles.label), rows=rows)


def _marked_label(table: "pd.DataFrame", label: str, asked: Asked, who: str) -> "pd.DataFrame":
    """The table with the marks in its label as gaps; those of its values are, see `mixed`.

    Raises: BadData for a mark that no cell holds.
    """
    if not asked.known:
        must_hold_marks(table, asked.marks, who)
    if not label:
        return table
    return table.assign(**{label: with_gaps(table[[label]], asked.marks)[label]})


def _must_name_rows(names: tuple[str, ...], id: str, who: str) -> None:
    """Raises: BadData where the column `id` names a row of several as those of a long table do."""
    several = len(names) - len(set(names))
    if several > len(names) / 2:
        raise BadData(
            f"{who}, column {id!r} has {len(set(names))} names for {len(names)} rows: if it tells "
            "sequences apart call the column of their steps time, else say drop=" + id
        )


def _roles(table: "pd.DataFrame", asked: Asked, who: str) -> Roles:
    label = "" if asked.label == NONE else asked.label or ("label" if "label" in table else "")
    is_long = "time" in table and ("id" in table or bool(asked.id))
    keys = [asked.id or "id", "time"] if is_long else []
    aside = {*keys, *asked.dropped, label, asked.id}
    if asked.chosen:
        aside |= {str(name) for name in table} - {*asked.chosen}
    if asked.label == NONE:
        aside.add("label")
    values = [str(name) for name in table if name not in aside]
    if asked.names:  # of the table that was trained on
        must_name_alike(values, asked.names, who)
        values = list(asked.names)
    left_out = [str(name) for name in table if name in aside and name != label]
    return Roles(values, label, keys, tuple(left_out))


def _of_what_is_there(table: "pd.DataFrame", asked: Asked) -> Asked:
    """What was said of another table, as far as it is of this one."""
    if not asked.names:
        return asked
    return replace(
        asked,
        label=asked.label if asked.label in (*table, NONE) else "",
        id=asked.id if asked.id in table else "",
        columns="+".join(name for name in asked.chosen if name in table),
        drop="+".join(name for name in asked.dropped if name in table),
        index=asked.index if str(table.columns[0]) not in asked.names else "false",
    )


def _must_have(table: "pd.DataFrame", asked: Asked, who: str) -> None:
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise BadData(f"{who} has two columns called {twice[0]!r}; give each a name of its own")
    wanted = {"label": asked.label, "id": asked.id}
    several = [("drop", name) for name in asked.dropped]
    several += [("columns", name) for name in asked.chosen]
    for option, name in [*wanted.items(), *several]:
        if name and name not in table and not (option == "label" and name == NONE):
            known = ", ".join(map(str, table)) or "none"
            raise BadData(f"{option}={name}: {who} has no such column; it has {known}")


def _without_index(
    table: "pd.DataFrame", asked: Asked, who: str
) -> "tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]":
    """The table without a first column that only names or counts its rows; their names; words."""
    first = str(table.columns[0]) if len(table.columns) else "x"
    is_unnamed = first == "" or first.startswith("Unnamed: 0")
    counts = _counts_rows(table[first]) if first in table else False
    says = asked.index.lower()
    if says == "true" or (says == AUTO and is_unnamed and counts):
        named = f"the column {first!r}" if first else "the first column, without a name,"
        return table.drop(columns=first), tuple(table[first].astype(str)), (
            f"{named} names the rows",)  # fmt: skip
    if says == AUTO and is_unnamed:
        raise BadData(
            f"{who}: the first column has no name; say index=true if it names the rows, "
            "or give it one"
        )
    is_spoken_for = first in (asked.id, asked.label, *asked.dropped, "id", "time", "label")
    if says == AUTO and counts and len(table) >= ENOUGH and not is_spoken_for:
        raise BadData(
            f"{who}: the first column, {first!r}, counts the rows; say index=true if it is no "
            "value to be modelled, or index=false"
        )
    return table, (), ()


def _counts_rows(column: "pd.Series[Any]") -> bool:
    """Whether it is 0, 1, 2 … or 1, 2, 3 …"""
    if column.dtype.kind not in "iu" or not len(column):
        return False
    values = column.to_numpy()
    return values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def _must_be_values(table: "pd.DataFrame", roles: Roles, is_mixed: bool, who: str) -> None:
    alone = [name for name in ("id", "time") if name in roles.values]
    if alone and not roles.keys:
        remedy = "; say id=NAME for the column that tells them apart, or drop=time"
        if alone == ["id"]:
            remedy = "; say id=id if it names the rows"
        raise BadData(
            f"{who} has the column {alone[0]} alone; a table of sequences has both id and "
            f"time{remedy}"
        )
    if not roles.values:
        raise BadData(
            f"{who} has no column of values; its columns are {', '.join(map(str, table)) or 'none'}"
        )
    if not len(table):
        raise BadData(f"{who} has no rows")
    if is_mixed and roles.keys:
        raise BadData(
            f"{who} has the columns {' and '.join(roles.keys)}, as tables of sequences have; "
            "drop=time reads a row at a time, and arrays[path=…] reads sequences of numbers"
        )
    must_be = _must_be_kept_apart if is_mixed else _must_be_numbers
    for column in roles.values:
        must_be(table[column], column, f"{who}, column {column!r}")
    for key in [*roles.keys, *([roles.label] if roles.label else [])]:
        if table[key].isna().any():
            raise BadData(f"{who}: row {int(np.argmax(table[key].isna()))} has no {key}")


def _labels(table: "pd.DataFrame", label: str) -> Array | None:
    return np.asarray(table[label]) if label else None


def _must_be_kept_apart(column: "pd.Series[Any]", name: str, who: str) -> None:
    """Raises: BadData for whole numbers of which float64 does not tell all apart."""
    if column.dtype.kind not in "iu" or not len(column):
        return
    farthest = max(int(column.min()), int(column.max()), key=abs)  # abs of int64 may be below zero
    if abs(farthest) > EXACT:
        raise BadData(
            f"{who} has whole numbers such as {farthest}, which floating point does not "
            f"keep apart; say id={name} if they name the rows, or drop={name}"
        )


def _must_be_numbers(column: "pd.Series[Any]", name: str, who: str) -> None:
    import pandas as pd

    if len(column) and column.isna().all():
        raise BadData(f"{who} has no values at all; say drop={name} to leave it out")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return _must_be_kept_apart(column, name, who)
    bad = column[as_numbers(column).isna() & column.notna()]
    example = (
        f"; the first that is none is {bad.iloc[0]!r} in row {column.index.get_loc(bad.index[0])}"
        if len(bad)
        else ""
    )
    raise BadData(
        f"{who} is of type {column.dtype}, expected numbers{example}; say label={name} if it is "
        f"the label, or drop={name} to leave it out"
    )
