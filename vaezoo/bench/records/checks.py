"""What is read is checked, field by field: it was written by anyone."""

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from ...hooks import Column, Table
from .parsing import MOST_KNOWN, Damaged, name_of

Json = dict[str, Any]
T = TypeVar("T")
DIGITS = 20  # decimals that a column may ask for, at most
LARGEST = 1e100  # a number, at most: its square is a number too
LONGEST = 1000  # letters of a label
LETTERS = 10_000  # of a reason
COUNTED = 2**53  # what is counted
DESCRIBED = 1000  # columns, at most
# of columns and tables, which are names of files too: none begins as a path or a formula does
NAME = re.compile(r"\w[\w .,:;+@%()|=*^~&'\[\]{}-]{0,99}")
_KNOWN: dict[str, Any] = {}  # its text -> what was read
_COLUMNS: dict[str, str] = {}  # the name of a column -> itself, one object
TYPES: Mapping[str, Any] = {"int": int, "bool": bool, "float | None": int | float | None}


def storable(value: Any) -> Any:
    """The value as JSON has it: NaN and infinities, which it has not, are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def of_type(kind: type[T], value: Any, where: str) -> T:
    """The value, which is of this type; a bool is no int."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise Damaged(f"{where} is {brief(value)}, no {getattr(kind, '__name__', kind)}")


def mapping(value: Any, where: str) -> Json:
    """A JSON object."""
    return of_type(dict, value, where)


def label(value: Any, where: str) -> str:
    """A text that can stand in a table: not empty, on one line."""
    text = of_type(str, value, where)
    if not text or not text.isprintable() or len(text) > LONGEST:
        raise Damaged(f"{where} is {brief(text)}, no name")
    return text


def file_name(value: Any, where: str) -> str:
    """A name of which files are called: without separators of paths."""
    text = label(value, where)
    if not NAME.fullmatch(text):
        raise Damaged(f"{where} is {brief(text)}, which cannot be the name of a file")
    return text


def count(value: Any, where: str, most: int = COUNTED) -> int:
    """A whole number from 0 on."""
    found = of_type(int, value, where)
    if not 0 <= found <= most:
        raise Damaged(f"{where} is {brief(found)}, and 0 to {most} can be")
    return found


def controls_name(value: Any) -> str:
    """ "" or the name of a file in controls/."""
    if value == "":
        return ""
    folder, _, name = of_type(str, value, "controls").partition("/")
    if folder != "controls":
        raise Damaged(f"controls is {brief(value)}, no file in controls/")
    return f"{folder}/{file_name(name, 'controls')}"


def number(value: Any, where: str) -> float:
    """null is NaN, as it was written."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        raise Damaged(f"{where} has {brief(value)}, no number")
    return value


def numbers(value: Any, where: str) -> dict[str, float]:
    """Column -> number."""
    facts = mapping(value, where)
    if _are_plain(facts):
        return dict(zip(map(_COLUMNS.__getitem__, facts), facts.values(), strict=True))
    return {_column(key, where): number(one, within(where, key)) for key, one in facts.items()}


def _are_plain(facts: Json) -> bool:
    """Whether these are numbers as nearly all are, of columns that were read before."""
    if (
        not facts
        or set(map(type, facts.values())) != {float}
        or not _COLUMNS.keys() >= facts.keys()
    ):
        return False
    return min(facts.values()) >= -LARGEST and max(facts.values()) <= LARGEST


def within(where: str, name: str) -> str:
    """The place of what stands under a name that anyone may have given."""
    return f"{where}.{name if name.isprintable() and len(name) <= 40 else brief(name)}"


def _column(name: Any, where: str) -> str:
    """The name of a column, one object wherever it is read."""
    known = _COLUMNS.get(name)
    if known is None:
        if len(_COLUMNS) >= MOST_KNOWN:
            _COLUMNS.clear()
        known = _COLUMNS[name] = file_name(name, where)
    return known


def texts(value: Any, where: str) -> dict[str, str]:
    """Name -> text."""
    return once(f"texts {text_of(value)}", lambda: _texts(value, where))


def _texts(value: Any, where: str) -> dict[str, str]:
    facts = mapping(value, where)
    return {key: reason(one, within(where, key)) for key, one in facts.items()}


def reason(value: Any, where: str) -> str:
    """A text of a few sentences: CSV, for one, has no room for millions of letters in a cell."""
    text = of_type(str, value, where)
    if len(text) > LETTERS:
        raise Damaged(f"{where} is a text of {len(text):,} letters, and {LETTERS:,} can be")
    return text


def text_of(value: Any) -> str:
    """A text that is the same where what was read is."""
    return name_of(value) or repr(value)


def shared(value: T) -> T:
    """What was read before and reads the same, else the value: thousands of trials say much that is
    the same, and hold it once. Nobody changes what was read.
    """
    if isinstance(value, str):
        return cast(T, sys.intern(value))
    if value is None or isinstance(value, int | float) or name_of(value):
        return value
    return once(repr(value), lambda: value)


def once(text: str, make: Callable[[], T]) -> T:
    """What was made for this text before, else what is made now."""
    if text not in _KNOWN:
        if len(_KNOWN) >= MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[text] = make()
    return _KNOWN[text]


def descriptions(kind: type[Column] | type[Table], value: Any, where: str) -> tuple[Json, ...]:
    """The descriptions of columns or tables, every field of its type."""
    return once(f"{kind.__name__} {text_of(value)}", lambda: _descriptions(kind, value, where))


def _descriptions(kind: type[Column] | type[Table], value: Any, where: str) -> tuple[Json, ...]:
    found = []
    types = {one.name: TYPES.get(str(one.type), str) for one in fields(kind)}
    told = of_type(list, value, where)
    if len(told) > DESCRIBED:
        raise Damaged(f"{where} are {len(told)}, and {DESCRIBED} are the most")
    for one in told:
        facts = mapping(one, where)
        for name, item in facts.items():
            of_type(types.get(name, object), item, within(where, name))
        file_name(facts.get("name"), f"{where}.name")
        if facts.get("table"):
            file_name(facts["table"], f"{where}.table")
        if not _can_be(kind, facts):
            raise Damaged(f"{where} describe {facts['name']} as no column can be")
        found.append(facts)
    return tuple(found)


def _can_be(kind: type[Column] | type[Table], facts: Json) -> bool:
    """Whether a column or a table can have these decimals, this place, this direction and range."""
    numbers = ("order", "lead", "low", "high")
    if not all(abs(facts.get(name) or 0) <= LARGEST for name in numbers):
        return False
    if not 0 <= facts.get("digits", 0) <= DIGITS:
        return False
    known = {one.name: facts[one.name] for one in fields(kind) if one.name in facts}
    needed = {"unit": "", "better": ""} if kind is Column else {}
    try:
        kind(**needed | known)
    except ValueError:  # it checks its own direction and range
        return False
    return True


def brief(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
