"""Where hyperparameters are drawn from: ranges that follow from the annotation and the default.

| annotation | drawn from |
|---|---|
| bool, Literal | its values, each as likely |
| int | default/4 … 4·default, log-uniform; 0 … 4 where the default is 0 |
| float with both limits | what lies between them, uniform |
| float ≥ or > a limit | default/10 … 10·default, log-uniform; 0 … 1 where the default is 0 |

All within the annotation's limits. What is none of these stays at its default.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import numpy as np

from ...hyperparameters import Hyperparameter

DIGITS = 3  # significant ones: what is drawn can be read and typed again
Generator = np.random.Generator
Draw = Callable[[Generator], Any]


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter that is tuned."""

    name: str
    draw: Draw
    words: str  # what it is drawn from


def space(
    known: Mapping[str, Hyperparameter], fixed: Collection[str] = ()
) -> tuple[list[Dimension], list[str]]:
    """What can be tuned among these hyperparameters, and the names of those that cannot; `fixed`
    are neither.
    """
    tuned = []
    left = []
    for name, one in known.items():
        if name in fixed:
            continue
        found = _dimension(one)
        if found is None:
            left.append(name)
        else:
            tuned.append(found)
    return tuned, left


def _dimension(known: Hyperparameter) -> Dimension | None:
    if values := _choices(known.annotation):
        words = " | ".join(map(str, values))
        return Dimension(known.name, lambda g: values[g.integers(len(values))], words)
    kind = get_args(known.annotation)[0] if get_args(known.annotation) else known.annotation
    default = known.default
    if kind not in (int, float) or isinstance(default, bool):
        return None
    if not isinstance(default, int | float):
        return None
    limits = _limits(known)
    return _counts(known.name, default, limits) if kind is int else _reals(known, default, limits)


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a bool or a Literal; none of anything else."""
    if annotation is bool:
        return (False, True)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _limits(known: Hyperparameter) -> tuple[float, float]:
    low = max(known.limits.get("gt", -math.inf), known.limits.get("ge", -math.inf))
    high = min(known.limits.get("lt", math.inf), known.limits.get("le", math.inf))
    return low, high


def _counts(name: str, default: float, limits: tuple[float, float]) -> Dimension:
    low = max(default / 4, limits[0], 1)
    high = min(4 * default, limits[1])
    if default == 0:
        low, high = 0, 4
        return Dimension(name, lambda g: int(g.integers(low, high + 1)), f"{low} … {high}")
    first = math.ceil(low)
    last = math.floor(high)

    def draw(generator: Generator) -> int:
        # the logarithm of k - ½ … k + ½ is the share of k
        found = math.exp(generator.uniform(math.log(first - 0.5), math.log(last + 0.5)))
        return min(max(round(found), first), last)

    return Dimension(name, draw, f"{first} … {last}, log")


def _reals(known: Hyperparameter, default: float, limits: tuple[float, float]) -> Dimension | None:
    low, high = limits
    if math.isfinite(low) and math.isfinite(high):
        return _uniform(known, low, high)
    if low < 0:  # no scale to draw from
        return None
    if default == 0:
        return _uniform(known, 0.0, 1.0)
    low = max(low, default / 10)
    high = min(high, 10 * default)

    def draw(generator: Generator) -> float:
        return _short(math.exp(generator.uniform(math.log(low), math.log(high))))

    return Dimension(known.name, draw, f"{low:g} … {high:g}, log")


def _uniform(known: Hyperparameter, low: float, high: float) -> Dimension:
    def draw(generator: Generator) -> float:
        while True:  # a limit that is not itself allowed may come out of rounding
            found = _short(generator.uniform(low, high))
            if known.limits.get("gt", -math.inf) < found < known.limits.get("lt", math.inf):
                return found

    return Dimension(known.name, draw, f"{low:g} … {high:g}")


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
