"""Views of one thing, each told from the others."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import pages
from .material import Arrays, Material
from .strips import lines_of, strips

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Strip = tuple[str, np.ndarray]


def cross_views(material: Material) -> Iterator["Canvas"]:
    """Test rows of two views or more: the views that are given on top, then the one that is to be
    told, below it what each variant makes of it.
    """
    found = material.arrays("view_0")
    if not found:
        return
    names = [view["name"] for view in material.rows[0].trials[0].ingredients.spec["views"]]
    for i, name in enumerate(names):
        if found[0][1][f"view_{i}"].ndim > 2:  # vectors are no pictures
            yield from _of(i, names, found, f"{name}, told from the rest", material.width)


def _of(
    i: int, names: Sequence[str], found: Sequence[tuple[str, Arrays]], title: str, width: float
) -> Iterator["Canvas"]:
    first = found[0][1]
    above: list[Strip] = []
    for j, name in enumerate(names):
        if j != i and first[f"view_{j}"].ndim == first[f"view_{i}"].ndim:
            above.append((f"given {name}", first[f"view_{j}"]))
    above.append((f"true {names[i]}", first[f"view_{i}"]))
    told = [(variant, arrays[f"told_{i}"]) for variant, arrays in found]
    most = max(1, lines_of([*above, *told]) - len(above))
    for part in pages(told, most):
        yield strips([*above, *part], title, width=width)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("cross-views", cross_views)]
