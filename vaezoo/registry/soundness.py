"""Every field of what a plugin brings is of its type, and every name fit for a table, a file and
the command line.
"""

import inspect
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..hooks import Column, Metric, Table
from ..hyperparameters import hyperparameters

LONGEST = 60  # letters of a name
LONGEST_TEXT = 20_000  # letters of any other text
NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{LONGEST - 1}}}")  # ASCII: others have twins
DIGITS = 20  # decimals of a column
LARGEST = 1e100  # of any number
# classes that hints name and that need not be imported
UNKNOWN = {"Data": Any, "Model": Any}


def must_be_sound(function: Callable[..., Any]) -> None:
    """Raises: TypeError where the name, the docstring, the tags or the hyperparameters of a
    function are not what they must be; whatever an annotation raises.
    """
    name = function.__name__
    if not isinstance(name, str) or not name.isidentifier() or not NAME.fullmatch(name):
        raise TypeError(
            f"{name!r} is no name for the command line: write a function with def, its name in at "
            f"most {LONGEST} of the letters a to z, digits and _"
        )
    _must_be_text(f"the docstring of {name}", function.__doc__ or "")
    tags = function.__dict__.get("tags", frozenset())
    if not isinstance(tags, frozenset) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"the tags of {name} are words, by @tags(…), not {tags!r}")
    for tag in tags:
        if not NAME.fullmatch(tag):
            raise TypeError(f"the tag {tag!r} of {name} is none: use the letters a to z, digits, -")
    for known in hyperparameters(function):  # raises where an annotation cannot be read
        if not NAME.fullmatch(known) and not known.startswith("_"):
            raise TypeError(f"the hyperparameter {known!r} of {name} is not in the letters a to z")


def must_have_its_types(record: Any) -> None:
    """Raises: TypeError where a field of a record of `hooks`, or of a record in it, is of another
    type than it says, or its name is none.
    """
    who = f"{type(record).__name__} {getattr(record, 'name', '')!r}"
    for name, value in _fields(record):
        try:
            _adapter(record.__class__, name).validate_python(value, strict=True)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise TypeError(f"{who}: its {name} is {value!r} ({what.lower()})") from None
        if isinstance(value, str):
            _must_be_text(f"{name} of {who}", value)
            if isinstance(record, Column | Table):
                _must_fit_a_table(f"{name} of {who}", value, is_file=name == "table")
        low, high = (0, DIGITS) if name == "digits" else (-LARGEST, LARGEST)
        if isinstance(value, int | float) and not low <= value <= high:
            raise TypeError(f"{who}: its {name} is not from {low:g} to {high:g}")
    if not NAME.fullmatch(record.name):
        raise TypeError(
            f"{who}: a name has at most {LONGEST} of the letters a to z, digits, _ and -"
        )
    if isinstance(record, Metric) and not record.columns:
        raise TypeError(f"{who} has no columns: it could give no number")
    for inner in _records_in(record):
        must_have_its_types(inner)


def _fields(record: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(record):
        yield field.name, getattr(record, field.name)


def _records_in(record: Any) -> Iterator[Any]:
    for _, value in _fields(record):
        inner = value if isinstance(value, tuple) else (value,)
        yield from (each for each in inner if is_dataclass(each) and not isinstance(each, type))


@cache
def _adapter(kind: Hashable, name: str) -> TypeAdapter[Any]:
    hint = get_type_hints(kind, localns=UNKNOWN)[name]
    return TypeAdapter(hint, config=None if is_dataclass(hint) else _ANY)


_ANY = ConfigDict(arbitrary_types_allowed=True)


def _must_be_text(who: str, text: Any) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{who} must be a text, not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise TypeError(f"{who} has {len(text):,} letters; at most {LONGEST_TEXT:,} are read")
    bad = next((letter for letter in inspect.cleandoc(text) if not _is_shown(letter)), None)
    if bad is not None:
        raise TypeError(f"{who} has the letter {bad!a}, which cannot be shown")


def _must_fit_a_table(who: str, text: str, *, is_file: bool) -> None:
    """A trial with another text would be set aside by every report."""
    if not text.replace("\u00a0", " ").isprintable():
        raise TypeError(f"{who} is {text[:40]!a}: it stands in a table, on one line")
    if is_file and text and not NAME.fullmatch(text):
        raise TypeError(
            f"{who} is {text[:40]!a}, and names files: it has at most {LONGEST} of the letters "
            "a to z, digits, _ and -"
        )


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t\u00a0"
