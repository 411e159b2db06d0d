"""`vaezoo matrix`: which parts compose. Every pair is built at toy size and takes one step, the
other parts as usual, or as one of the two needs them.

A pair that cannot be is refused with its reason; a pair that computes but is no bound is marked.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import torch

from ..core import Unsupported
from ..registry.registry import Registry
from .case import Case

Parts = dict[str, str]  # names by kind
KINDS = ("prior", "decoder", "encoder", "loss")  # in the order in which company is sought
SIGNS = {"bound": "yes", "no bound": "no bound", "refused": "–", "failed": "FAILS"}
DOCUMENT = (  # rows, columns, kind of toy data: what docs/matrix.md shows
    ("loss", "encoder", "grey image"),
    ("prior", "encoder", "grey image"),
    ("loss", "prior", "grey image"),
    ("decoder", "encoder", "grey image"),
    ("loss", "encoder", "sequence"),
)
HEAD = """# Which parts compose

Written by `make docs` (`vaezoo matrix --document`). Every pair was built at toy size and took one
training step. The other two parts were at their defaults; a part that cannot go with these brings
company, which the notes name.

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
    parts: Parts = field(default_factory=dict)  # what was built: the pair and its company


def pairs(
    registry: Registry, rows: str = "encoder", columns: str = "prior", kind: str = "image"
) -> Iterator[Cell]:
    """Every pair of a part of kind `rows` with one of kind `columns`, with the company that either
    needs, the other parts at their defaults.
    """
    beside: dict[tuple[str, str], Parts] = {}
    for of in (rows, columns):
        for name in registry.parts[of]:
            beside[of, name] = company(registry, of, name, kind)

    for first, second in product(registry.parts[rows], registry.parts[columns]):
        pair = {rows: first, columns: second}
        parts = dict(pair)
        for needs in (beside[columns, second], beside[rows, first]):
            if all(pair.get(of, name) == name for of, name in needs.items()):
                parts |= needs
        yield Cell(first, second, *attempt(registry, parts, kind), parts)


def company(registry: Registry, of: str, name: str, kind: str) -> Parts:
    """The fewest other parts with which this one composes: none where the defaults will do, and
    none where nothing does. Parts of its own file are tried before others.
    """
    home = registry.parts[of][name].build.__module__
    names: dict[str, list[str]] = {}
    for other in KINDS:
        built = registry.parts[other]
        names[other] = sorted(built, key=lambda n: (built[n].build.__module__ != home, n))

    free = [other for other in KINDS if other != of]
    for size in range(3):
        for changed in combinations(free, size):
            for chosen in product(*(names[other] for other in changed)):
                parts = dict(zip(changed, chosen, strict=True))
                if not Case(registry.variants["mix"], kind, {of: name, **parts}).refusal:
                    return parts
    return {}


def attempt(registry: Registry, parts: dict[str, str], kind: str) -> tuple[str, str]:
    """Build `mix` of these parts and take one step of it. What is refused later than when it is
    built has failed.
    """
    case = Case(registry.variants["mix"], kind, dict(parts))
    try:
        model = case.build().train()
    except Unsupported as why:
        return "refused", str(why)
    except Exception as error:
        return "failed", _words(error)
    try:
        terms = case.terms(model, 16)
        terms["loss"].backward()
    except Exception as error:  # the table is there to show this too
        return "failed", _words(error)
    if not torch.isfinite(terms["loss"]):
        return "failed", "the loss is not finite"
    return ("no bound", model.no_density) if model.no_density else ("bound", "")


def _words(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0] if words else ''}"


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
    reasons = [f"[{number}] {reason}  " for reason, number in notes.items()]
    return "\n".join([*lines, "", *reasons, *_companies(cells, rows, columns)])


def _companies(cells: Sequence[Cell], rows: str, columns: str) -> Iterator[str]:
    """What was not at its default, and for whose sake, a line for each company."""
    pairs: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        beside = [f"{of}={name}" for of, name in cell.parts.items() if of not in (rows, columns)]
        pairs[", ".join(sorted(beside))].append(cell)
    for beside_them, them in pairs.items():
        across = dict.fromkeys(cell.second for cell in them)
        down = dict.fromkeys(cell.first for cell in them)
        if beside_them:
            for_them = across if len(across) <= len(down) else down
            yield f"With {beside_them}: {', '.join(for_them)}.  "


def document(registry: Registry) -> str:
    """docs/matrix.md: the tables of `DOCUMENT`."""
    sections = [HEAD]
    for rows, columns, kind in DOCUMENT:
        cells = list(pairs(registry, rows, columns, kind))
        sections.append(
            f"## {rows.capitalize()} × {columns}, {kind}s\n\n{markdown(cells, rows, columns)}"
        )
    return "\n\n".join(sections) + "\n"
