"""Samples by class, of the variants whose samples read the label."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import PER_PAGE, caption, grid, pages
from .material import Material
from .strips import (
    GAP,
    PICTURE,
    SEQUENCE,
    SEQUENCES,
    finish,
    picture,
    share_axes,
    steps_shown,
    trimmed,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

TITLE = "samples by class (means of p(x|z))"
APART = 0.1  # inches between the pictures of two variants
PLANE = (1.6, 1.6)  # inches of a scatter plot


def by_class(material: Material) -> list["Canvas"]:
    """A column a class; the pictures of a line were drawn from the same noise."""
    found = material.arrays("by_class")
    drawn = []
    for part in pages(found, PER_PAGE):
        blocks = [
            ("data", part[0][1]["by_class_data"]),
            *((name, arrays["by_class"]) for name, arrays in part),
        ]
        drawn.append(_scatters(blocks) if blocks[0][1].ndim == 3 else _blocks(blocks))
    return drawn


def _blocks(blocks: Sequence[tuple[str, np.ndarray]]) -> "Canvas":
    """Pictures (lines, classes, *shape), a block a variant."""
    is_sequence = blocks[0][1].ndim == 4
    blocks = _trimmed(blocks) if is_sequence else blocks
    lines, classes = blocks[0][1].shape[:2]
    size = SEQUENCE if is_sequence else PICTURE
    figure, panels = grid(len(blocks) * lines, classes, size, GAP, lines, APART)
    for line, axes in enumerate(panels):
        name, x = blocks[line // lines]
        for ax, one in zip(axes, x[line % lines], strict=True):
            picture(ax, one, is_plane=False)
        finish(axes, name if line % lines == lines // 2 else "")
    for k, ax in enumerate(panels[-1]):
        ax.set_xlabel(str(k), fontsize=7, labelpad=2)

    below = "class"
    if is_sequence:
        share_axes(panels)
        below += f"; {steps_shown(0, blocks[0][1].shape[2])}"
    caption(figure, TITLE, below, room=0.15)
    return figure


def _trimmed(blocks: Sequence[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """Sequences (lines, classes, T, C) of the first classes, without steps and channels in which
    nothing happens.
    """
    shown = [(name, x[:, :SEQUENCES]) for name, x in blocks]
    lines, classes = shown[0][1].shape[:2]
    flat = trimmed([(name, x.reshape(-1, *x.shape[2:])) for name, x in shown], lines * classes)
    return [(name, x.reshape(lines, classes, *x.shape[1:])) for name, x in flat]


def _scatters(blocks: Sequence[tuple[str, np.ndarray]]) -> "Canvas":
    """Points (N, classes, D), of which the first two numbers are shown: a panel a variant, a colour
    a class.
    """
    columns = min(4, len(blocks))
    figure, panels = grid(math.ceil(len(blocks) / columns), columns, PLANE, (0.04, 0.3))
    data = blocks[0][1]
    for ax, (name, x) in zip(panels.ravel(), blocks, strict=False):
        for k in range(x.shape[1]):
            ax.plot(x[:, k, 0], x[:, k, 1], ".", color=f"C{k % 10}", markersize=2)
        ax.set_title(name, fontsize=8)
        ax.set(xticks=[], yticks=[], xlim=_wide(data[..., 0]), ylim=_wide(data[..., 1]))
    for ax in panels.ravel()[len(blocks) :]:
        ax.set_axis_off()

    below = -0.05 / figure.get_figheight()
    figure.supxlabel(f"{TITLE}, a colour a class", fontsize=8, y=below, va="top")
    return figure


def _wide(values: np.ndarray) -> tuple[float, float]:
    """From the lowest to the highest of the data, and a quarter of that to either side."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low - 0.25 * (high - low), high + 0.25 * (high - low)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("by-class", by_class)]
