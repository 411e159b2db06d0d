"""Learning curves."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ....hooks import Figure, hookimpl
from .canvas import PAGE, cells, columns_that_fit, label, lines_that_fit, pages
from .material import Curve, Material
from .palette import ACCENT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANEL = (1.2, 0.8)  # inches
GAP = (0.42, 0.42)
LABELS = 0.75  # inches to the left of the panels


def curves(material: Material) -> Iterator["Canvas"]:
    """Validation loss by epoch, a panel a variant, because losses of two variants are not on one
    scale.
    """
    every = [(row.name, material.curves(row)) for row in material.rows]
    found = [(name, seeds) for name, seeds in every if seeds]
    across = columns_that_fit(material.width, PANEL[0], GAP[0], LABELS)
    size = across * lines_that_fit(PANEL[1], GAP[1])
    for page in pages(found, size):
        yield panels(page, material.width)


def panels(found: Sequence[tuple[str, Sequence[Curve]]], width: float = PAGE) -> "Canvas":
    """A panel a variant, a line a seed."""
    across = columns_that_fit(width, PANEL[0], GAP[0], LABELS)
    figure, axes = cells(len(found), across, PANEL, GAP)
    for ax, (name, seeds) in zip(axes, found, strict=True):
        for curve in seeds:
            _draw_curve(ax, curve)
        ax.set_title(name, fontsize=7, pad=3)
        ax.tick_params(labelsize=6, pad=2)
        ax.locator_params(axis="x", integer=True)
        ax.locator_params(axis="y", nbins=4)
    label(figure, "epoch (dot: the epoch returned to)", 0.22, "validation loss", 0.36)
    return figure


def _draw_curve(ax: "Axes", curve: Curve) -> None:
    epochs, losses, best = curve
    at_best = losses[epochs.index(best)] if best in epochs else math.nan
    ax.plot(epochs, losses, color=INK, linewidth=0.9, alpha=0.7)
    ax.plot([best], [at_best], "o", color=ACCENT, markersize=3)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("learning-curves", curves)]
