"""How the text of a table is laid out: encoding, separator, decimal mark, header.

Each is recognised where the text leaves one reading, and asked about where it leaves two: a table
that is read wrongly is trained on without a word.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from .asked import AUTO, DECIMALS, SEPARATORS, Asked
from .files import BadData

LOOKED_AT = 200  # lines
SECOND = "c1"  # what the second column is called where no line has names
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none", "?", "<NA>", "n/a")
POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|infinity)")
COMMA = re.compile(r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|infinity)")
BOTH = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d*|[+-]?\d{1,3}(,\d{3})+\.\d*")
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")  # where commas are decimal, thousands
WHOLE = re.compile(r"0|[1-9]\d{0,299}")  # no float has more digits
THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")

Fields = list[str]


@dataclass(frozen=True)
class Dialect:
    """How a text is laid out; the name of the separator and the decimal mark as in `Asked`."""

    separator: str
    decimal: str
    has_header: bool

    def is_number(self, field: str) -> bool:
        pattern = COMMA if self.decimal == "comma" else POINT
        return bool(pattern.fullmatch(field.strip()))


def decoded(content: bytes, encoding: str, who: str) -> str:
    """The text of a file. Raises: BadData where its encoding must be said."""
    if encoding == AUTO:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except LookupError:
        raise BadData(
            f"encoding={encoding} is unknown; it is one such as utf-8 or cp1252"
        ) from None
    except UnicodeError:
        raise BadData(
            f"{who} is no text in {encoding.removesuffix('-sig')}; say in which encoding it is, "
            "such as encoding=cp1252"
        ) from None
    if "\0" in text:
        raise BadData(f"{who} is no text: it holds bytes of 0")
    return text


def rows_of(text: str, separator: str, most: int | None = None) -> list[Fields]:
    """The fields of each line that is not blank."""
    mark = SEPARATORS[separator]
    if separator == "space":
        return [line.split() for line in islice(text.splitlines(), most) if line.strip()]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        return [row for row in islice(lines, most) if any(field.strip() for field in row)]
    except csv.Error as why:
        raise BadData(f"the text is no CSV: {why}") from None


def dialect_of(text: str, asked: Asked, who: str) -> Dialect:
    """How the text is laid out.

    Raises: BadData where that must be said.
    """
    _must_be_one_of(asked.separator, SEPARATORS, "separator")
    _must_be_one_of(asked.decimal, DECIMALS, "decimal")
    if text.lstrip().startswith("#"):
        raise BadData(f"{who} begins with '#': take lines of comment away, and the # before names")
    separator = asked.separator
    if separator == AUTO:
        separator = _of_single_numbers(text, asked, who) or _separator(text, who)
    rows = rows_of(text, separator, LOOKED_AT)
    if not rows:
        raise BadData(f"{who} is no CSV file with rows: it has no text")
    decimal = _decimal(rows, separator, who) if asked.decimal == AUTO else asked.decimal
    dialect = Dialect(separator, decimal, True)
    if asked.header != AUTO:
        return Dialect(separator, decimal, asked.header.lower() == "true")
    return Dialect(separator, decimal, _has_header(rows, dialect, who))


def _must_be_one_of(value: str, known: dict[str, str], name: str) -> None:
    if value != AUTO and value not in known:
        raise BadData(f"{name}={value}: expected one of {', '.join(known)}")


def _of_single_numbers(text: str, asked: Asked, who: str) -> str:
    """The separator where every line is one number with a decimal comma: one that no line has;
    "" where there are other lines, or there must be a second column.

    Raises: BadData where each may be a pair of whole numbers too.
    """
    if SECOND in asked.spoken_of:
        return ""
    lines = [line.strip() for line in islice(text.splitlines(), LOOKED_AT) if line.strip()]
    named = bool(lines) and (asked.header.lower() == "true" or not COMMA.fullmatch(lines[0]))
    numbers = lines[named:]
    commas = sum("," in line for line in numbers)
    if not commas or not all(map(COMMA.fullmatch, numbers)):
        return ""
    may_be_names = named or (len(lines) > 1 and _may_count(lines[0], asked))
    has_two_names = "," in lines[0] and may_be_names
    if has_two_names or asked.decimal == "point" or asked.index.lower() == "true":
        return ""
    if asked.decimal == AUTO and not named and commas == len(numbers):
        raise BadData(
            f"{who} has lines such as {numbers[0]}: two numbers, or one with a decimal comma? "
            "say separator=comma or decimal=comma"
        )
    return "semicolon"


def _may_count(line: str, asked: Asked) -> bool:
    """Whether the line is 0,1 or two years: names, it may be, and asked about as such."""
    return asked.header == AUTO and asked.decimal == AUTO and _counts(line.split(","))


def _separator(text: str, who: str) -> str:
    """The one by which all lines have as many fields, most of them numbers."""
    scores: dict[str, tuple[float, bool]] = {}
    for name in SEPARATORS:
        rows = rows_of(text, name, LOOKED_AT)
        widths = {len(row) for row in rows[1:]} or {len(row) for row in rows}
        if len(widths) == 1 and min(widths) > 1:
            scores[name] = (_share_of_numbers(rows, name), len(rows[0]) in widths)
    if "tab" in scores:
        scores.pop("space", None)  # of which a tab is one
    if not scores:
        return _most_frequent(text)
    best = max(scores.values())
    found = [name for name, score in scores.items() if score == best]
    if len(found) > 1:
        raise BadData(
            f"{who} can be read with {' or '.join(found)} between its columns; "
            f"say separator={found[0]} or separator={found[1]}"
        )
    return found[0]


def _share_of_numbers(rows: Sequence[Fields], separator: str) -> float:
    """Of the fields below the first line, with whichever decimal mark gives more."""
    fields = [field for row in rows[1:] or rows for field in row]
    shares = [
        sum(Dialect(separator, decimal, True).is_number(field) for field in fields)
        for decimal in (("point",) if separator == "comma" else DECIMALS)
    ]
    return max(shares) / max(1, len(fields))


def _most_frequent(text: str) -> str:
    """Of lines of unlike length, for the sentence about them; of a single column the comma."""
    lines = rows_of(text, "comma", LOOKED_AT)
    mixed = {name: max((len(row) for row in rows_of(text, name, LOOKED_AT)), default=0)
             for name in SEPARATORS if name != "space"}  # fmt: skip
    return max(mixed, key=lambda name: mixed[name]) if lines else "comma"


def _decimal(rows: Sequence[Fields], separator: str, who: str) -> str:
    """The decimal mark of the numbers below the first line."""
    fields = [field.strip() for row in rows[1:] or rows for field in row]
    both = next((field for field in fields if BOTH.fullmatch(field)), None)
    if both:
        raise BadData(f"{who} has numbers such as {both}; write them without marks of thousands")
    commas = [field for field in fields if "," in field and COMMA.fullmatch(field)]
    points = [field for field in fields if "." in field and POINT.fullmatch(field)]
    if commas and points:
        raise BadData(
            f"{who} has numbers such as {commas[0]} and {points[0]}; say decimal=comma or "
            "decimal=point, and write all numbers so"
        )
    if not commas:
        if separator == "semicolon" and points and all(map(GROUPED.fullmatch, points)):
            raise BadData(
                f"{who} has numbers such as {points[0]}: thousands, or a decimal point? "
                "write them without marks of thousands, or say decimal=point"
            )
        return "point"
    if all(THOUSANDS.fullmatch(field) for field in commas):
        raise BadData(
            f"{who} has numbers such as {commas[0]}: thousands, or a decimal comma? "
            "write them without marks of thousands, or say decimal=comma"
        )
    return "comma"


def _has_header(rows: Sequence[Fields], dialect: Dialect, who: str) -> bool:
    """Whether the first line holds names: words above numbers do."""
    first = rows[0]
    rest = rows[1:]
    numbers = [dialect.is_number(field) for field in first]
    if not rest:
        return not all(numbers)
    above = _of_numbers(first, rest, dialect)
    if not any(numbers[i] for i in above):
        if any(_is_a_number_elsewhere(first[i]) for i in above):
            raise BadData(_asked_for_header(who, first))
        return _are_names(first, rest, bool(above), who)
    has_words_above = any(not numbers[i] and first[i].strip() not in MISSING for i in above)
    counts = _counts([first[i] for i in range(len(first)) if numbers[i]])
    if all(numbers):
        if counts and len(first) > 1:
            raise BadData(_asked_for_header(who, first))
        return False
    if counts and all(numbers[1:]) and _is_saved_array(first, rest):
        return True
    if has_words_above:
        raise BadData(_asked_for_header(who, first))
    return _is_like_the_rest(first, rest, numbers, who)


def _is_a_number_elsewhere(field: str) -> bool:
    """Whether it is a number by the other decimal mark: 1,5 above 0 and 3, which have none."""
    return any(Dialect("semicolon", decimal, True).is_number(field) for decimal in DECIMALS)


def _of_numbers(first: Fields, rest: Sequence[Fields], dialect: Dialect) -> list[int]:
    """The columns that hold numbers below the first line."""
    width = min(len(first), min(map(len, rest)))
    return [i for i in range(width) if _are_numbers([row[i] for row in rest], dialect)]


def _are_names(first: Fields, rest: Sequence[Fields], has_numbers: bool, who: str) -> bool:
    """True: names above numbers, or above words none of which they are."""
    if not has_numbers and _repeats(first, rest, [False] * len(first)):
        raise BadData(_asked_for_header(who, first))
    return True


def _is_saved_array(first: Fields, rest: Sequence[Fields]) -> bool:
    """Whether pandas saved it, with its index: no name above 0, 1, 2 …, and then the name 0."""
    is_index = first[0].strip() == "" and _counts([row[0] for row in rest])
    return is_index and first[1:2] == ["0"]


def _is_like_the_rest(
    first: Fields, rest: Sequence[Fields], numbers: Sequence[bool], who: str
) -> bool:
    """False: the line is data, for its words stand below too or its numbers are no names."""
    are_fractions = any(re.search(r"[.,eE]", first[i]) for i in range(len(first)) if numbers[i])
    if _repeats(first, rest, numbers) or are_fractions:
        return False
    raise BadData(_asked_for_header(who, first))


def _repeats(first: Fields, rest: Sequence[Fields], numbers: Sequence[bool]) -> bool:
    """Whether a word of the first line stands below it too, in its own column."""
    return any(
        first[i] in {row[i] for row in rest if i < len(row)}
        for i in range(len(first))
        if not numbers[i] and first[i].strip() not in MISSING
    )


def _asked_for_header(who: str, first: Fields) -> str:
    shown = ", ".join(first[:4]) + (", …" if len(first) > 4 else "")
    return f"{who}: is its first line ({shown}) names or data? say header=true or header=false"


def _are_numbers(fields: Sequence[str], dialect: Dialect) -> bool:
    """Whether all that is there are numbers, and something is."""
    there = [field for field in fields if field.strip() not in MISSING]
    return bool(there) and all(map(dialect.is_number, there))


def _counts(fields: Sequence[str]) -> bool:
    """Whether these are whole numbers, each one more than the one before: 0, 1, 2 or years; 001 is
    none, for it follows a decimal mark.
    """
    if not all(WHOLE.fullmatch(field.strip()) for field in fields):
        return False
    values = [int(field) for field in fields]
    return all(b - a == 1 for a, b in pairwise(values))
