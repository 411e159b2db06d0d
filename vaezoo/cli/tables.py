"""The tables of a run, printed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .common import echo, is_terminal, print_json, show_grid

if TYPE_CHECKING:
    from ..bench.report.tables import ResultTable


def tables_of(
    out: Path, only: Sequence[str] = (), besides: Sequence[str] = ()
) -> "list[ResultTable]":
    """The tables of a run, with the data sets `only`, where some are named, and not with those
    `besides`; none where it was stopped before any trial ended.
    """
    from ..bench.report.report import ReportError, read_tables

    found = []
    try:
        tables = read_tables(out, quiet=True)
    except ReportError:
        return []
    for table in tables:
        wanted = set(only or table.datasets) - set(besides)
        rows = tuple(row for row in table.rows if row.dataset in wanted)
        found += [replace(table, rows=rows)] if rows else []
    return found


def print_tables(out: Path, tables: "Sequence[ResultTable]", wants_json: bool) -> bool:
    """Those of these tables of `out` that every run has, or that `--metrics` asked for: fitted to a
    terminal, whole as Markdown where stdout is a file or a pipe. Then whether any row has a number
    that cannot be, which stderr names.
    """
    from ..bench.report.in_full import as_csv, records
    from ..bench.report.printed import as_markdown, grids
    from ..bench.report.report import refusals
    from ..bench.report.tables import to_print

    shown = to_print(tables)
    if wants_json:
        print_json({table.name: records(as_csv(table)) for table in shown})
    for table in shown if not wants_json else ():
        if is_terminal():
            for grid in grids(table):
                show_grid(grid)
        else:
            echo(as_markdown(table).rstrip() + "\n")
    refused = refusals(tables)
    for sentence in refused:
        echo(f"vaezoo: {sentence}", err=True)
    return bool(refused)
