"""Maps of the codes of test rows in two dimensions."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import cells, columns_that_fit, label, lines_that_fit, pages
from .material import Arrays, Material
from .palette import GREY, INK, colour, mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANEL = (1.9, 1.9)  # inches
GAP = (0.3, 0.38)
EDGE = 0.35
CLASSES = 12  # that are told apart
SPREAD = (0.5, 99.5)  # percentiles that a panel shows at least


def latent_map(material: Material) -> Iterator["Canvas"]:
    """The centres of q(z|x) of test rows, a mark and a number a class: both numbers of a code of
    two, else the two principal components, with the share of the variance that these have. Rows
    without a label are grey.
    """
    found = material.arrays("latent_map")
    across = columns_that_fit(material.width, PANEL[0], GAP[0], EDGE)
    size = across * lines_that_fit(PANEL[1], GAP[1])
    for page in pages(found, size):
        yield maps(page, across)


def maps(found: Sequence[tuple[str, Arrays]], across: int) -> "Canvas":
    """A panel a variant, so many side by side."""
    figure, panels = cells(len(found), across, PANEL, GAP)
    for ax, (name, arrays) in zip(panels, found, strict=True):
        _map(ax, arrays["latent_map"], arrays.get("latent_labels"))
        share = float(arrays["latent_share"][0])
        told = f" ({100 * share:.0f} % of the variance)" if share < 0.995 else ""
        ax.set_title(name + told, fontsize=7, pad=3)
    label(figure, "centres of q(z|x) of test rows", 0.22)
    return figure


def _map(ax: "Axes", z: np.ndarray, labels: np.ndarray | None) -> None:
    """Points (N, 2); rows without a label (-1) in grey where others have one."""
    classes = np.unique(labels[labels != -1]) if labels is not None else np.zeros(0)
    if labels is None or not 0 < len(classes) <= CLASSES:
        ax.plot(z[:, 0], z[:, 1], ".", color=INK, markersize=2.5, mew=0)
    else:
        rest = z[labels == -1]
        ax.plot(rest[:, 0], rest[:, 1], ".", color=GREY, markersize=2.5, mew=0)
        _classes(ax, [(one, z[labels == one]) for one in classes])
    for axis, values in (("x", z[:, 0]), ("y", z[:, 1])):
        low, high = np.percentile(values, SPREAD)
        room = 0.12 * (high - low) or 0.5
        getattr(ax, f"set_{axis}lim")(low - room, high + room)
    ax.locator_params(nbins=5)
    ax.tick_params(labelsize=6, pad=2)


def _classes(ax: "Axes", found: Sequence[tuple[float, np.ndarray]]) -> None:
    """The points (N, 2) of each class, and its number in their middle."""
    for i, (_, own) in enumerate(found):
        ax.plot(own[:, 0], own[:, 1], markersize=2.6, **mark(i).small)
    for i, (one, own) in enumerate(found):
        _number(ax, np.median(own, 0), f"{one:g}", colour(i))


def _number(ax: "Axes", place: np.ndarray, text: str, own: str) -> None:
    """The number of a class, on a white ground."""
    box: dict[str, Any] = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8}
    box |= {"edgecolor": own, "linewidth": 0.9}
    ax.text(place[0], place[1], text, fontsize=6.5, ha="center", va="center", bbox=box, zorder=4)


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("latent-map", latent_map)]
