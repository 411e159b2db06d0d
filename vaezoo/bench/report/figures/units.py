"""How much each unit of the code tells of x: its KL."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import PAGE, cells, columns_that_fit, label, lines_that_fit, pages
from .material import Material
from .palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANEL = (1.3, 0.7)  # inches
GAP = (0.15, 0.36)
LABELS = 0.65  # inches to the left of the panels


def units(material: Material) -> Iterator["Canvas"]:
    """KL of every unit, the largest first, a panel a variant on one scale."""
    found = [(name, arrays["kl_of_units"]) for name, arrays in material.arrays("kl_of_units")]
    most = max((float(kl.max()) for _, kl in found), default=0.0)
    across = columns_that_fit(material.width, PANEL[0], GAP[0], LABELS)
    size = across * lines_that_fit(PANEL[1], GAP[1])
    for page in pages(found, size):
        yield panels(page, most, material.width)


def panels(found: Sequence[tuple[str, np.ndarray]], most: float, width: float = PAGE) -> "Canvas":
    """A panel for each (name, KL of its units (D,)), none of which is above `most`."""
    across = columns_that_fit(width, PANEL[0], GAP[0], LABELS)
    figure, axes = cells(len(found), across, PANEL, GAP)
    for i, (ax, (name, kl)) in enumerate(zip(axes, found, strict=True)):
        _draw_bars(ax, name, kl, most)
        ax.tick_params(labelsize=6, labelleft=i % across == 0)
    label(figure, "unit, by its KL", 0.2, "KL, nats", 0.45)
    return figure


def _draw_bars(ax: "Axes", name: str, kl: np.ndarray, most: float) -> None:
    """A bar for each unit, the largest KL first, below `most`."""
    ax.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], width=0.8, color=INK)
    ax.set_ylim(0, 1.05 * most or 1.0)
    ax.set_title(name, fontsize=7, pad=3)
    ax.locator_params(axis="x", integer=True)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("units", units)]
