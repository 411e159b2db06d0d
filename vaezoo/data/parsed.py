"""The fields of a text as a table of pandas: numbers as numbers, gaps as NaN.

A word such as NA or none among numbers is a gap. In a column of words it may be a word as well, the
lowest of none, mild, severe or a country, and where mixed columns are read it is asked about.
"""

import io
import re
from typing import TYPE_CHECKING

from .asked import DECIMALS, Asked
from .dialect import MISSING, Dialect
from .files import BadData

if TYPE_CHECKING:
    import pandas as pd

SURE = (
    "",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "<NA>",
    "#N/A",
    "#N/A N/A",
    "#NA",
)  # gaps wherever they stand
BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1f\x85\u2028\u2029]\s*")  # ends of lines, ours of fields
DOUBTFUL = tuple(word for word in MISSING if word not in SURE)


def parsed(
    rows: list[list[str]], names: list[str], dialect: Dialect, asked: Asked, who: str
) -> "pd.DataFrame":
    """The table of these fields.

    Raises: BadData where a word of a mixed table may mark a gap or be one of its column's words.
    """
    import pandas as pd

    lines = "\n".join("\x1f".join(map(_one_line, row)) for row in rows)
    table = _read(lines, len(names), dialect, MISSING)
    if asked.is_mixed and rows:
        careful = _read(lines, len(names), dialect, SURE)
        for i, name in enumerate(names):
            words = careful[i]
            doubt = words.isin(DOUBTFUL) & ~words.isin(asked.marks)
            if not doubt.any() or _are_numbers_beside(words, dialect, asked.marks):
                continue
            _must_be_settled(words[doubt], name, asked, who)
            table[i] = words.where(~words.isin([*asked.marks]), None)
    table.columns = pd.Index([_one_line(name) for name in names])
    return table


def _read(lines: str, width: int, dialect: Dialect, gaps: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    if not lines:
        return pd.DataFrame(columns=range(width))
    return pd.read_csv(
        io.StringIO(lines),
        sep="\x1f",
        header=None,
        names=range(width),
        decimal=DECIMALS[dialect.decimal],
        na_values=list(gaps),
        keep_default_na=gaps != SURE,
        quoting=3,
        skip_blank_lines=False,
    )


def _are_numbers_beside(words: "pd.Series[str]", dialect: Dialect, marks: tuple[str, ...]) -> bool:
    """Whether all other cells are numbers, or gaps."""
    others = words[words.notna() & ~words.isin([*DOUBTFUL, *marks])]
    return all(dialect.is_number(str(word)) for word in others.unique())


def _must_be_settled(doubtful: "pd.Series[str]", name: str, asked: Asked, who: str) -> None:
    """Raises: BadData where nobody said whether these cells are gaps."""
    is_aside = name in (asked.id, *asked.dropped) or bool(
        asked.chosen and name not in (*asked.chosen, asked.label, "label")
    )
    is_said = asked.says_no_marks or name in {item.rpartition(":")[0] for item in
                                              asked.types.split("+")}  # fmt: skip
    # of a model's own table it was said, and a word that is new is refused as such
    if is_aside or is_said or asked.known:
        return
    word = doubtful.iloc[0]
    as_mark = f"{word}+{word}" if word.lower() == "none" else word
    raise BadData(
        f"{who}, column {name!r} has {word!r} in row {doubtful.index[0]} (counted from 0), among "
        f"other words: say missing={as_mark} if it marks a gap, missing=none if it is a word"
    )


def _one_line(field: str) -> str:
    """Words in quotes may hold ends of lines; their spaces stay, for "a  b" is not "a b"."""
    return BREAK.sub(" ", field.strip())
