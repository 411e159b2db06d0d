"""The text of a file as JSON, before anything is known of what it says. Thousands of trials say
much that is the same, which is read once.
"""

import itertools
import json
import math
import secrets
from collections.abc import Callable
from typing import Any

DEPTH = 30  # brackets inside brackets, at most: a trial has 6
MOST_KNOWN = 50_000  # texts of what was read that are remembered
TAKEN = f"taken {secrets.token_hex(16)}"  # what stands in the place of a part, and nowhere else
PLACE = f'"{TAKEN}"'.encode()
ENDS = {b"[\n": b"]", b"{\n": b"}"}  # of what begins so
_PARTS: dict[bytes, Any] = {}  # the text of a part -> what it says
_NAMES: dict[int, str] = {}  # id of what a part says -> a text that stands for it, and is short
_NUMBERS = itertools.count()  # no name is given twice
Path = tuple[str, ...]  # the names that lead to a part
# what thousands of trials say alike, in the order in which a file has them
ALIKE: tuple[Path, ...] = (
    ("columns",),
    ("ingredients", "budget"),
    ("ingredients", "data"),
    ("ingredients", "hyperparameters"),
    ("ingredients", "plugin"),
    ("ingredients", "samplers"),
    ("ingredients", "spec"),
    ("machine",),
    ("measures",),
    ("reasons",),
    ("settings",),
    ("tables",),
)
_LATEST: dict[Path, bytes] = {}  # its text in the trial that was read last


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
    said: dict[Path, bytes] = {}
    pieces = []
    end = 0
    # of what a trial that is done says, all numbers are checked again where they are read
    number = float if b'\n "status": "done"' in content else None
    for path in ALIKE:
        start, text = _place(content, path, end)
        if text:
            said[path] = text
            pieces += [content[end:start], PLACE]
            end = start + len(text)
    found = parsed_text(b"".join([*pieces, content[end:]]), number)
    holders = {path: _holder(found, path) for path in said}
    if any(holder.get(path[-1]) != TAKEN for path, holder in holders.items()):
        return parsed_text(content)  # written by another hand, a name twice perhaps
    for path, text in said.items():
        holders[path][path[-1]] = _part(text)
    return found


def _holder(found: Any, path: Path) -> dict[str, Any]:
    """The object that the path ends in; an empty one where there is none."""
    for name in path[:-1]:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _place(content: bytes, path: Path, after: int) -> tuple[int, bytes]:
    """Where the list or mapping of this path begins, and its text, as `to_json` writes it: nothing
    inside is indented so little. No text where there is none further on.
    """
    line = b"\n" + b" " * len(path)
    key = line + f'"{path[-1]}": '.encode()
    at = content.find(key, after)
    start = at + len(key)
    bracket = ENDS.get(content[start : start + 2])
    if at < 0 or bracket is None:
        return 0, b""
    latest = _LATEST.get(path, b"")
    if latest and content.startswith(latest, start):  # mostly, and its end is where it was
        return start, latest
    stop = content.find(line + bracket, start)
    if stop < 0:
        return 0, b""
    _LATEST[path] = content[start : stop + len(line) + 1]
    return start, _LATEST[path]


def _part(text: bytes) -> Any:
    """What the part says, one object for all who say it."""
    if text not in _PARTS:
        if len(_PARTS) >= MOST_KNOWN:
            _PARTS.clear()
            _NAMES.clear()
        value = _PARTS[text] = parsed_text(text)
        _NAMES[id(value)] = f"part {next(_NUMBERS)}"
    return _PARTS[text]


def name_of(value: Any) -> str:
    """A short text that stands for what a part says; "" for what is no part."""
    return _NAMES.get(id(value), "")


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
