"""What is read is checked, field by field: it was written by anyone."""

import itertools
import json
import math
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from ...hooks import Column, Table

Json = dict[str, Any]
T = TypeVar("T")
DIGITS = 20  # decimals that a column may ask for, at most
DEPTH = 30  # brackets inside brackets, at most: a trial has 6
LARGEST = 1e100  # a number, at most: its square is a number too
LONGEST = 1000  # letters of a label
COUNTED = 2**53  # what is counted
DESCRIBED = 1000  # columns, at most
# of columns and tables, which are names of files too: none begins as a path or a formula does
NAME = re.compile(r"\w[\w .,:;+@%()|=*^~&'\[\]{}-]{0,99}")
MOST_KNOWN = 50_000  # texts of what was read that are remembered
TAKEN = f"taken {secrets.token_hex(16)}"  # what stands in the place of a part, and nowhere else
PLACE = f'"{TAKEN}"'.encode()
ENDS = {b"[\n": b"\n ]", b"{\n": b"\n }"}  # of what begins so, in a trial's own indentation
_KNOWN: dict[str, Any] = {}  # its text -> what was read
_PARTS: dict[bytes, Any] = {}  # the text of a part -> what it says
_COLUMNS: dict[str, str] = {}  # the name of a column -> itself, one object
_NAMES: dict[int, str] = {}  # id of what a part says -> a text that stands for it, and is short
_NUMBERS = itertools.count()  # no name is given twice
# what thousands of trials say alike, in the order in which a file has them
ALIKE = ("columns", "machine", "measures", "reasons", "tables")
_LATEST: dict[str, bytes] = {}  # its text in the trial that was read last
TYPES: Mapping[str, Any] = {"int": int, "bool": bool, "float | None": int | float | None}


class Damaged(ValueError):
    """A file that is no record: cut off, forged, or not of vaezoo. Its text is the reason in a few
    words.
    """


class Contradicted(Damaged):
    """A file that is whole, and says other numbers than the trial that it belongs to."""


def parsed_text(content: bytes, number: Callable[[str], float] | None = None) -> Any:
    """The JSON in these bytes, its numbers with decimals read by `number`.

    Raises: Damaged for what is no JSON, NaN and infinities among it.
    """
    try:
        found = json.loads(content, parse_constant=_no_number, parse_float=number or _finite)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is no JSON: {error}".partition("\n")[0]) from None
    if content.count(b"[") + content.count(b"{") > DEPTH and _is_deeper(found, DEPTH):
        raise Damaged(f"it has more than {DEPTH} brackets inside each other")
    return found


def parsed_trial(content: bytes) -> Any:
    """The JSON of a trial, of which what other trials said in the same bytes is read once.

    Raises: Damaged as `parsed_text`.
    """
    said = {}
    pieces = []
    end = 0
    # of what a trial that is done says, all numbers are checked again where they are read
    number = float if b'\n "status": "done"' in content else None
    for name in ALIKE:
        start, text = _place(content, name, end)
        if text:
            said[name] = text
            pieces += [content[end:start], PLACE]
            end = start + len(text)
    found = parsed_text(b"".join([*pieces, content[end:]]), number)
    if not isinstance(found, dict) or any(found.get(name) != TAKEN for name in said):
        return parsed_text(content)  # written by another hand, a name twice perhaps
    return found | {name: _part(text) for name, text in said.items()}


def _place(content: bytes, name: str, after: int) -> tuple[int, bytes]:
    """Where the list or mapping of this name begins, and its text, as `to_json` writes it: nothing
    inside is indented so little. No text where there is none further on.
    """
    key = f'\n "{name}": '.encode()
    at = content.find(key, after)
    start = at + len(key)
    end = ENDS.get(content[start : start + 2])
    if at < 0 or end is None:
        return 0, b""
    latest = _LATEST.get(name, b"")
    if latest and content.startswith(latest, start):  # mostly, and its end is where it was
        return start, latest
    stop = content.find(end, start)
    if stop < 0:
        return 0, b""
    _LATEST[name] = content[start : stop + len(end)]
    return start, _LATEST[name]


def _part(text: bytes) -> Any:
    """What the part says, one object for all who say it."""
    if text not in _PARTS:
        if len(_PARTS) >= MOST_KNOWN:
            _PARTS.clear()
            _NAMES.clear()
        value = _PARTS[text] = parsed_text(text)
        _NAMES[id(value)] = f"part {next(_NUMBERS)}"
    return _PARTS[text]


def _text_of(value: Any) -> str:
    """A text that is the same where what was read is."""
    return _NAMES.get(id(value)) or repr(value)


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are inside each other more than so often."""
    level = [value]
    for _ in range(depth):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, dict | list)]
    return bool(level)


def _no_number(text: str) -> float:
    raise Damaged(f"it has {text}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


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
    found = {}
    for key, one in facts.items():
        # the fast way for what nearly all are
        is_plain = type(one) is float and -LARGEST <= one <= LARGEST
        found[_column(key, where)] = one if is_plain else number(one, f"{where}.{key}")
    return found


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
    return _once(f"texts {_text_of(value)}", lambda: _texts(value, where))


def _texts(value: Any, where: str) -> dict[str, str]:
    facts = mapping(value, where)
    return {key: of_type(str, one, f"{where}.{key}") for key, one in facts.items()}


def shared(value: T) -> T:
    """What was read before and reads the same, else the value: thousands of trials say much that is
    the same, and hold it once. Nobody changes what was read.
    """
    if isinstance(value, str):
        return cast(T, sys.intern(value))
    if value is None or isinstance(value, int | float) or id(value) in _NAMES:
        return value
    return _once(repr(value), lambda: value)


def _once(text: str, make: Callable[[], T]) -> T:
    if text not in _KNOWN:
        if len(_KNOWN) >= MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[text] = make()
    return _KNOWN[text]


def descriptions(kind: type[Column] | type[Table], value: Any, where: str) -> tuple[Json, ...]:
    """The descriptions of columns or tables, every field of its type."""
    return _once(f"{kind.__name__} {_text_of(value)}", lambda: _descriptions(kind, value, where))


def _descriptions(kind: type[Column] | type[Table], value: Any, where: str) -> tuple[Json, ...]:
    found = []
    types = {one.name: TYPES.get(str(one.type), str) for one in fields(kind)}
    told = of_type(list, value, where)
    if len(told) > DESCRIBED:
        raise Damaged(f"{where} are {len(told)}, and {DESCRIBED} are the most")
    for one in told:
        facts = mapping(one, where)
        for name, item in facts.items():
            of_type(types.get(name, object), item, f"{where}.{name}")
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
