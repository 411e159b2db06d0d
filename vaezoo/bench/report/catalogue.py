"""What metrics say of their columns and tables: written into every trial, and read back from them,
so that a report needs no metric.

Where trials of an older version say less, the metrics that come with the package say the rest.
What they say is kept in `metrics.json`, which `make docs` writes: to ask the metrics is to import
torch.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from ...hooks import Column, Metric, Table
from .rows import COST, Row

Json = dict[str, Any]
OURS = Path(__file__).with_name("metrics.json")  # what our metrics say of themselves


RANGE = ("low", "high", "rows", "rests_on")  # what today's column knows better than an old trial's


@dataclass(frozen=True)
class Catalogue:
    """Every column and every table by name, the columns in the order of the trials' metrics."""

    columns: Mapping[str, Column]
    tables: Mapping[str, Table]
    metrics: Mapping[str, str]  # column -> the metric that gives it

    def in_order(self) -> list[Table]:
        """The tables that have columns, as they follow each other."""
        names = {column.table for column in self.columns.values()}
        tables = [self.tables.get(name) or Table(name) for name in names if name]
        return sorted(tables, key=lambda table: (table.order, table.name))

    def of(self, table: Table) -> list[Column]:
        """The columns of one table, those that lead it first; what a trial costs is no column."""
        own = [c for c in self.columns.values() if c.table == table.name and c.name not in COST]
        leading = sorted((c for c in own if c.lead), key=lambda column: column.lead)
        return [*leading, *(c for c in own if not c.lead)]

    @property
    def by_table(self) -> list[Column]:
        """Every column as the tables have them, table by table."""
        return [column for table in self.in_order() for column in self.of(table)]

    @property
    def panels(self) -> list[Column]:
        """The columns that the figure of a sweep shows."""
        return [column for column in self.by_table if column.panel]


def described(metrics: Iterable[Metric]) -> dict[str, list[Json]]:
    """The columns and the tables of these metrics, as a trial keeps them."""
    chosen = list(metrics)
    return {
        "columns": [_facts(column, metric) for metric in chosen for column in metric.columns],
        "tables": [asdict(metric.table) for metric in chosen if metric.table],
    }


def _facts(column: Column, metric: Metric) -> Json:
    return asdict(column) | {"metric": metric.name}


def catalogue_of(rows: Sequence[Row]) -> Catalogue:
    """What the trials of these rows say of their numbers, and the columns that lead our tables."""
    ours = _ours()
    known = ours.columns
    columns: dict[str, Column] = {}
    tables: dict[str, Table] = {}
    metrics = dict(ours.metrics)
    trials = [trial for row in rows for trial in row.trials]
    # most say the same, and hold it once
    for said in {id(trial.columns): trial.columns for trial in trials}.values():
        _learn_columns(said, known, columns, metrics)
    for told in {id(trial.tables): trial.tables for trial in trials}.values():
        for facts in told:
            tables.setdefault(facts["name"], Table(**_fields(Table, facts)))

    # what leads our tables stands there even where no trial has it
    for column in (column for column in known.values() if column.lead):
        columns.setdefault(column.name, column)
    for table in ours.tables.values():
        tables.setdefault(table.name, table)
    return Catalogue(columns, tables, metrics)


def written_by_ours() -> str:
    """The content of `metrics.json`, as the metrics of the package say it now."""
    from ...evaluation.measurement import builtin_metrics

    return json.dumps(described(builtin_metrics()), indent=1, ensure_ascii=False) + "\n"


@cache
def _ours() -> Catalogue:
    """What the usual metrics that come with the package say."""
    facts = json.loads(OURS.read_text(encoding="utf-8"))
    tables: dict[str, Table] = {}
    for one in facts["tables"]:
        tables.setdefault(one["name"], Table(**one))
    return Catalogue(
        {one["name"]: Column(**_fields(Column, one)) for one in facts["columns"]},
        tables,
        {one["name"]: one["metric"] for one in facts["columns"]},
    )


def _learn_columns(
    said: Iterable[Json],
    known: Mapping[str, Column],
    columns: dict[str, Column],
    metrics: dict[str, str],
) -> None:
    """Adds what a trial says of its columns, and of the metrics that they are of; what an earlier
    trial said stays.
    """
    for facts in said:
        name = facts["name"]
        if name not in columns:
            columns[name] = _column(facts, known.get(name))
            metrics[name] = facts.get("metric") or metrics.get(name, "")


def _column(facts: Json, known: Column | None) -> Column:
    """The column as the trial has it; what it leaves out, and what can be, as our column of that
    name says it.
    """
    is_ours = known is not None and known.table == facts["table"]
    base = asdict(known) if known is not None and is_ours else {}
    of_today = {name: base[name] for name in RANGE if name in base}
    return Column(**base | _fields(Column, facts) | of_today)


def _fields(kind: type[Column] | type[Table], facts: Json) -> Json:
    """The facts that this version knows."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in facts.items() if name in names}
