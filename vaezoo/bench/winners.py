"""The winner of a run, chosen by the validation split, and where its weights are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ..hooks import Column
from .records.trials import Record
from .report.report import ReportError, read_tables
from .report.rows import Row, rows_of
from .report.tables import ResultTable
from .store import WEIGHTS, Store

METRIC = "generalisation"
COLUMN = "elbo_validation"  # nats, higher is better; the test split chooses nothing


@dataclass(frozen=True)
class Winner:
    """One data set and likelihood of a run; values are means over seeds, in nats."""

    dataset: str
    likelihood: str
    variant: str  # with the settings that set it apart
    elbo_validation: float
    ahead_of_next: float | None  # by so many nats; None of one row
    rows: int  # that were compared
    seeds: int
    nll: float | None  # on the test split, which had no say
    checkpoint: Path  # of the seed that is best by validation


def winners(out: Path) -> list[Winner]:
    """One for each data set and likelihood: densities of two kinds are not compared.

    Raises: ReportError where no trial has its validation ELBO.
    """
    store = Store(out)
    records, _ = store.records()
    judged: dict[tuple[str, str], list[Row]] = {}
    for row in rows_of(records):
        if _values(row.done):
            kind = str(row.done[0].ingredients.stored.get("spec", {}).get("likelihood", ""))
            judged.setdefault((row.dataset, kind), []).append(row)
    if not judged:
        raise ReportError(
            f"no trial in {out} has {COLUMN}: run the same bench again with --metrics "
            f"likelihood,{METRIC} added, which trains nothing anew"
        )
    return [_winner(store, *key, rows) for key, rows in judged.items()]


def _winner(store: Store, dataset: str, likelihood: str, rows: Sequence[Row]) -> Winner:
    ranked = sorted(rows, key=lambda row: fmean(_values(row.done)), reverse=True)
    best = ranked[0]
    value = fmean(_values(best.done))
    trial = max(_judged(best.done), key=lambda record: record.metrics[COLUMN])
    nll = [record.metrics["nll"] for record in best.done if "nll" in record.metrics]
    return Winner(
        dataset,
        likelihood,
        best.name,
        value,
        value - fmean(_values(ranked[1].done)) if len(ranked) > 1 else None,
        len(ranked),
        len(_values(best.done)),
        fmean(nll) if nll else None,
        store.trials / trial.key / WEIGHTS,
    )


def _judged(trials: Iterable[Record]) -> list[Record]:
    return [trial for trial in trials if COLUMN in trial.metrics]


def _values(trials: Iterable[Record]) -> list[float]:
    return [trial.metrics[COLUMN] for trial in _judged(trials)]


@dataclass(frozen=True)
class Won:
    """A column of a table of the test split, and its best row among those that are compared."""

    dataset: str
    table: str
    column: str
    unit: str
    variant: str
    value: float  # the mean over the seeds
    digits: int  # decimals to show
    also: tuple[str, ...]  # rows that are not significantly worse
    checkpoint: Path  # of the row's seed that is best by validation, else of its first


def columns_won(out: Path) -> list[Won]:
    """One for each column that has a better end, and in which noise does not win."""
    store = Store(out)
    found = []
    for table in read_tables(out, quiet=True):
        for dataset, column in ((d, c) for d in table.datasets for c in table.columns):
            rows = _compared(table, dataset, column)
            if not rows or table.is_won_by_noise(dataset, column):
                continue
            pick = min if column.better == "lower" else max
            best = pick(rows, key=lambda row: row.interval(column.name).mean)
            also = table.best[dataset, column.name].rows - {best.name}
            found.append(
                Won(
                    dataset,
                    table.name,
                    column.name,
                    column.unit,
                    best.name,
                    best.interval(column.name).mean,
                    column.digits,
                    tuple(sorted(also)),
                    store.trials / _chosen(best.done).key / WEIGHTS,
                )
            )
    return found


def _compared(table: ResultTable, dataset: str, column: Column) -> list[Row]:
    """The rows of this run that may win the column; none where it has no better end."""
    if not column.better:
        return []
    return [
        row
        for row in table.of(dataset)
        if row.sample(column.name)
        and not (row.is_reference or table.apart(row) or table.few(row))
        and not table.other_code(row, column)
    ]


def _chosen(trials: Sequence[Record]) -> Record:
    return max(_judged(trials), key=lambda one: one.metrics[COLUMN], default=trials[0])
