"""Samples by class, of the variants whose samples read the label."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import PAGE, caption, cells, columns_that_fit, label, lines_that_fit, pages
from .clouds import plane
from .material import Arrays, Material
from .palette import mark
from .sheets import GAP, Line, sheet
from .strips import (
    PICTURE,
    SEQUENCE,
    fitting,
    steps_shown,
    trimmed,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

TITLE = "samples by class (means of p(x|z))"
APART = 0.1  # inches between the pictures of two variants
PLANE = (1.6, 1.6)  # inches of a scatter plot
Blocks = Sequence[tuple[str, np.ndarray]]  # a variant's name, and what it drew


def by_class(material: Material) -> Iterator["Canvas"]:
    """A column a class, as many pages as the classes take; the pictures of a line were drawn from
    the same noise.
    """
    found = material.arrays("by_class")
    for part in pages(found, _variants_of_a_page(found)):
        blocks = [
            ("data", part[0][1]["by_class_data"]),
            *((name, arrays["by_class"]) for name, arrays in part),
        ]
        is_points = blocks[0][1].ndim == 3
        draw = _scatters if is_points else _strips
        yield from draw(blocks, material.width)


def _variants_of_a_page(found: Sequence[tuple[str, Arrays]]) -> int:
    """Beside the data."""
    if not found:
        return 1
    x = found[0][1]["by_class"]
    if x.ndim == 3:
        return 15  # panels of points
    size = SEQUENCE if x.ndim == 4 else PICTURE
    return max(1, lines_that_fit(size[1], GAP[1] + APART / len(x)) // len(x) - 1)


def _strips(blocks: Blocks, width: float = PAGE) -> Iterator["Canvas"]:
    """Pictures (lines, classes, *shape) of all classes, on pages of about as many."""
    x = blocks[0][1]
    classes = x.shape[1]
    (most, _) = fitting(classes, x.ndim == 4, width)
    each = math.ceil(classes / math.ceil(classes / most))
    for part in pages(range(classes), each):
        own = [(name, x[:, part[0] : part[-1] + 1]) for name, x in blocks]
        yield _blocks(own, width, part[0])


def _blocks(blocks: Blocks, width: float, first: int) -> "Canvas":
    """Pictures (lines, classes, *shape) of classes from `first` on, a block a variant."""
    is_sequence = blocks[0][1].ndim == 4
    blocks = _trimmed(blocks) if is_sequence else blocks
    lines, classes = blocks[0][1].shape[:2]
    (_, size) = fitting(classes, is_sequence, width)
    drawn = []
    for name, x in blocks:
        for at in range(lines):
            drawn.append(Line(name if at == lines // 2 else "", x[at]))
    drawn[-1] = drawn[-1]._replace(below=[str(first + k) for k in range(classes)], size=7)
    figure = sheet(drawn, classes, size, block=lines, apart=APART, is_shared=is_sequence)

    below = "class"
    if is_sequence:
        below += f"; {steps_shown(0, blocks[0][1].shape[2])}"
    caption(figure, TITLE, below, room=0.15)
    return figure


def _trimmed(blocks: Blocks) -> Blocks:
    """Sequences (lines, classes, T, C), without steps and channels in which nothing happens."""
    lines, classes = blocks[0][1].shape[:2]
    flat = trimmed([(name, x.reshape(-1, *x.shape[2:])) for name, x in blocks], lines * classes)
    return [(name, x.reshape(lines, classes, *x.shape[1:])) for name, x in flat]


def _scatters(blocks: Blocks, width: float = PAGE) -> Iterator["Canvas"]:
    """Points (N, classes, D), of which the first two numbers are shown: a panel a variant, a colour
    and a mark a class, all on the scale of the data.
    """
    across = columns_that_fit(width, PLANE[0], GAP[0], 0.4)
    figure, panels = cells(len(blocks), across, PLANE, (0.12, 0.3))
    data = blocks[0][1]
    for i, (ax, (name, x)) in enumerate(zip(panels, blocks, strict=True)):
        for k in range(x.shape[1]):
            ax.plot(x[:, k, 0], x[:, k, 1], markersize=2, **mark(k).small)
        ax.set_title(name, fontsize=8, pad=3)
        plane(ax, data.reshape(-1, data.shape[-1]), is_labelled=i % across == 0)
    label(figure, f"{TITLE}, a colour and a mark a class", 0.25)
    yield figure


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("by-class", by_class)]
