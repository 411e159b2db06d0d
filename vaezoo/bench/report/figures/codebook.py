"""How much of a codebook is used."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import cells, columns_that_fit, label, lines_that_fit, pages
from .material import Arrays, Material
from .palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANEL = (1.9, 1.0)  # inches
GAP = (0.4, 0.5)
EDGE = 0.6


def codebook(material: Material) -> Iterator["Canvas"]:
    """Of variants with discrete codes: the share of codes that each entry takes over test rows, the
    most used first, with the number in use and the perplexity, exp of the entropy.
    """
    found = material.arrays("codebook")
    across = columns_that_fit(material.width, PANEL[0], GAP[0], EDGE)
    size = across * lines_that_fit(PANEL[1], GAP[1])
    for page in pages(found, size):
        yield panels(page, across)


def panels(found: Sequence[tuple[str, Arrays]], across: int) -> "Canvas":
    """A panel a variant, so many side by side."""
    figure, axes = cells(len(found), across, PANEL, GAP)
    for ax, (name, arrays) in zip(axes, found, strict=True):
        size = arrays.get("codebook_size")
        _draw(ax, name, arrays["codebook"], None if size is None else int(size[0]))
    label(figure, "entry, by its use", 0.25, "share of codes", 0.4)
    return figure


def _draw(ax: "Axes", name: str, counts: np.ndarray, size: int | None) -> None:
    share = counts / counts.sum()
    perplexity = math.exp(-(share * np.log(share)).sum())
    used = f"{len(counts)}" if size is None else f"{len(counts)} of {size}"
    ax.bar(np.arange(1, len(share) + 1), share, width=1.0, color=INK)
    ax.set_xlim(0.5, max(len(counts), size or 0) + 0.5)
    ax.set_title(f"{name}: {used} used, perplexity {perplexity:.1f}", fontsize=7, pad=3)
    ax.locator_params(axis="y", nbins=4)
    ax.tick_params(labelsize=6, pad=2)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("codebook", codebook)]
