"""How the command line names variants and data sets:
`beta[beta=1,4,8],vae,recurrent,not:*gan,*vae*,all`.

An item is a name, a glob (* and ?), a tag, or `all`; `not:` before it takes away. `tag:NAME` is a
tag, whatever else has that name. `all` leaves out what is tagged `heavy`: `all,tag:heavy` is
everything. Brackets give hyperparameters; several values of one key are a sweep, several sweeps
their Cartesian product. A comma inside brackets or quotes divides nothing.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Generic, Protocol, TypeVar

from ..hyperparameters import BRACKETS, QUOTES, HyperparameterError, did_you_mean, in_quotes

NOT = "not:"
ALL = "all"
TAG = "tag:"
HEAVY = "heavy"  # the tag of what takes so long that `all` leaves it out
OPEN, CLOSE = BRACKETS
MOST = 10_000  # rows of one sweep
LONGEST = 1_000  # letters of a name or a pattern


class SelectionError(ValueError):
    """What was asked for cannot be chosen. One sentence."""


class Entry(Protocol):
    """What can be chosen."""

    @property
    def name(self) -> str: ...
    @property
    def tags(self) -> frozenset[str]: ...
    @property
    def in_all(self) -> bool: ...
    def resolve_text(self, given: Mapping[str, str]) -> dict[str, Any]: ...


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Item:
    """One item of a selection, read but not yet looked up."""

    pattern: str
    excludes: bool = False
    sweeps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen(Generic[E]):
    """A variant or a sampler with its hyperparameters, a data set with its options."""

    entry: E
    values: Mapping[str, Any]  # all of them, resolved
    label: str  # names only what was given


def choose(text: str, entries: Mapping[str, E], what: str) -> list[Chosen[E]]:
    """The entries that the text names, in its order, each once; `what` is the word for one of them
    in messages.

    Raises: SelectionError.
    """
    items = read_selection(text, what)
    wanted = [item for item in items if not item.excludes] or [Item(ALL)]
    unwanted = {
        entry.name for item in items if item.excludes for entry in matching(item, entries, what)
    }
    chosen = [c for item in wanted for c in _expanded(item, matching(item, entries, what))]
    left: dict[str, Chosen[E]] = {}
    for one in chosen:
        if one.entry.name not in unwanted:
            left.setdefault(_identity(one), one)  # the first of two that are the same stays
    if not left:
        raise SelectionError(f"{text!r} leaves no {what}: everything it names, it also excludes")
    return list(left.values())


def heavy(text: str, entries: Mapping[str, E], what: str) -> list[str]:
    """The names that `all` leaves out of this selection because they are tagged `heavy`.

    Raises: SelectionError.
    """
    items = read_selection(text, what)
    wanted = [item.pattern for item in items if not item.excludes] or [ALL]
    if ALL not in wanted:
        return []
    named = {name for item in items if item.pattern != ALL for name in _names(item, entries, what)}
    return [name for name, one in entries.items() if HEAVY in one.tags and name not in named]


def _names(item: Item, entries: Mapping[str, E], what: str) -> list[str]:
    return [entry.name for entry in matching(item, entries, what)]


def matching(item: Item, entries: Mapping[str, E], what: str) -> list[E]:
    """The entries that an item means: by name, else by glob, else by tag.

    A glob, a tag and `all` leave out what must be told something, unless the item tells it; `all`
    also what is heavy, unless it takes away.
    """
    pattern = item.pattern
    if len(pattern) > LONGEST:  # which a search for near names would take minutes over
        raise SelectionError(
            f"no {what} has a name of {len(pattern):,} letters; it begins with {pattern[:30]!r}"
        )
    if pattern in entries:
        return [entries[pattern]]
    found = _meant(pattern, entries)
    if pattern == ALL and not item.excludes:
        found = [entry for entry in found if HEAVY not in entry.tags]
    usable = [entry for entry in found if entry.in_all or item.sweeps or item.excludes]
    if not usable:
        raise SelectionError(_nothing(pattern, [entry.name for entry in found], entries, what))
    return usable


def _meant(pattern: str, entries: Mapping[str, E]) -> list[E]:
    """By a glob or a tag; `all` is everything."""
    if pattern == ALL:
        return list(entries.values())
    if pattern.startswith(TAG):
        return [entry for entry in entries.values() if pattern.removeprefix(TAG) in entry.tags]
    if set("*?") & set(pattern):
        return [entry for name, entry in entries.items() if fnmatchcase(name, pattern)]
    return [entry for entry in entries.values() if pattern in entry.tags]


def _nothing(pattern: str, unusable: list[str], entries: Mapping[str, E], what: str) -> str:
    if unusable:
        return (
            f"{pattern!r} means only {', '.join(unusable)}, which needs a value: "
            f"write {unusable[0]}[key=value]"
        )
    tags = sorted({tag for entry in entries.values() for tag in entry.tags})
    if pattern.startswith(TAG):
        name = pattern.removeprefix(TAG)
        near = did_you_mean(name, tags) or f"; there are {_some(tags)}"
        return f"no {what} has the tag {name!r}{near}"
    if set("*?") & set(pattern) or pattern == ALL:
        return f"no {what} matches {pattern!r}; there are {_some(entries)}"
    near = did_you_mean(pattern, [*entries, *tags])
    return f"no {what} or tag is called {pattern!r}{near or f'; there are {_some(entries)}'}"


def _some(names: Iterable[str], most: int = 12) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return (", ".join(known[:most]) or "none") + more


def _expanded(item: Item, entries: list[E]) -> Iterator[Chosen[E]]:
    keys = list(item.sweeps)
    number = math.prod(map(len, item.sweeps.values()))
    if number * len(entries) > MOST:
        raise SelectionError(
            f"the values of {', '.join(keys)} make {number * len(entries):,} rows of "
            f"{item.pattern!r}, and {MOST:,} are the most"
        )
    for entry in entries:
        for values in product(*item.sweeps.values()):
            yield resolved(entry, dict(zip(keys, values, strict=True)))


def resolved(entry: E, given: Mapping[str, str]) -> Chosen[E]:
    """An entry with the texts of its brackets turned into values, and its label.

    Raises: SelectionError.
    """
    try:
        values = entry.resolve_text(given)
    except HyperparameterError as error:
        raise SelectionError(str(error)) from None
    shown = ",".join(f"{key}={_text(values.get(key, text))}" for key, text in given.items())
    return Chosen(entry, values, f"{entry.name}[{shown}]" if shown else entry.name)


def _text(value: Any) -> str:
    """A value as it can be read again."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return repr(tuple(value))
    text = str(value)
    is_plain = text and text.isprintable() and not re.search(r"[\s,=\[\]()'\"]", text)
    return text if is_plain else in_quotes(text)


