"""What the columns of a table look like: their types, unless the user says them.

A guess is shown on the card, and `types=` overrules it: `types=age:count+grade:low<middle<high`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import TYPES
from .coding import as_numbers, as_words, word_of
from .columns import LARGEST_COUNT, Column
from .files import BadData
from .formats import Array

if TYPE_CHECKING:
    import pandas as pd

MOST = 50  # words of a category
FEW = 20  # rows up to which words may be as many as rows
# Whole numbers from 1 to at most this are taken for marks on a scale, and those from 0 for counts.
SCALE = 10
FAR = 4.0  # deviations from 0, beyond which whole numbers are no counts
ORDERS = (
    ("very low", "low", "medium", "high", "very high"),
    ("very low", "low", "middle", "high", "very high"),
    ("low", "moderate", "high"),
    ("low", "mid", "high"),
    ("none", "mild", "moderate", "severe"),
    ("tiny", "small", "medium", "large", "huge"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl"),
    ("very poor", "poor", "fair", "good", "very good", "excellent"),
    ("very bad", "bad", "average", "good", "very good"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("first", "second", "third", "fourth", "fifth"),
)


def said_types(text: str, names: list[str], who: str) -> dict[str, str]:
    """Column -> what `types=` says of it. Raises: BadData."""
    found = {}
    for item in filter(None, text.split("+")):
        name, colon, said = item.rpartition(":")
        if not colon or not said:
            raise BadData(
                f"types={item}: expected NAME:TYPE, several joined by +; types are "
                f"{', '.join(TYPES)}, or the words of an ordinal in their order, low<middle<high"
            )
        if name not in names:
            raise BadData(f"types={item}: {who} has no such column; it has {', '.join(names)}")
        if "<" not in said and said not in TYPES:
            raise BadData(f"types={item}: there is no type {said!r}; there are {', '.join(TYPES)}")
        found[name] = said
    return found


def guessed(cells: "pd.Series[Any]", name: str, said: str, who: str) -> Column:
    """The column of these cells; `said` is its type, the order of its words, or "".

    Raises: BadData where words are too many, too few, or stand among numbers.
    """
    import pandas as pd

    who = f"{who}, column {name!r}"
    if "<" in said:
        return Column(name, "ordinal", tuple(word.strip() for word in said.split("<")))
    there = cells[cells.notna()]
    are_numbers = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
    found = said
    if not said and are_numbers:
        found = _of_numbers(there.to_numpy(np.float64))
    if found in ("number", "amount", "count"):
        return Column(name, found)  # whether its cells are such is asked where they are read
    words = _words(there, are_numbers)
    if not are_numbers and not said:
        _must_be_categories(there, words, name, who)
    return _of_words(cells, words, name, found, who)


def _of_numbers(values: Array) -> str:
    """The type that numbers (n,) look like."""
    distinct = np.unique(values)
    are_whole = bool((distinct == distinct.round()).all())
    low = float(distinct[0])
    high = float(distinct[-1])
    if not are_whole:
        return "amount" if low > 0 and _is_rounder_in_logs(values) else "number"
    if len(distinct) == 2:
        return "yesno"
    if len(distinct) > 2 and low >= 1 and high <= SCALE:
        return "ordinal"
    # years, or heights in whole units, are far from 0, where a Normal says as much and more simply
    varies = values.mean() <= FAR * values.std()
    return (
        "count" if len(distinct) > 1 and low >= 0 and high < LARGEST_COUNT and varies else "number"
    )


def _is_rounder_in_logs(values: Array) -> bool:
    """Whether the logarithms are less skewed than the values."""
    return abs(_skew(np.log(values))) < abs(_skew(values))


def _skew(values: Array) -> float:
    centred = values - values.mean()
    return float((centred**3).mean() / max((centred**2).mean(), 1e-300) ** 1.5)


def _words(there: "pd.Series[Any]", are_numbers: bool) -> list[str]:
    """The distinct words, numbers in their order."""
    if are_numbers:
        values = np.unique(there.to_numpy(np.float64))
        if len(values) > 2 and (values == values.round()).all() and values[-1] <= SCALE:
            values = np.arange(values[0], values[-1] + 1)  # marks that nobody gave are marks too
        return [word_of(float(value)) for value in values]
    return sorted(as_words(there).unique())


def _must_be_categories(there: "pd.Series[Any]", words: list[str], name: str, who: str) -> None:
    """Raises: BadData where they are names, texts, dates, or numbers with a few words."""

    if len(words) == 1:
        raise BadData(f"{who} holds one word only, {words[0]!r}; say drop={name} to leave it out")
    is_number = as_numbers(as_words(there)).notna().to_numpy()
    if is_number.mean() > 0.5 and not is_number.all():
        row = int(np.argmin(is_number))
        word = word_of(there.iloc[row])
        raise BadData(
            f"{who} has numbers, and {word!r} in row {there.index[row]}; say missing={word} if it "
            f"marks a gap, or types={name}:category if all of them are words"
        )
    if len(words) > MOST or (len(there) > FEW and len(words) > len(there) / 2):
        raise BadData(
            f"{who} holds {len(words)} different words in {len(there)} rows, such as "
            f"{words[0]!r}: names, dates or texts, no categories; say drop={name} to leave it out, "
            f"id={name} if it names the rows, or types={name}:category"
        )


def _of_words(cells: "pd.Series[Any]", words: list[str], name: str, said: str, who: str) -> Column:
    dtype: Any = cells.dtype
    is_ranked = bool(getattr(dtype, "ordered", False))
    order = tuple(map(word_of, dtype.categories)) if is_ranked else _in_order(words)
    if said == "yesno" or (not said and len(words) == 2 and not is_ranked):
        if len(words) != 2:
            raise BadData(
                f"{who} holds {len(words)} different values, and types={name}:yesno needs two"
            )
        return Column(name, "yesno", tuple(words))
    if said == "ordinal" and not order:
        raise BadData(
            f"{who} holds words without a known order; say it: types={name}:{'<'.join(words[:3])}"
        )
    if order and said != "category":
        return Column(name, "ordinal", order)
    if len(words) < 2:
        raise BadData(f"{who} holds one value only; say drop={name} to leave it out")
    return Column(name, "category", tuple(words))


def _in_order(words: list[str]) -> tuple[str, ...]:
    """The words from the lowest to the highest, where they are numbers or of a known scale; else
    nothing.
    """
    if all(_is_number(word) for word in words):
        return tuple(sorted(words, key=float))
    plain = {word.lower().replace("_", " "): word for word in words}
    for order in ORDERS:
        if len(plain) > 2 and plain.keys() <= set(order):
            return tuple(plain[word] for word in order if word in plain)
    return ()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
