"""What the hunts share: letters that break something somewhere, JSON with one thing changed, and
what a sentence must be.
"""

import json
import re
from typing import Any

from hypothesis import strategies as st

EVIL = "\x00\x07\x1b\x7f\x85\x9b\u061c\u200e\u202e\u2066\u2028\ufeff\ufffe\uffff\ud800\U000e0041"
MARKS = "=+-@<>[](){}`|\\\"'$%&#_~^*:;!,./? \n\r\t±↑βé語"
NAMES = ["vae", "all", "not:", "../x", "CON", "nan", "1e999", "=cmd|'/C'!A0", "[a](javascript:x)"]
# C0 but tab and end of line, C1, bidirectional marks, halves of letters
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

letters = st.one_of(st.sampled_from(EVIL), st.sampled_from(MARKS), st.characters())
texts = st.lists(st.one_of(letters, st.sampled_from(NAMES)), max_size=12).map("".join)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, 2**64, 1e308, 5e-324, -0.0]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def must_be_sentence(error: BaseException) -> None:
    """It says something, in one line, of bearable length."""
    words = str(error)
    assert words
    assert "\n" not in words
    assert len(words) < 30_000


def places(facts: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys that lead to it."""
    found = [path]
    if isinstance(facts, dict | list):
        inner = facts.items() if isinstance(facts, dict) else enumerate(facts)
        found += [place for key, value in inner for place in places(value, (*path, key))]
    return found


def changed(facts: Any, edits: list[tuple[int, Any]]) -> Any:
    """The JSON with a few of its values replaced; the word "gone" takes one away."""
    made = json.loads(json.dumps(facts))
    for number, value in edits:
        there = places(made)[1:]
        if not there:
            return value
        *path, last = there[number % len(there)]
        owner = made
        for key in path:
            owner = owner[key]
        if value == "gone":
            del owner[last]
        else:
            owner[last] = value
    return made


def edited(facts: Any) -> st.SearchStrategy[Any]:
    """`facts` with one to three values replaced by others of any kind."""
    edit = st.tuples(st.integers(0, 10**6), st.one_of(values, st.just("gone")))
    return st.lists(edit, min_size=1, max_size=3).map(lambda edits: changed(facts, edits))


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them changed, cut off, or with more after them."""
    one = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    changes = st.lists(one, min_size=1, max_size=4)

    def put(edits: list[tuple[int, int]]) -> bytes:
        made = bytearray(content)
        for at, byte in edits:
            made[at] = byte
        return bytes(made)

    cut = st.integers(0, len(content)).map(lambda end: content[:end])
    longer = st.binary(min_size=1, max_size=9).map(lambda more: content + more)
    return st.one_of(changes.map(put), cut, longer, st.binary(max_size=99))
