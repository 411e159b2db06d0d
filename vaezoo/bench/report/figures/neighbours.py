"""Samples above the training rows that are nearest to them: whether a model copies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from .canvas import PAGE, caption, grid, lines_that_fit, pages
from .material import Arrays, Material
from .strips import GAP, PICTURE, finish, fitting, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

BELOW = 0.2  # inches for a number
TITLE = "samples, below each the nearest training row and its distance"


def neighbours(material: Material) -> list["Canvas"]:
    """Samples (means of p(x|z)) and the training rows nearest to them in Euclidean distance. The
    number is that distance as a multiple of what a test row has in the median; means are smoother
    than rows, and lie nearer.
    """
    found = material.arrays("neighbour")
    each = max(1, int(lines_that_fit(PICTURE[1], GAP[1] + BELOW / 2) / 2))
    return [pairs(page, material.width) for page in pages(found, each)]


def pairs(found: Sequence[tuple[str, Arrays]], width: float = PAGE) -> "Canvas":
    """Two lines a variant."""
    (n, size) = fitting(len(found[0][1]["neighbour"]), False, width)
    figure, panels = grid(2 * len(found), n, size, GAP, 2, BELOW)
    for i, (name, arrays) in enumerate(found):
        above, below = panels[2 * i], panels[2 * i + 1]
        usual = float(arrays["neighbour_of_test"][0]) or 1.0
        for k in range(n):
            picture(above[k], arrays["neighbour_sample"][k])
            picture(below[k], arrays["neighbour"][k])
            distance = float(arrays["neighbour_distance"][k]) / usual
            below[k].set_xlabel(f"{distance:.2f}", fontsize=6, labelpad=2)
        finish(above, name)
        finish(below, "nearest")
    words = "distance, as a multiple of the median of test rows"
    caption(figure, TITLE, words, room=0.15)
    return figure


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("neighbours", neighbours)]
