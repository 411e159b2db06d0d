"""The tables of a run: elbo, reconstruction, fid and whatever else the metrics bring, as CSV,
Markdown, LaTeX and text.

A table is rows × columns of samples over seeds. CSV carries every column in full precision; the
printed forms show mean ± 95 % half width, bold what is not significantly worse than the best, and
give reasons as footnotes. Nothing in a table depends on the time, or on which trial was finished
first.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...hooks import Column
from ...samplers import PRIOR
from .rows import COST, Row
from .statistics import RULES, Best, Interval, best_rows
from .typeset import Grid, escaped, grid_markdown, grid_tex, grid_text

FIRST = {
    "elbo": ("elbo", "nll", "kl", "reconstruction_nll", "active_units"),
    "reconstruction": ("mse", "psnr", "ssim"),
    "fid": ("fid", "kid", "precision", "recall", "density", "coverage"),
}
TITLES = {
    "elbo": "Likelihood",
    "reconstruction": "Reconstruction",
    "fid": "Samples (Fréchet distance and kin)",
    "representation": "Representation",
    "outliers": "Outliers (area under the ROC curve)",
}
SAID = {"outliers": "auroc_"}  # what the title says of every column, so that no heading has to
DEFAULTS = {  # for columns that no metric of these trials describes
    "elbo": Column("elbo", "nats", "higher"),
    "nll": Column("nll", "nats", "lower"),
    "kl": Column("kl", "nats", ""),
    "reconstruction_nll": Column("reconstruction_nll", "nats", "lower"),
    "active_units": Column("active_units", "", "higher"),
    "psnr": Column("psnr", "dB", "higher"),
    "ssim": Column("ssim", "", "higher", digits=3),
}
LIKELIHOOD = "elbo"  # the table whose numbers are of log p(x)
SAMPLES = "fid"  # the table that has a row for each sampler
ARROWS = {"lower": "↓", "higher": "↑", "": ""}
DASH = "–"
FITTED = "Row + sampler: the same trained model, its codes drawn from a density fitted to the codes of the training split"


@dataclass(frozen=True)
class Table:
    """One table: its rows, its columns, and rows of control values by data set."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    controls: Mapping[str, Mapping[str, Mapping[str, float]]] = field(
        default_factory=dict
    )  # data set -> row -> column
    settings: Mapping[str, str] = field(default_factory=dict)  # data set -> what a caption must say

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(row.dataset for row in self.rows))

    def of(self, dataset: str) -> list[Row]:
        return [row for row in self.rows if row.dataset == dataset]

    @cached_property
    def best(self) -> dict[tuple[str, str], Best]:
        """(data set, column) -> the rows to print bold."""
        return {
            (dataset, c.name): best_rows(
                {row.name: row.sample(c.name) for row in self.comparable(dataset)}, c.better
            )
            for dataset in self.datasets
            for c in self.columns
        }

    def comparable(self, dataset: str) -> list[Row]:
        """The rows that compete: log p(x|label) does not with log p(x)."""
        return [row for row in self.of(dataset) if self.name != LIKELIHOOD or not row.likelihood_is]


def tables_of(rows: Sequence[Row], controls: Mapping[str, Any] | None = None) -> list[Table]:
    """elbo, reconstruction and fid, and every further table that has a number."""
    columns = _columns(rows)
    names = list(FIRST) + sorted({c.table for c in columns.values()} - set(FIRST) - {""})
    made = []
    for name in names:
        first = [
            columns.get(c) or DEFAULTS.get(c) or Column(c, "", "", name)
            for c in FIRST.get(name, ())
        ]
        rest = [
            c
            for c in columns.values()
            if c.table == name and c.name not in (*FIRST.get(name, ()), *COST)
        ]
        shown = [one for row in rows for one in row.by_sampler()] if name == SAMPLES else rows
        table = Table(name, (*first, *rest), tuple(shown), controls or {}, _settings(rows))
        if name in FIRST or any(row.sample(c.name) for row in shown for c in table.columns):
            made.append(table)
    return made


def _columns(rows: Sequence[Row]) -> dict[str, Column]:
    """Every column that some trial's metrics describe, in their order."""
    found: dict[str, Column] = {}
    for row in rows:
        for trial in row.trials:
            for column in trial.get("columns", []):
                found.setdefault(column["name"], Column(**column))
    return found


