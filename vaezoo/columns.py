"""The columns of a table, as far as a likelihood and a network know them: a type, and a size.

    number        a real number                               1 entry of x
    amount        a real number above 0, x is of its logarithm 1 entry
    count:S       a whole number from 0 on, x is count/S       1 entry
    yesno         one of two words                             1 entry, 0 or 1
    category:M    one of M words without an order              M entries, of which one is 1
    ordinal:M     one of M words in an order                   M - 1 entries, the first r are 1

A spec says them in the text of its likelihood, joined by +, alike neighbours once with how many
there are: "mixed[columns=3*number+count:8+category:4]".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

__all__ = ["SIZED", "TYPES", "WORDED", "Kind", "Run", "kinds_of", "runs_of", "text_of"]

TYPES = ("number", "amount", "count", "yesno", "category", "ordinal")
SIZED = {"count": 1, "category": 2, "ordinal": 2}  # those with a size, and the least that it can be
WORDED = ("yesno", "category", "ordinal")  # whose values are words
LARGEST = 2**24  # of a size, and of how many columns there are


@dataclass(frozen=True)
class Kind:
    """One column. Raises: ValueError where there is no such type, or not of this size."""

    type: str
    size: int = 0  # of a count the scale S, of words how many there are

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"no column is of type {self.type!r}; there are {', '.join(TYPES)}")
        least = SIZED.get(self.type, 0)
        if (least == 0) != (self.size == 0) or not least <= self.size <= LARGEST:
            needs = f"a size from {least} on" if least else "no size"
            raise ValueError(f"a column of type {self.type} has {needs}, not {self.size}")

    @property
    def width(self) -> int:
        """Entries of x."""
        if self.type == "category":
            return self.size
        return self.size - 1 if self.type == "ordinal" else 1

    def __str__(self) -> str:
        return f"{self.type}:{self.size}" if self.size else self.type


@dataclass(frozen=True)
class Run:
    """Neighbouring columns of one kind, and the entries of x that they take."""

    kind: Kind
    count: int
    start: int

    @property
    def entries(self) -> slice:
        return slice(self.start, self.start + self.count * self.kind.width)


def kinds_of(text: str) -> tuple[Kind, ...]:
    """The columns that "3*number+count:8" says. Raises: ValueError."""
    found: list[Kind] = []
    for word in text.split("+"):
        times, star, said = word.strip().rpartition("*")
        name, colon, size = said.partition(":")
        if (star and not _is_count(times)) or (colon and not _is_count(size)):
            raise ValueError(
                f"{word!r} is no column: write a type, such as number, count:8 or 3*category:4"
            )
        many = int(times) if star else 1
        if len(found) + many > LARGEST:
            raise ValueError(f"{text[:40]!r} has more than {LARGEST} columns")
        found += [Kind(name, int(size) if colon else 0)] * many
    return tuple(found)


def text_of(kinds: Iterable[Kind]) -> str:
    """The inverse."""
    words = []
    for kind, alike in groupby(kinds):
        many = len(list(alike))
        words.append(f"{many}*{kind}" if many > 1 else str(kind))
    return "+".join(words)


def runs_of(kinds: Sequence[Kind]) -> tuple[Run, ...]:
    """Neighbours of one kind together, so that they are worked out at once."""
    runs = []
    start = 0
    for kind, alike in groupby(kinds):
        run = Run(kind, len(list(alike)), start)
        runs.append(run)
        start = run.entries.stop
    return tuple(runs)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0