def _identity(chosen: Chosen[Any]) -> str:
    return chosen.entry.name + json.dumps(chosen.values, sort_keys=True, default=str)


def read_selection(text: str, what: str) -> list[Item]:
    """The items of a selection.

    Raises: SelectionError for an empty item, a bracket or a quote that is not closed, and what is
    not key=value.
    """
    parts = pieces_of(text)
    if not all(parts):
        raise SelectionError(
            f"{text!r} holds an empty name: write each {what} once, "
            "with one comma between two of them"
        )
    return [_item(part) for part in parts]


def _item(part: str) -> Item:
    excludes = part.startswith(NOT)
    pattern, bracket, rest = part.removeprefix(NOT).strip().partition("[")
    if not pattern.strip():
        raise SelectionError(f"{part!r} names nothing")
    if not bracket:
        return Item(pattern.strip(), excludes)
    if excludes:
        raise SelectionError(f"{part!r}: what is taken away by not: has no hyperparameters")
    if not rest.endswith("]"):
        raise SelectionError(f"{part!r}: there is something behind the closing bracket")
    return Item(pattern.strip(), sweeps=_sweeps(part, rest[:-1]))


def _sweeps(part: str, inside: str) -> dict[str, tuple[str, ...]]:
    """ "a=1,2,b=x" -> {"a": ("1", "2"), "b": ("x",)}."""
    sweeps: dict[str, tuple[str, ...]] = {}
    key = ""
    for piece in pieces_of(inside):
        name, equals, value = (t.strip() for t in piece.partition("="))
        if equals and re.fullmatch(r"[A-Za-z_][\w.]*", name):
            if name in sweeps:
                raise SelectionError(
                    f"{part!r} gives {name} twice; write several values as {name}=1,2"
                )
            key = name
            sweeps[name] = (value,)
        elif key and piece:
            sweeps[key] += (piece,)
        if not piece or not key or "" in sweeps[key]:
            raise SelectionError(
                f"{part!r}: inside brackets stands key=value, or key=value,value for a sweep"
            )
    return sweeps


def pieces_of(text: str) -> list[str]:
    """The pieces between commas that stand outside of brackets and quotes, stripped."""
    pieces = []
    start = 0
    closing = ""
    quote = ""
    for i, letter in enumerate(text):
        if letter == "," and not closing and not quote:
            pieces.append(text[start:i])
            start = i + 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES:
            quote = letter
        elif letter in OPEN:
            closing += CLOSE[OPEN.index(letter)]
        elif letter in CLOSE:
            if not closing.endswith(letter) or not closing:
                raise SelectionError(f"{text!r} closes {letter!r} where it is not open")
            closing = closing[:-1]
    if quote or closing:
        raise SelectionError(f"{text!r} lacks a closing {quote or closing[-1]}")
    return [piece.strip() for piece in [*pieces, text[start:]]]
