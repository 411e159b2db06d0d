"""Figures of a sweep: a metric against the quantity that was varied, a line a variant, a panel a metric.

A quantity is what rows of one variant differ in and nothing else: a dial (latent), a number of training rows, a field of
the budget, or a hyperparameter. Drawn where a line has three points or more; bars are 95 % intervals over seeds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .plan import canonical
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 3  # points that make a line
PANELS = (
    "nll",
    "elbo",
    "kl",
    "active_units",
    "nll_per_step",
    "mse",
    "fid",
    "modes_found",
    "mode_kl",
    "discriminative_score",
)
NAMES = {"n_train": "training rows", "latent": "latent dimensions", "hidden": "width of the hidden layers"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One quantity on one data set: the rows of each line, by the value that they have of it."""

    dataset: str  # without its options
    quantity: str
    lines: dict[str, list[tuple[float, Row]]]

    @property
    def name(self) -> str:
        return f"sweep-{self.quantity}-{self.dataset}"


def sweeps(rows: Sequence[Row]) -> list[Sweep]:
    """The sweeps that stand in these rows."""
    facts = [(row, _numbers(row)) for row in rows if row.done]
    names = sorted({name for _, numbers in facts for name in numbers})
    found: dict[tuple[str, str], dict[str, list[tuple[float, Row]]]] = {}
    for name in names:
        for lines in _lines(name, facts).values():
            if len({value for value, _ in lines}) >= FEWEST:
                first = lines[0][1]
                family = found.setdefault((_family(first), name), {})
                family[_label(first, family)] = sorted(lines, key=lambda point: point[0])
    return [Sweep(dataset, quantity, lines) for (dataset, quantity), lines in found.items()]


def _lines(name: str, facts: Sequence[tuple[Row, Json]]) -> dict[str, list[tuple[float, Row]]]:
    """Rows that differ in this quantity alone, by all the rest."""
    lines: dict[str, list[tuple[float, Row]]] = {}
    for row, numbers in facts:
        if name in numbers:
            rest = {key: value for key, value in numbers.items() if key != name}
            lines.setdefault(canonical([_variant(row), _family(row), rest]), []).append((numbers[name], row))
    return lines


def _numbers(row: Row) -> Json:
    """What a row can be varied in: spec, budget and hyperparameters, as far as they are numbers."""
    facts = row.trials[0]["ingredients"]
    merged = facts["spec"] | facts["budget"] | facts["hyperparameters"]
    return {key: value for key, value in merged.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _variant(row: Row) -> str:
    return str(row.trials[0]["ingredients"]["name"])


def _family(row: Row) -> str:
    return row.dataset.partition("[")[0]


def _label(row: Row, taken: Json) -> str:
    return row.name if _variant(row) in taken else _variant(row)


def draw(rows: Sequence[Row]) -> Iterator[tuple[str, "Figure"]]:
    """(name, figure) of every sweep in which some metric has numbers."""
    for sweep in sweeps(rows):
        shown = [column for column in PANELS if any(_points(line, column) for line in sweep.lines.values())]
        if shown:
            yield sweep.name, _figure(sweep, shown)


def _points(line: Sequence[tuple[float, Row]], column: str) -> list[tuple[float, float, float]]:
    """(value, mean, half width of the interval) where there is a number."""
    intervals = [(value, row.interval(column)) for value, row in line]
    return [(v, i.mean, i.ci95 if math.isfinite(i.ci95) else 0.0) for v, i in intervals if math.isfinite(i.mean)]


def _figure(sweep: Sweep, shown: Sequence[str]) -> "Figure":
    from matplotlib.figure import Figure

    columns = min(3, len(shown))
    height = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.6 * height + 0.5), layout="constrained")
    axes = figure.subplots(height, columns, squeeze=False).ravel()
    for ax, column in zip(axes, shown, strict=False):
        _panel(ax, sweep, column)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    figure.supxlabel(f"{NAMES.get(sweep.quantity, sweep.quantity)} ({sweep.dataset})", fontsize=9)
    return figure


def _panel(ax: "Axes", sweep: Sweep, column: str) -> None:
    for i, (label, line) in enumerate(sweep.lines.items()):
        points = _points(line, column)
        x, mean, half = zip(*points, strict=True) if points else ((), (), ())
        ax.errorbar(x, mean, half, fmt="o-", color=f"C{i % 10}", label=label, markersize=3, linewidth=1, capsize=2)
    values = [value for line in sweep.lines.values() for value, _ in line]
    if min(values) > 0 and max(values) >= 8 * min(values):
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
        ax.minorticks_off()
    unit = _unit(next(iter(sweep.lines.values()))[0][1], column)
    ax.set_title(column.replace("_", " ") + (f" ({unit})" if unit else ""), fontsize=9)
    ax.tick_params(labelsize=7)


def _unit(row: Row, column: str) -> str:
    return next((c["unit"] for c in row.done[0]["columns"] if c["name"] == column), "")
