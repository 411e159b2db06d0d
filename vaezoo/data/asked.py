"""What a user says of a file, where it does not speak for itself."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .columns import Column

AUTO = "auto"
NONE = "none"
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
DECIMALS = {"point": ".", "comma": ","}

# Of one file alone, or said better by the columns that a reader keeps.
UNSAID = {"names", "known", "types", "is_mixed"}


@dataclass(frozen=True)
class Asked:
    """The options of `arrays` and `table` that say how a file is read; "auto" and "" leave it to
    the file.
    """

    label: str = ""  # the column or array of labels; "none" for none
    id: str = ""  # the column that names the rows, or the sequences of a long table
    drop: str = ""  # columns or arrays to leave out, joined by +
    header: str = AUTO  # whether the first line holds names: true or false
    index: str = AUTO  # whether the first column only names the rows: true or false
    separator: str = AUTO  # one of SEPARATORS
    decimal: str = AUTO  # one of DECIMALS
    encoding: str = AUTO  # such as cp1252; UTF-8 and UTF-16 are recognised
    columns: str = ""  # those that are x, joined by +; all others are left out
    missing: str = ""  # of a mixed table: what marks a gap, joined by +; none: nothing
    # of a long table: whether steps stand at their times, true; or these times, joined by +
    times: str = ""
    types: str = ""  # of a mixed table, see `guess`
    is_mixed: bool = False  # whether columns may be of words and have gaps
    # Columns that a model was trained on: those are read, in this order, and what was said of
    # others may be lacking.
    names: tuple[str, ...] = ()
    known: tuple[Column, ...] = ()  # the same with their types and words, of a mixed table

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(name for name in self.drop.split("+") if name)

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns.split("+") if name)

    @property
    def spoken_of(self) -> set[str]:
        """The columns that there must be, for something is said of them."""
        return {self.label, self.id, *self.dropped, *self.chosen, *self.names}

    @property
    def marks(self) -> tuple[str, ...]:
        """What marks a gap, beside an empty cell."""
        if self.says_no_marks:
            return ()
        return tuple(word.strip() for word in self.missing.split("+") if word.strip())

    @property
    def says_no_marks(self) -> bool:
        """Whether `missing=none` was said; among several, as in none+none, it is a mark."""
        return self.missing.strip().lower() == NONE

    def said(self) -> dict[str, str]:
        """What was said, for another file of the same make."""
        usual = Asked()
        values = {each.name: str(getattr(self, each.name)) for each in fields(self)}
        for name in UNSAID:
            del values[name]
        return {name: value for name, value in values.items() if value != getattr(usual, name)}

    @classmethod
    def again(cls, said: Mapping[str, str]) -> "Asked":
        """What `said` gave; names that are unknown here are of a later version, and left out."""
        known = {each.name for each in fields(cls)} - UNSAID
        plain: dict[str, Any] = {name: value for name, value in said.items() if name in known}
        return cls(**plain)