def _settings(rows: Sequence[Row]) -> dict[str, str]:
    """data set -> the settings of its evaluation, such as "K = 100"."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for trial in row.done:
            for name, value in sorted(trial.get("settings", {}).items()):
                if name == "likelihood_is":
                    continue  # a footnote of the row
                found.setdefault(row.dataset, {}).setdefault(name, value)
    return {
        dataset: ", ".join(f"{_words(k)} {_brief(v)}" for k, v in values.items())
        for dataset, values in found.items()
    }


def _brief(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[:12] if len(text) == 64 else text  # a SHA-256


def _words(name: str) -> str:
    return name.replace("_", " ")


# --- CSV
# ---------------------------------------------------------------------------------------------------------


def as_csv(table: Table) -> str:
    """One row a variant × data set, control rows behind, every number in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = ("mean", "ci95", "std")
    head = [
        "variant",
        "dataset",
        "n_seeds",
        "status",
        "likelihood",
        "settings",
        *_sampler_head(table),
    ]
    writer.writerow(
        [*head, *(f"{c.name}_{part}" for c in table.columns for part in parts), *COST, "reason"]
    )
    for dataset in table.datasets:
        for row in table.of(dataset):
            writer.writerow(_csv_row(table, row))
        for name, values in _controls(table, dataset).items():
            numbers = [
                _number(values.get(c.name)) if part == "mean" else ""
                for c in table.columns
                for part in parts
            ]
            writer.writerow(
                [
                    name,
                    dataset,
                    0,
                    "control",
                    "",
                    "",
                    *("" for _ in _sampler_head(table)),
                    *numbers,
                    "",
                    "",
                    "",
                ]
            )
    return text.getvalue()


def _csv_row(table: Table, row: Row) -> list[Any]:
    likelihood = row.trials[0]["ingredients"]["spec"]["likelihood"]
    head = [
        row.variant,
        row.dataset,
        len(row.done),
        row.status,
        likelihood,
        row.settings,
        *_sampler(table, row),
    ]
    found = [row.interval(c.name) for c in table.columns]
    numbers = [_number(value) for i in found for value in (i.mean, i.ci95, i.std)]
    reasons = dict.fromkeys(
        filter(None, [row.reason, *(row.why_missing(c.name) for c in table.columns)])
    )
    return [
        *head,
        *numbers,
        *(_number(row.interval(name).mean) for name in COST),
        "; ".join(reasons),
    ]


def _sampler_head(table: Table) -> list[str]:
    """The sample table says of each row where the codes of its samples come from."""
    return ["sampler"] if table.name == SAMPLES else []


def _sampler(table: Table, row: Row) -> list[str]:
    return [row.sampler_in_words] if table.name == SAMPLES else []


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _controls(table: Table, dataset: str) -> dict[str, Mapping[str, float]]:
    """The control rows that have a number in this table."""
    known = {c.name for c in table.columns}
    return {name: row for name, row in table.controls.get(dataset, {}).items() if known & set(row)}


# --- printed forms
# -----------------------------------------------------------------------------------------------


def as_markdown(table: Table) -> str:
    """One section a data set."""
    sections = [grid_markdown(grid) for grid in grids(table)]
    return f"# {TITLES.get(table.name, table.name.capitalize())}\n\n" + "\n\n".join(sections) + "\n"


def as_tex(table: Table) -> str:
    """One booktabs table a data set."""
    return (
        "\n\n".join(grid_tex(grid, f"tab:{table.name}") for grid in grids(table, tex=True)) + "\n"
    )


def as_text(table: Table, width: int = 120) -> str:
    """For the terminal: the columns that fit in `width`, the most important first."""
    return "\n\n".join(grid_text(grid, width, wide=True) for grid in grids(table)) + "\n"


def grids(table: Table, tex: bool = False) -> list[Grid]:
    """The table's cells as text, one grid a data set."""
    return [_grid(table, dataset, tex) for dataset in table.datasets]


