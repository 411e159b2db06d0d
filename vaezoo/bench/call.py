"""The benchmark from Python: what `vaezoo bench` does, in a notebook or a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..registry.registry import load_registry
from ..samplers import PRIOR
from .plan import Plan, Request, make_plan
from .progress import AUTO
from .report.report import ReportError, read_tables
from .runner import run
from .summary import Summary
from .trial import DRAWS
from .workers.processes import Places


@dataclass(frozen=True)
class Benched:
    """A run that has ended: its tables by name, as in the CSV files of its folder `out`.

    `exit_code` and `errors` are those of the command: 0 and none where all went well.
    """

    out: Path
    tables: Mapping[str, pd.DataFrame]
    exit_code: int
    errors: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """For a notebook: every table, the columns of means and half widths."""
        parts = []
        for name, table in self.tables.items():
            shown = table.drop(columns=[c for c in table if str(c).endswith(("_std", "_se"))])
            parts.append(f"<h4>{name}</h4>{shown.dropna(axis=1, how='all').to_html(index=False)}")
        return "".join(parts)


def bench(
    variants: str = "all",
    datasets: str = "digits",
    *,
    seeds: int | str | Sequence[int] = 3,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    out: Path | str = "runs/bench",
    metrics: Sequence[str] = (),
    sampler: str = PRIOR,
    importance_samples: int = DRAWS,
    jobs: int | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    device: str = "auto",
    plugins_dir: Path | str | None = None,
    data_dirs: Sequence[Path | str] = (),
    offline: bool = False,
    figures: bool = False,
    progress: str = AUTO,
) -> Benched:
    """Trains and measures `variants` × `datasets` × `seeds`, and returns the tables; what is
    finished in the folder `out` is not trained again.

    The names are those of the options of `vaezoo bench`, with `memory` in bytes; `settings` are
    those of --set. No main guard is needed. What a plugin file of `plugins_dir` brings can be
    named; a class that is defined in a notebook cannot, for trials run in processes of their own.

    Raises: SelectionError, PlanError, SettingError, StoreError; each one sentence, before anything
    is trained.
    """
    asked = Request(
        variants,
        datasets,
        _seeds(seeds),
        _settings(settings, epochs),
        metrics=tuple(metrics),
        samplers=sampler,
        importance_samples=importance_samples,
        device=device,
    )
    plan = _planned(asked, plugins_dir, data_dirs, offline)
    summary = run(
        plan,
        out,
        jobs=jobs,
        timeout=timeout,
        memory=memory,
        progress=progress,
        figures=figures,
    )
    return _benched(out, summary)


def _seeds(seeds: int | str | Sequence[int]) -> str | Sequence[int]:
    """A number is how many, as on the command line."""
    return str(seeds) if isinstance(seeds, int) else seeds


def _settings(settings: Mapping[str, Any] | None, epochs: int | None) -> dict[str, Any]:
    asked = dict(settings or {})
    if epochs:
        asked["epochs"] = epochs
    return asked


def _benched(out: Path | str, summary: Summary) -> Benched:
    folder = Path(out)
    return Benched(folder, _tables(folder), summary.exit_code, tuple(summary.errors))


def _planned(
    asked: Request, plugins_dir: Path | str | None, data_dirs: Sequence[Path | str], offline: bool
) -> Plan:
    """The plan, of what these places hold."""
    folder = None if plugins_dir is None else str(Path(plugins_dir).resolve())
    places = Places(folder, tuple(str(Path(one).resolve()) for one in data_dirs), offline)
    return make_plan(load_registry(plugins_dir), asked, source=places)


def _tables(out: Path) -> dict[str, pd.DataFrame]:
    """The tables that have a number, of the run and not of one before it in the same folder."""
    try:
        names = [table.name for table in read_tables(out, quiet=True) if table.has_numbers]
    except ReportError:  # no trial has ended
        return {}
    return {name: pd.read_csv(out / f"{name}.csv") for name in names}
