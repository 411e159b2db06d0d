"""Which stored numbers cannot be, by the ranges that their columns say. No torch: a report judges
the trials of earlier code by it.
"""

import math
from collections.abc import Mapping
from typing import Any

from ..hooks import Column

LEVEL = 3e-7  # of refusing a sound model, a rule
CHANCE = -math.log(LEVEL)  # 15 nats
AT_FAULT = {"kl": "q", "bits_per_dim": "q"}  # column -> density that is broken beyond its range


def outside(column: Column, value: float, settings: Mapping[str, Any]) -> str:
    """A value that its own column says cannot be; `settings` are those of the evaluation."""
    if column.low is None and column.high is None:
        return ""
    rows = settings.get(column.rows)
    chance = CHANCE / rows if isinstance(rows, int) and rows > 0 else 0.0
    is_low = column.low is not None and value < column.low - chance - _slack(column.low)
    is_high = column.high is not None and value > column.high + chance + _slack(column.high)
    if not (is_low or is_high):
        return ""
    return f"{column.name} is {value:.6g}, and its range is {_span(column)}"


def impossible(
    columns: Mapping[str, Column], numbers: Mapping[str, float], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Column -> what of these stored numbers cannot be, by their ranges; with a number that says
    that a density is broken go all that rest on it.
    """
    found = {}
    broken = {}
    for name, number in numbers.items():
        column = columns.get(name)
        if column is None or _is_inside(column, number):
            continue
        if seen := outside(column, number, settings):
            found[name] = seen
            broken[AT_FAULT.get(name, "")] = seen
    if not broken:
        return found
    for name, column in ((name, columns[name]) for name in numbers if name in columns):
        for density in filter(None, column.rests_on.split(",")):
            if density in broken:
                found.setdefault(name, broken[density])
    return found


def _is_inside(column: Column, number: float) -> bool:
    """Whether the number is within its range, without the slack that `outside` grants."""
    is_low = column.low is not None and number < column.low
    return not is_low and (column.high is None or number <= column.high)


def _slack(end: float) -> float:
    return 1e-6 * max(1.0, abs(end))


def _span(column: Column) -> str:
    low = "-∞" if column.low is None else f"{column.low:g}"
    high = "∞" if column.high is None else f"{column.high:g}"
    return f"{low} to {high}"