def _grid(table: Table, dataset: str, tex: bool) -> Grid:
    rows = table.of(dataset)
    notes = _Notes()
    shown = [
        c
        for i, c in enumerate(table.columns)
        if i < len(FIRST.get(table.name, ())) or any(r.sample(c.name) for r in rows)
    ]
    costs = [c for c in COST if any(row.sample(c) for row in rows)]
    lead = ["variant", *_sampler_head(table), "n"]
    head = [
        *lead,
        *(_heading(c, SAID.get(table.name, "")) for c in shown),
        *({"parameters": "parameters", "train_seconds": "train s"}[c] for c in costs),
    ]
    body = [_cells(table, row, shown, costs, notes) for row in rows]
    for name, values in _controls(table, dataset).items():
        cells = [_plain(values.get(c.name), c.digits) for c in shown]
        body.append([f"({name})", *("" for _ in lead[1:]), *cells, *("" for _ in costs)])
    bold = {
        (i, j + len(lead))
        for i, row in enumerate(rows)
        for j, c in enumerate(shown)
        if row.name in table.best[dataset, c.name].rows
    }
    title = f"{TITLES.get(table.name, table.name.capitalize())}: {dataset}"
    caption = _caption(table, dataset, [c.name for c in shown])
    grid = Grid(title, head, body, bold, caption, tuple(notes.lines))
    return escaped(grid) if tex else grid


def _heading(column: Column, said: str) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{_words(column.name.removeprefix(said))}{unit} {ARROWS[column.better]}".strip()


def _cells(
    table: Table, row: Row, columns: Sequence[Column], costs: Sequence[str], notes: "_Notes"
) -> list[str]:
    if not row.done:
        return [
            row.name,
            *_sampler(table, row),
            "0",
            f"{row.status}{notes.mark(row.reason)}",
            *([DASH] * (len(columns) + len(costs) - 1)),
        ]
    marks = notes.mark(f"{row.status}: {row.reason}") if len(row.done) < len(row.trials) else ""
    if table.name == LIKELIHOOD and row.likelihood_is:
        marks += notes.mark(f"log p(x) {row.likelihood_is}: not compared with the other rows")
    cells = [_cell(row, c, notes) for c in columns]
    return [
        f"{row.name}{marks}",
        *_sampler(table, row),
        str(len(row.done)),
        *cells,
        *(_plain(row.interval(c).mean, int(c != "parameters")) for c in costs),
    ]


def _cell(row: Row, column: Column, notes: "_Notes") -> str:
    found = row.interval(column.name)
    if not found.n:
        return f"{DASH}{notes.mark(row.why_missing(column.name))}"
    short = (
        "" if found.n == len(row.done) else notes.mark(f"over {found.n} of {len(row.done)} seeds")
    )
    return f"{_with_interval(found, column.digits)}{short}"


def _with_interval(found: Interval, digits: int) -> str:
    return f"{found.mean:.{digits}f}" + (f" ± {found.ci95:.{digits}f}" if found.n > 1 else "")


def _plain(value: float | None, digits: int) -> str:
    return DASH if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


class _Notes:
    """Footnotes, numbered as they come, each text once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def mark(self, text: str) -> str:
        if not text:
            return ""
        if text not in self.lines:
            self.lines.append(text)
        return f" [{self.lines.index(text) + 1}]"


def _caption(table: Table, dataset: str, columns: Sequence[str]) -> str:
    """n, the seeds, the settings of the evaluation and the rule for bold: what a reader must know."""
    seeds = sorted(
        {trial["ingredients"]["seed"] for row in table.of(dataset) for trial in row.done}
    )
    parts = [
        f"Mean ± half width of the 95 % Student-t interval over n seeds ({', '.join(map(str, seeds)) or 'none done'})"
    ]
    rules = sorted(
        {table.best[dataset, name].rule for name in columns if table.best[dataset, name].rows}
    )
    parts += [
        f"Bold: not significantly worse than the best by {RULES[rule]}"
        for rule in rules
        if rule != "none"
    ]
    parts += [RULES["none"][0].upper() + RULES["none"][1:]] if rules == ["none"] else []
    parts += [FITTED] if any(row.sampler != PRIOR for row in table.of(dataset)) else []
    parts += [f"Evaluation: {table.settings[dataset]}"] if dataset in table.settings else []
    return ". ".join(parts) + "."


__all__ = [
    "FIRST",
    "Grid",
    "Table",
    "as_csv",
    "as_markdown",
    "as_tex",
    "as_text",
    "grid_text",
    "grids",
    "tables_of",
]
