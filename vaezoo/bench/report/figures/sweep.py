"""A sweep: numbers against the quantity that was varied, a line a variant, a panel a number.

Drawn where a line has three points or more; bars are 95 % intervals over seeds. Grey lines are
control rows, which depend on the data alone. Metrics say which of their columns have a panel.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....hooks import EXTRACTOR, Column, Figure, hookimpl
from ..rows import Row
from ..sweeps import Sweep, sweeps
from .canvas import evenly
from .material import Material
from .palette import DASHES as LINES, MARKERS, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WORDS = {  # what `Spec` calls them is short
    "n_train": "training rows",
    "latent": "latent dimensions",
    "hidden": "width of the hidden layers",
}
DASHES = ("--", ":", "-.")  # of control rows
PANEL = 2.2  # inches that a panel is wide, about


def sweep(material: Material) -> dict[str, "Canvas"]:
    """Numbers against what was varied: quantity and data set -> figure."""
    found = {}
    for one in sweeps(material.rows):
        shown = [column for column in material.catalogue.panels if _is_shown(one, column)]
        if shown:
            found[f"{one.quantity}-{one.dataset}"] = _figure(one, shown, material.width)
    return found


def _is_shown(sweep: Sweep, column: Column) -> bool:
    """Whether there are numbers, all of which can be compared."""
    if not any(row.sample(column.name) for _, row in sweep.rows):
        return False
    extractors = {row.setting(EXTRACTOR) for _, row in sweep.rows}
    return not column.one_extractor or len(extractors) == 1


def _figure(sweep: Sweep, shown: Sequence[Column], width: float) -> "Canvas":
    figure, axes = evenly(len(shown), int(width / PANEL), width, 0.78, 0.5)
    for ax, column in zip(axes, shown, strict=True):
        _panel(ax, sweep, column)

    # one legend for all panels, each line once
    known = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            known[label] = handle
    handles = list(known.values())
    figure.legend(
        handles,
        list(known),
        loc="outside upper center",
        ncols=max(2, int(width / 1.2)),
        fontsize=7,
        frameon=False,
    )
    quantity = WORDS.get(sweep.quantity, sweep.quantity.replace("_", " "))
    figure.supxlabel(f"{quantity} ({sweep.dataset})", fontsize=9)
    return figure


def _panel(ax: "Axes", sweep: Sweep, column: Column) -> None:
    for i, (label, line) in enumerate(sweep.lines.items()):
        x, mean, half = _points(line, column)
        ax.errorbar(x, mean, half, label=label, **_style(i))

    for i, (name, known) in enumerate(_controls(sweep, column).items()):
        at, number = zip(*known, strict=True)
        dashes = DASHES[i % len(DASHES)]
        ax.plot(at, number, dashes, color="grey", label=f"({name})", linewidth=1)

    _scale(ax, sorted({value for value, _ in sweep.rows}))
    unit = f" ({column.unit})" if column.unit else ""
    ax.set_title(column.name.replace("_", " ") + unit, fontsize=7.5)
    ax.tick_params(labelsize=6.5)


def _style(i: int) -> dict[str, Any]:
    """Of the i-th line: a colour, a mark and, once all marks are used, dashes."""
    return {
        "color": colour(i),
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": LINES[i // len(MARKERS) % len(LINES)],
        "markersize": 3,
        "linewidth": 1,
        "capsize": 2,
    }


def _points(
    line: Sequence[tuple[float, Row]], column: Column
) -> tuple[list[float], list[float], list[float]]:
    """Values of the quantity, means, and half widths of the intervals, where there is a number."""
    intervals = [(value, row.interval(column.name)) for value, row in line]
    known = [(value, found) for value, found in intervals if math.isfinite(found.mean)]
    x = [value for value, _ in known]
    mean = [found.mean for _, found in known]
    half = [found.ci95 if found.n > 1 else 0.0 for _, found in known]  # no interval of one seed
    return x, mean, half


def _scale(ax: "Axes", values: Sequence[float]) -> None:
    """Logarithmic where the values of the quantity span three octaves."""
    if values[0] > 0 and values[-1] >= 8 * values[0]:
        ax.set_xscale("log", base=2)
        ax.set_xticks(values, [f"{value:g}" for value in values])
        ax.minorticks_off()


def _controls(sweep: Sweep, column: Column) -> dict[str, list[tuple[float, float]]]:
    """Control row -> its number at each value of the quantity, where the panel shows them."""
    found: dict[str, dict[float, float]] = {}
    for value, row in sweep.rows if column.panel_controls else []:
        for name, numbers in row.controls.items():
            if column.name in numbers:
                found.setdefault(name, {})[value] = numbers[column.name]
    return {name: sorted(points.items()) for name, points in found.items()}


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("sweep", sweep, of="run")]
