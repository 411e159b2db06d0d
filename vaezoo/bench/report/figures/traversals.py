"""Walks through the codes: along one number of them, and from one row's code to another's."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import NAMES, caption, lines_that_fit, pages
from .material import Material
from .sheets import GAP, Line, sheet
from .strips import PICTURE

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

ALONG = "traversals: one number of a code, from its 1 % to its 99 % quantile over test rows"
BETWEEN = "interpolations: between the codes of two test rows, which stand at the ends"
APART = 0.1  # inches between two variants
UNITS = 3  # of those that were kept
PAIRS = 2
Block = tuple[str, np.ndarray, Sequence[str]]  # name, pictures (lines, steps, *shape), their labels


def traversals(material: Material) -> Iterator["Canvas"]:
    """Means of p(x|z) where one number of the code of the first test row is changed: a line for
    each of the numbers whose centres vary most.
    """
    found = []
    for name, arrays in material.arrays("traversal"):
        units = arrays["traversal_units"][:UNITS].astype(int)
        labels = [f"z{unit + 1}" for unit in units]
        found.append((name, arrays["traversal"][:UNITS], labels))
    return _drawn(found, ALONG, material.width)


def interpolations(material: Material) -> Iterator["Canvas"]:
    """Means of p(x|z) on the straight line from the code of one test row to that of another; the
    outermost pictures are the two rows.
    """
    found = []
    for name, arrays in material.arrays("interpolation"):
        found.append((name, arrays["interpolation"][:PAIRS], [""] * PAIRS))
    return _drawn(found, BETWEEN, material.width)


def _drawn(found: Sequence[Block], title: str, width: float) -> Iterator["Canvas"]:
    if not found:
        return
    (lines, steps) = found[0][1].shape[:2]
    size = min(PICTURE[0], (width - NAMES + GAP[0]) / steps - GAP[0])
    each = max(1, lines_that_fit(size, GAP[1] + APART / lines) // lines)
    for page in pages(found, each):
        yield blocks(page, title, size)


def blocks(found: Sequence[Block], title: str, size: float = PICTURE[0]) -> "Canvas":
    """A block a variant, its name to the left."""
    each = max(len(x) for _, x, _ in found)
    steps = found[0][1].shape[1]
    lines = []
    for name, x, labels in found:
        for at in range(each):
            label = labels[at] if at < len(labels) else ""
            words = f"{name}  {label}".rstrip() if at == 0 else label
            lines.append(Line(words, x[at] if at < len(x) else ()))
    figure = sheet(lines, steps, (size, size), block=each, apart=APART)
    caption(figure, title)
    return figure


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("traversals", traversals), Figure("interpolations", interpolations)]
