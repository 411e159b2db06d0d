"""Sweeps: rows of one variant that differ in one quantity and in nothing else.

A quantity is a size of the model (latent), a number of training rows, a field of the budget, a
hyperparameter, or an option of the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...registry.selection import read_selection
from ..trial import canonical
from .rows import Row

FEWEST = 3  # points that make a line
ROWS = "rows"  # the option of data sets that gives their number of training rows
OPTION = "data."  # before an option of the data set, which may be called like a hyperparameter
Json = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One quantity on one data set: the rows of each line, by the value that they have of it."""

    dataset: str  # without the option that is varied
    quantity: str
    lines: dict[str, list[tuple[float, Row]]]

    @property
    def rows(self) -> list[tuple[float, Row]]:
        """(value of the quantity, row), line by line."""
        return [point for line in self.lines.values() for point in line]


def sweeps(rows: Sequence[Row]) -> list[Sweep]:
    """The sweeps that stand in these rows."""
    facts = [(row, _numbers(row)) for row in rows if row.done]
    quantities = sorted(set().union(*(numbers for _, numbers in facts)))

    found: dict[tuple[str, str], dict[str, list[tuple[float, Row]]]] = {}
    for name in quantities:
        for line in _lines(name, facts):
            first = line[0][1]
            key = _family(first, name), name.removeprefix(OPTION)
            in_order = sorted(line, key=lambda point: point[0])
            found.setdefault(key, {})[_label(first, name)] = in_order
    return [Sweep(dataset, quantity, lines) for (dataset, quantity), lines in found.items()]


def _lines(name: str, facts: Sequence[tuple[Row, Json]]) -> list[list[tuple[float, Row]]]:
    """Groups of rows that differ in this quantity alone and have `FEWEST` values of it or more."""
    lines: dict[str, list[tuple[float, Row]]] = {}
    for row, numbers in facts:
        if name in numbers:
            rest = {key: value for key, value in numbers.items() if key != name}
            identity = [_variant(row), _without(row.variant, name), _family(row, name), rest]
            lines.setdefault(canonical(identity), []).append((numbers[name], row))
    return [line for line in lines.values() if _values(line) >= FEWEST]


def _values(line: Sequence[tuple[float, Row]]) -> int:
    """How many values of the quantity there are."""
    return len({value for value, _ in line})


def _numbers(row: Row) -> Json:
    """What a row can be varied in: spec, budget, hyperparameters and the data set's options, as far
    as they are numbers.
    """
    made_of = row.trials[0].ingredients
    merged: Json = made_of.spec | made_of.budget | made_of.hyperparameters
    for key, value in _options(row.dataset).items():
        if key != ROWS:  # they are n_train
            merged[OPTION + key] = value
    return {
        key: value
        for key, value in merged.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _options(label: str) -> Json:
    """What stands in the brackets of a label, numbers as such."""
    return {
        key: _number(value) for key, (value,) in read_selection(label, "name")[0].sweeps.items()
    }


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _without(label: str, *keys: str) -> str:
    """The label, these keys not in its brackets."""
    item = read_selection(label, "name")[0]
    left = ",".join(f"{key}={value}" for key, (value,) in item.sweeps.items() if key not in keys)
    return f"{item.pattern}[{left}]" if left else item.pattern


def _variant(row: Row) -> str:
    return row.trials[0].ingredients.name


def _family(row: Row, name: str) -> str:
    """The data set, without what the quantity `name` changes of it."""
    if name == "n_train":
        return _without(row.dataset, ROWS)
    changed = [name.removeprefix(OPTION)] if name.startswith(OPTION) else []
    return _without(row.dataset, *changed)


def _label(row: Row, name: str) -> str:
    """The row, the quantity `name` not among what is said of it."""
    settings = [one for one in row.settings.split(", ") if one and not one.startswith(f"{name}=")]
    variant = row.variant if name.startswith(OPTION) else _without(row.variant, name)
    return f"{variant} {{{', '.join(settings)}}}" if settings else variant
