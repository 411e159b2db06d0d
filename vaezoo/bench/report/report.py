"""Tables and figures, rebuilt from the trial.json files of a run (and the control rows beside them)
and nothing else.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..store import Store
from .printed import as_markdown, as_tex
from .rows import Row, rows_of
from .tables import ResultTable, as_csv, tables_of

WRITERS = {"csv": as_csv, "md": as_markdown, "tex": as_tex}


class ReportError(ValueError):
    """There is nothing to report."""


def report(
    out: Path | str, *, figures: bool = True, plugins_dir: Path | str | None = None
) -> list[ResultTable]:
    """Writes every table and figure of the run in `out`, and returns the tables; figures are those
    of the registry, the loose files of `plugins_dir` too.

    Raises: StoreError where the folder cannot be written, ReportError where there are no trials.
    """
    store = Store(out)
    tables = read_tables(out)
    for table in tables:
        for suffix, write in WRITERS.items():
            store.write(f"{table.name}.{suffix}", write(table))
    if figures:
        from ...registry.registry import load
        from .drawing import draw_all

        draw_all(tables[0].rows, store, load(plugins_dir).figures.values())
    return tables


def read_tables(out: Path | str) -> list[ResultTable]:
    """The tables of the run in `out`, without writing anything.

    Raises: ReportError for a folder without trials.
    """
    rows = read_rows(out)
    return tables_of(rows, {row.dataset: row.controls for row in rows})


def read_rows(out: Path | str) -> list[Row]:
    """The rows of the run in `out`. Raises: ReportError for a folder without trials."""
    store = Store(out)
    records = store.records()
    if not records:
        raise ReportError(
            f"there are no trials in {out}; a run of `vaezoo bench --out {out}` makes some"
        )
    rows = rows_of(records, store.read_json("run.json").get("trials", []))
    return [replace(row, controls=_controls(store, row)) for row in rows]


def _controls(store: Store, row: Row) -> dict[str, Any]:
    return store.read_json(row.trials[0].get("controls", "")).get("rows", {})
