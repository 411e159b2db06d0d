"""What all figures share: the canvas, a grid of panels, and the material that trials left."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store import Store
from ..rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PER_PAGE = 24  # variants in one figure of images; more go to further pages
INK = "#1b4965"
ACCENT = "#d1495b"
Arrays = dict[str, np.ndarray]


def material(rows: Sequence[Row], store: Store, name: str) -> list[tuple[str, Arrays]]:
    """(row's name, arrays) for the first seed of each row that has them."""
    found = [(row.name, _arrays(store.trials / row.done[0]["key"])) for row in rows]
    return [(row, arrays) for row, arrays in found if name in arrays]


def _arrays(folder: Path) -> Arrays:
    from safetensors.numpy import load_file

    path = folder / "figures.safetensors"
    return load_file(path) if path.is_file() else {}


def parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in pages of that size."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def grid(
    lines: int,
    columns: int,
    cell: tuple[float, float],
    gap: tuple[float, float],
    block: int = 1,
    apart: float = 0.0,
) -> tuple["Figure", np.ndarray]:
    """A figure that its panels fill, and the panels (lines, columns); saving takes in the labels.

    (width, height) of a panel and between panels in inches; blocks of lines stand further apart by
    `apart` inches.
    """
    (width, height) = cell
    (aside, below) = gap
    tops = [i * (height + below) + i // block * apart for i in range(lines)]
    across = columns * width + (columns - 1) * aside
    down = tops[-1] + height
    figure = canvas(across, down)
    panels = [
        [
            figure.add_axes(
                (
                    j * (width + aside) / across,
                    1 - (top + height) / down,
                    width / across,
                    height / down,
                )
            )
            for j in range(columns)
        ]
        for top in tops
    ]
    return figure, np.array(panels, dtype=object)


def canvas(width: float, height: float) -> "Figure":
    """An empty figure, in inches, without matplotlib's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def caption(figure: "Figure", title: str, below: str = "", room: float = 0.0) -> None:
    """A title above the panels, and a line below them and below `room` inches of labels."""
    figure.suptitle(title, fontsize=9, y=1 + 0.08 / figure.get_figheight(), va="bottom")
    if below:
        figure.supxlabel(below, fontsize=8, y=-(room + 0.05) / figure.get_figheight(), va="top")
