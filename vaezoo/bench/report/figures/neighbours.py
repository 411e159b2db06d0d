"""Samples above the training rows that are nearest to them: whether a model copies."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from .canvas import PAGE, caption, lines_that_fit, pages
from .material import Arrays, Material
from .sheets import GAP, Line, sheet
from .strips import PICTURE, fitting

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

BELOW = 0.2  # inches for a number
TITLE = "samples, below each the nearest training row and its distance"


def neighbours(material: Material) -> Iterator["Canvas"]:
    """Samples (means of p(x|z)) and the training rows nearest to them in Euclidean distance. The
    number is that distance as a multiple of what a test row has in the median; means are smoother
    than rows, and lie nearer.
    """
    found = material.arrays("neighbour")
    each = max(1, int(lines_that_fit(PICTURE[1], GAP[1] + BELOW / 2) / 2))
    for page in pages(found, each):
        yield pairs(page, material.width)


def pairs(found: Sequence[tuple[str, Arrays]], width: float = PAGE) -> "Canvas":
    """Two lines a variant."""
    (n, size) = fitting(len(found[0][1]["neighbour"]), False, width)
    lines = []
    for name, arrays in found:
        usual = float(arrays["neighbour_of_test"][0]) or 1.0
        distances = [f"{float(one) / usual:.2f}" for one in arrays["neighbour_distance"][:n]]
        lines.append(Line(name, arrays["neighbour_sample"][:n]))
        lines.append(Line("nearest", arrays["neighbour"][:n], distances))
    figure = sheet(lines, n, size, block=2, apart=BELOW)
    words = "distance, as a multiple of the median of test rows"
    caption(figure, TITLE, words, room=0.15)
    return figure


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("neighbours", neighbours)]
