"""`vaezoo matrix`: which parts compose. Every pair is built at toy size and takes one step, the
other parts as usual.

A pair that cannot be is refused with its reason; a pair that computes but is no bound is marked.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from ..core import Unsupported
from ..registry.registry import Registry
from .case import Case

SIGNS = {"bound": "yes", "no bound": "no bound", "refused": "–", "failed": "FAILS"}
DOCUMENT = (  # rows, columns, kind of toy data: what docs/matrix.md shows
    ("loss", "encoder", "image"),
    ("prior", "encoder", "image"),
    ("loss", "prior", "image"),
    ("decoder", "encoder", "grey image"),
    ("loss", "encoder", "sequence"),
)
HEAD = """# Which parts compose

Written by `make docs` (`vaezoo matrix --document`). Every pair was built at toy size and took one
training step, with the other two parts at their defaults.

* "yes": it trains, and its tables hold a bound on log p(x).
* "no bound": it trains, and the columns of the bound show a dash, for the reason given.
* "–": it is refused when it is built, before any training, for the reason given.
* "FAILS": it fails in another way, which is a fault of ours. No pair may say so."""


@dataclass(frozen=True)
class Cell:
    """What became of one combination."""

    first: str
    second: str
    answer: str  # "bound", "no bound", "refused" or "failed"
    reason: str = ""


def pairs(
    registry: Registry, rows: str = "encoder", columns: str = "prior", kind: str = "image"
) -> Iterator[Cell]:
    """Every pair of a part of kind `rows` with one of kind `columns`, the other two parts at their
    defaults.
    """
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


def markdown(cells: Sequence[Cell], rows: str, columns: str) -> str:
    """A row a part; below, why each refused pair is refused."""
    across = list(dict.fromkeys(cell.second for cell in cells))
    lines = [f"| {rows} \\ {columns} | {' | '.join(across)} |", "|---" * (len(across) + 1) + "|"]
    notes: dict[str, int] = {}
    by_row: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        note = f" [{notes.setdefault(cell.reason, len(notes) + 1)}]" if cell.reason else ""
        by_row[cell.first].append(SIGNS[cell.answer] + note)
    lines += [f"| {first} | {' | '.join(words)} |" for first, words in by_row.items()]
    return "\n".join([*lines, "", *(f"[{number}] {reason}  " for reason, number in notes.items())])


def document(registry: Registry) -> str:
    """docs/matrix.md: the tables of `DOCUMENT`."""
    sections = [HEAD]
    for rows, columns, kind in DOCUMENT:
        cells = list(pairs(registry, rows, columns, kind))
        sections.append(
            f"## {rows.capitalize()} × {columns}, {kind}s\n\n{markdown(cells, rows, columns)}"
        )
    return "\n\n".join(sections) + "\n"
