"""`vaezoo matrix`: which parts compose. Every posterior × prior × loss is built at toy size and takes one step.

A pair that cannot be is refused with its reason; a pair that computes but is no bound is marked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch

from .check import Case
from .core import Unsupported
from .registry import Registry


@dataclass(frozen=True)
class Cell:
    """What became of one combination."""

    first: str
    second: str
    answer: str  # "bound", "no bound", "refused" or "failed"
    reason: str = ""


def pairs(registry: Registry, rows: str = "encoder", columns: str = "prior", kind: str = "image") -> Iterator[Cell]:
    """Every pair of a part of kind `rows` with one of kind `columns`, the other two parts at their defaults."""
    for first, second in product(registry.parts[rows], registry.parts[columns]):
        answer, reason = attempt(registry, {rows: first, columns: second}, kind)
        yield Cell(first, second, answer, reason)


def attempt(registry: Registry, parts: dict[str, str], kind: str) -> tuple[str, str]:
    """Build `mix` of these parts and take one step of it."""
    case = Case(registry.variants["mix"], kind, dict(parts))
    try:
        model = case.build().train()
        terms = case.terms(model, 16)
        terms["loss"].backward()
    except Unsupported as why:
        return "refused", str(why)
    except Exception as error:  # the table is there to show this too
        words = str(error).strip().splitlines()
        return "failed", f"{type(error).__name__}: {words[0] if words else ''}"
    if not torch.isfinite(terms["loss"]):
        return "failed", "the loss is not finite"
    return ("no bound", model.no_density) if model.no_density else ("bound", "")
