"""How much each unit of the code tells of x: its KL."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import INK, PER_PAGE, grid, pages
from .material import Material

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLUMNS = 4


def units(material: Material) -> list["Canvas"]:
    """KL of every unit, the largest first, a panel a variant on one scale."""
    found = [(name, arrays["kl_of_units"]) for name, arrays in material.arrays("kl_of_units")]
    most = max((float(kl.max()) for _, kl in found), default=0.0)
    return [panels(page, most) for page in pages(found, 2 * PER_PAGE)]


def panels(found: Sequence[tuple[str, np.ndarray]], most: float) -> "Canvas":
    """A panel for each (name, KL of its units (D,)), none of which is above `most`."""
    columns = min(COLUMNS, len(found))
    lines = math.ceil(len(found) / columns)
    figure, axes = grid(lines, columns, (1.7, 0.8), (0.2, 0.4))
    for i, ax in enumerate(axes.ravel()):
        if i >= len(found):
            ax.set_axis_off()
            continue
        _draw_bars(ax, *found[i], most)
        ax.tick_params(labelsize=6, labelleft=i % columns == 0)

    # labels lie outside the panels: saving takes them in
    height = figure.get_figheight()
    width = figure.get_figwidth()
    figure.supxlabel("unit, by its KL", fontsize=8, y=-0.2 / height, va="top")
    figure.supylabel("KL, nats", fontsize=8, x=-0.45 / width, ha="right")
    return figure


def _draw_bars(ax: "Axes", name: str, kl: np.ndarray, most: float) -> None:
    """A bar for each unit, the largest KL first, below `most`."""
    ax.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], width=0.8, color=INK)
    ax.set_ylim(0, 1.05 * most or 1.0)
    ax.set_title(name, fontsize=8)
    ax.locator_params(axis="x", integer=True)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("units", units)]
