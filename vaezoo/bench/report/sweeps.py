"""Figures of a sweep: a metric against the quantity that was varied, a line a variant, a panel a
metric.

A quantity is what rows of one variant differ in and nothing else: a dial (latent), a number of
training rows, a field of the budget, a hyperparameter, or an option of the data set. Drawn where a
line has three points or more; bars are 95 % intervals over seeds. Grey lines are control rows,
which depend on the data alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...registry.selection import read
from ..trial import canonical
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
    "accuracy",
    "imputation_rmse",
    "nll_per_step",
    "mse",
    "fid",
    "modes_found",
    "mode_kl",
    "discriminative_score",
)
EXTRACTED = ("fid",)
NAMES = {
    "n_train": "training rows",
    "latent": "latent dimensions",
    "hidden": "width of the hidden layers",
    "labels": "labelled rows",
    "missing": "share of the entries that is missing",
}
CONTROLLED = ("imputation_rmse",)  # columns whose control rows lie among the other numbers
OPTION = "data."  # before an option of the data set, which may be called like a hyperparameter
Json = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One quantity on one data set: the rows of each line, by the value that they have of it."""

    dataset: str  # without the option that is varied
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
        for line in _lines(name, facts).values():
            if len({value for value, _ in line}) >= FEWEST:
                first = line[0][1]
                key = _family(first, name), name.removeprefix(OPTION)
                found.setdefault(key, {})[_label(first, name)] = sorted(
                    line, key=lambda point: point[0]
                )
    return [Sweep(dataset, quantity, lines) for (dataset, quantity), lines in found.items()]


def _lines(name: str, facts: Sequence[tuple[Row, Json]]) -> dict[str, list[tuple[float, Row]]]:
    """Rows that differ in this quantity alone, by all the rest."""
    lines: dict[str, list[tuple[float, Row]]] = {}
    for row, numbers in facts:
        if name in numbers:
            rest = {key: value for key, value in numbers.items() if key != name}
            identity = [_variant(row), _without(row.variant, name), _family(row, name), rest]
            lines.setdefault(canonical(identity), []).append((numbers[name], row))
    return lines


def _numbers(row: Row) -> Json:
    """What a row can be varied in: spec, budget, hyperparameters and the data set's options, as far
    as they are numbers.
    """
    facts = row.trials[0]["ingredients"]
    options = {
        OPTION + key: value for key, value in _options(row.dataset).items() if key != "rows"
    }  # they are n_train
    merged = facts["spec"] | facts["budget"] | facts["hyperparameters"] | options
    return {
        key: value
        for key, value in merged.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _options(label: str) -> Json:
    """What stands in the brackets of a label, numbers as such."""
    return {key: _number(value) for key, (value,) in read(label, "name")[0].sweeps.items()}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _without(label: str, *keys: str) -> str:
    """The label, these keys not in its brackets."""
    item = read(label, "name")[0]
    left = ",".join(f"{key}={value}" for key, (value,) in item.sweeps.items() if key not in keys)
    return f"{item.pattern}[{left}]" if left else item.pattern


def _variant(row: Row) -> str:
    return str(row.trials[0]["ingredients"]["name"])


def _family(row: Row, name: str) -> str:
    """The data set, without what the quantity `name` changes of it."""
    return _without(
        row.dataset,
        "rows" if name == "n_train" else name.removeprefix(OPTION) if OPTION in name else "",
    )


def _label(row: Row, name: str) -> str:
    """The row, the quantity `name` not among what is said of it."""
    settings = [one for one in row.settings.split(", ") if one and not one.startswith(f"{name}=")]
    variant = row.variant if name.startswith(OPTION) else _without(row.variant, name)
    return f"{variant} {{{', '.join(settings)}}}" if settings else variant


def draw(rows: Sequence[Row]) -> Iterator[tuple[str, "Figure"]]:
    """(name, figure) of every sweep in which some metric has numbers."""
    for sweep in sweeps(rows):
        lines = sweep.lines.values()
        shown = [
            c for c in PANELS if _one_scale(sweep, c) and any(_points(line, c) for line in lines)
        ]
        if shown:
            yield sweep.name, _figure(sweep, shown)


def _one_scale(sweep: Sweep, column: str) -> bool:
    """Whether the numbers of all points can be compared: distances of samples are, in the features
    of one extractor.
    """
    if column not in EXTRACTED:
        return True
    trials = [trial for line in sweep.lines.values() for _, row in line for trial in row.done]
    return len({trial.get("settings", {}).get("extractor_sha256") for trial in trials}) == 1


def _points(line: Sequence[tuple[float, Row]], column: str) -> list[tuple[float, float, float]]:
    """(value, mean, half width of the interval) where there is a number."""
    intervals = [(value, row.interval(column)) for value, row in line]
    return [
        (v, i.mean, i.ci95 if math.isfinite(i.ci95) else 0.0)
        for v, i in intervals
        if math.isfinite(i.mean)
    ]


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
    known = {
        label: line
        for ax in axes
        for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(known.values()),
        list(known),
        loc="outside upper center",
        ncols=6,
        fontsize=8,
        frameon=False,
    )
    figure.supxlabel(f"{NAMES.get(sweep.quantity, sweep.quantity)} ({sweep.dataset})", fontsize=9)
    return figure


def _panel(ax: "Axes", sweep: Sweep, column: str) -> None:
    for i, (label, line) in enumerate(sweep.lines.items()):
        points = _points(line, column)
        x, mean, half = zip(*points, strict=True) if points else ((), (), ())
        ax.errorbar(
            x,
            mean,
            half,
            fmt="o-",
            color=f"C{i % 10}",
            label=label,
            markersize=3,
            linewidth=1,
            capsize=2,
        )
    for i, (name, known) in enumerate(_controls(sweep, column).items()):
        ax.plot(
            *zip(*known, strict=True),
            ("--", ":", "-.")[i % 3],
            color="grey",
            label=f"({name})",
            linewidth=1,
        )
    values = [value for line in sweep.lines.values() for value, _ in line]
    if min(values) > 0 and max(values) >= 8 * min(values):
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
        ax.minorticks_off()
    unit = _unit(next(iter(sweep.lines.values()))[0][1], column)
    ax.set_title(column.replace("_", " ") + (f" ({unit})" if unit else ""), fontsize=9)
    ax.tick_params(labelsize=7)


def _controls(sweep: Sweep, column: str) -> dict[str, list[tuple[float, float]]]:
    """Control row -> its number at each value of the quantity, where the column has some."""
    found: dict[str, dict[float, float]] = {}
    for value, row in (point for line in sweep.lines.values() for point in line):
        for name, numbers in row.controls.items():
            if column in CONTROLLED and column in numbers:
                found.setdefault(name, {})[value] = numbers[column]
    return {name: sorted(points.items()) for name, points in found.items()}


def _unit(row: Row, column: str) -> str:
    return next((c["unit"] for c in row.done[0]["columns"] if c["name"] == column), "")
