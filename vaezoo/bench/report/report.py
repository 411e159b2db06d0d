"""Tables, figures and the page report.html, rebuilt from the trial.json files of a run (and the
control rows beside them) and nothing else.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..manifest import Listed
from ..records import ROWS, Contradicted, ControlRecord, Damaged, Record, RowRecord, RunRecord
from ..store import TRIAL, Store
from ..text import say_all
from .in_full import as_csv
from .known import Known
from .printed import as_markdown, as_tex, grids
from .ranges import judged
from .reference import beside
from .rows import Row, rows_of
from .tables import ResultTable, controls_of, tables_of

R = TypeVar("R", RunRecord, ControlRecord)
WRITERS = {"csv": as_csv, "md": as_markdown, "tex": as_tex}


class ReportError(ValueError):
    """There is nothing to report."""


@dataclass(frozen=True)
class _Read:
    """What a folder holds."""

    rows: list[Row]
    run: RunRecord
    aside: Mapping[str, str]  # file -> why it does not fit


@contextmanager
def _uncollected() -> Iterator[None]:
    """Inside the block Python looks for no circles of references: a report of many trials makes
    millions of objects that stay until it is written, and each look goes through all of them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _collected() -> Iterator[None]:
    """Inside such a block, circles among what is made from here on are looked for: a figure is one,
    of some megabytes, and a report may draw a hundred.
    """
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
        gc.unfreeze()


@_uncollected()
def report(
    out: Path | str,
    *,
    figures: bool = True,
    plugins_dir: Path | str | None = None,
    known: Known | None = None,
) -> list[ResultTable]:
    """Writes every table, every figure and the page of the run in `out`, and returns the tables;
    figures and what is said of variants are those of the registry, the loose files of
    `plugins_dir` too. Without figures, who gives what is `known` of it loads no plugin and no
    torch.

    Raises: StoreError where the folder cannot be written, ReportError where there are no trials.
    """
    store = Store(out)
    found = _read(out)
    tables = _tables(found)
    drawn = []
    for table in tables:
        for suffix, write in WRITERS.items():
            store.write(f"{table.name}.{suffix}", write(table))
        drawn.append((table, grids(table)))

    names = _draw(found.rows, store, plugins_dir) if figures else None
    from .html.page import NAME, pieces
    from .html.source import Source

    source = Source(
        out=store.out,
        run=found.run,
        rows=found.rows,
        tables=drawn,
        refused=refusals(tables),
        aside=found.aside,
        known=known or _known(plugins_dir),
        figures=names,
        plugins_dir=plugins_dir,
    )
    store.write(NAME, b"".join(piece.encode() for piece in pieces(source)))
    return tables


def _draw(rows: Sequence[Row], store: Store, plugins_dir: Path | str | None) -> set[str]:
    """Draws every figure; the names of the files."""
    from ...registry.registry import load_registry
    from .drawing import draw_all

    registry = load_registry(plugins_dir)
    with _collected():
        return draw_all(rows, store, registry.figures.values(), registry.variants)


def _known(plugins_dir: Path | str | None) -> Known:
    from ...registry.registry import load_registry

    return Known.of(load_registry(plugins_dir))


def read_tables(out: Path | str, *, quiet: bool = False) -> list[ResultTable]:
    """The tables of the run in `out`, without writing anything. What is set aside is said on
    stderr, a line a file, unless `quiet`.

    Raises: ReportError for a folder without trials.
    """
    return _tables(_read(out, quiet))


def _tables(found: _Read) -> list[ResultTable]:
    tables = tables_of(found.rows, controls_of(found.rows))
    return [replace(table, set_aside=len(found.aside)) for table in tables]


def refusals(tables: Sequence[ResultTable]) -> list[str]:
    """A sentence for each number of these tables that cannot be and so is left out."""
    found: dict[str, list[str]] = {}
    for table in tables:
        for row in (row for row in table.rows if not row.is_reference):
            for column in table.columns:
                if column.name in row.refused:
                    where = f"{row.name} on {row.dataset} {row.refused[column.name]}"
                    found.setdefault(where, []).append(column.name)
    return [f"{where}; left out: {', '.join(columns)}" for where, columns in found.items()]


def read_rows(out: Path | str, *, quiet: bool = False) -> list[Row]:
    """The rows of the run in `out`; `quiet` as in `read_tables`.

    Raises: ReportError for a folder without trials.
    """
    return _read(out, quiet).rows


def _read(out: Path | str, quiet: bool = False) -> _Read:
    """What the folder holds. Raises: ReportError where there are no trials."""
    store = Store(out)
    listed: dict[str, Listed] = {}  # a manifest is read once: thousands of files are the wait
    records, aside = store.records(listed)
    of_rows = _rows_of_trials(store, records, listed, aside)
    records = [record for record in records if f"trials/{record.key}/{TRIAL}" not in aside]
    run = _fitting(RunRecord, store, "run.json", aside)
    names = sorted({record.controls for record in records})
    controls = {name: _fitting(ControlRecord, store, name, aside).rows for name in names}
    if not quiet:
        say_all([f"{Path(out) / name} is set aside: {why}" for name, why in aside.items()])
    if not records:
        set_aside = f" ({len(aside)} files are set aside)" if aside else ""
        raise ReportError(
            f"there are no trials in {out}{set_aside}; "
            f"a run of `vaezoo bench --out {out}` makes some"
        )
    return _Read(_all_rows(records, run, controls, of_rows), run, aside)


def _all_rows(
    records: Sequence[Record],
    run: RunRecord,
    controls: Mapping[str, Mapping[str, Any]],
    of_rows: dict[str, RowRecord],
) -> list[Row]:
    """The rows, each with its controls and the numbers of test rows; those that come with vaezoo
    beside them where the run asked for them.
    """
    references = beside(records) if run.request.get("reference") else []
    theirs = {record.key for record in references}
    rows = judged(rows_of([*records, *references], run.trials, run.sweeps))
    return [
        replace(
            row,
            controls=controls.get(row.trials[0].controls, {}),
            of_rows=of_rows,
            is_reference=row.trials[0].key in theirs,
        )
        for row in rows
    ]


def _rows_of_trials(
    store: Store,
    records: Sequence[Record],
    listed: Mapping[str, Listed],
    aside: dict[str, str],
) -> dict[str, RowRecord]:
    """Key -> the numbers of test rows, of trials that are done; what does not fit goes to
    `aside`, with the trial where the two say different numbers.
    """
    found = {}
    for record in records:
        if not record.is_done:
            continue
        try:
            found[record.key] = store.rows(record, listed[record.key])
        except Contradicted as why:  # nobody can say which of the two was written by another hand
            aside[f"trials/{record.key}/{TRIAL}"] = f"{why}: see its {ROWS}"
        except Damaged as why:
            aside[f"trials/{record.key}/{ROWS}"] = str(why)
    return found


def _fitting(kind: type[R], store: Store, name: str, aside: dict[str, str]) -> R:
    """The record of this file; an empty one where there is none, or where it goes to `aside`."""
    try:
        return kind.from_json(store.read_json(name)) if name else kind()
    except Damaged as why:
        aside[name] = str(why)
        return kind()
