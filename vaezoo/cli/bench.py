"""The benchmark: `bench`, `report`, `compare`."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FOLDER,
    as_json,
    common,
    print_json,
    print_table,
    reads_data,
    registry_of,
    sets,
)

if TYPE_CHECKING:
    from ..bench.plan import Plan

TABLES = ("elbo", "reconstruction", "fid")
OUT = Path("runs/bench")


@click.command()
@click.option(
    "--variants", help="Names, globs, tags: 'beta[beta=1,4],recurrent,not:*gan'. [default: all]"
)
@click.option("--datasets", help="The same for data sets. [default: digits]")
@click.option("--seeds", help="How many, or which: 3, or 0,1,2. [default: 3]")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Instead of the number that the data set asks for."
)
@click.option(
    "--suite", help="A file SUITE.toml, or the name of one of ours; other options go before it."
)
@click.option(
    "--out",
    type=FOLDER,
    default=OUT,
    show_default=True,
    help="The folder of trials, tables and figures.",
)
@sets
@click.option("--metrics", help="Only these metrics, with commas. [default: all]")
@click.option(
    "--sampler",
    "samplers",
    help="Where samples' codes come from: 'prior,mixture'. [default: prior]",
)
@click.option(
    "--importance-samples",
    type=click.IntRange(min=1),
    metavar="K",
    help="Draws behind nll. [default: 100]",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Trials side by side. [default: the number of cores]"
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of one trial.",
)
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, or whichever there is."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that one trial may take.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="For a trial whose process died.",
)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@click.option("--dry-run", is_flag=True, help="Only print what would be trained.")
@reads_data
@as_json
@common
@click.pass_context
def bench(ctx: click.Context, out: Path, dry_run: bool, wants_json: bool, **asked: Any) -> None:
    """Train and measure VARIANTS on DATASETS, and write the tables."""
    plan, timeout = _plan(
        **{key: value for key, value in asked.items() if key not in ("jobs", "retries", "figures")}
    )
    if dry_run:
        return (
            print_json([_planned(trial) for trial in plan.trials])
            if wants_json
            else click.echo(plan.describe())
        )
    from ..bench.runner import run

    summary = run(
        plan,
        out,
        jobs=asked["jobs"],
        timeout=timeout,
        retries=asked["retries"],
        command=" ".join(["vaezoo", *sys.argv[1:]]),
        figures=asked["figures"],
    )
    print_tables(out, wants_json)
    for sentence in summary.errors:
        click.echo(f"vaezoo: {sentence}", err=True)
    click.echo(f"{summary}; see {out}", err=True)
    ctx.exit(summary.exit_code)


def _plan(
    variants: str | None,
    datasets: str | None,
    seeds: str | None,
    epochs: int | None,
    suite: str | None,
    settings: dict[str, Any],
    metrics: str | None,
    samplers: str | None,
    importance_samples: int | None,
    timeout: float | None,
    plugins_dir: Path | None,
    data_dirs: tuple[Path, ...],
    offline: bool,
    **machine: Any,
) -> "tuple[Plan, float | None]":
    """What to do and the time limit of a trial: what is asked for, else what the suite says, else
    the defaults.
    """
    from ..bench.plan import make_plan
    from ..bench.workers.processes import Source

    wanted: dict[str, Any] = {
        "variants": "all",
        "datasets": "digits",
        "seeds": "3",
        "sets": {},
        "metrics": (),
    }
    if suite:
        from ..bench.suites import load_suite

        chosen = load_suite(suite)
        wanted = wanted | chosen.arguments
        timeout = timeout or chosen.timeout
    asked: dict[str, Any] = {
        "variants": variants,
        "datasets": datasets,
        "seeds": seeds,
        "metrics": metrics and tuple(metrics.split(",")),
    }
    asked |= {"samplers": samplers, "importance_samples": importance_samples}
    wanted |= {key: value for key, value in asked.items() if value is not None}
    wanted["sets"] = wanted["sets"] | settings | ({"epochs": epochs} if epochs else {})
    folder = str(plugins_dir.resolve()) if plugins_dir else None
    source = Source(folder, tuple(str(d.resolve()) for d in data_dirs), offline)
    return make_plan(registry_of(plugins_dir), **wanted, source=source, **machine), timeout


def _planned(trial: Any) -> dict[str, Any]:
    return {
        "key": trial.key,
        "variant": trial.variant,
        "dataset": trial.dataset,
        "skip": trial.skip,
        **trial.ingredients,
    }


def print_tables(out: Path, wants_json: bool) -> None:
    """The three tables of a run's folder."""
    if wants_json:
        return print_json(
            {name: table_of(out, name) for name in TABLES if (out / f"{name}.csv").is_file()}
        )
    for name in TABLES:
        path = out / f"{name}.md"
        if path.is_file():
            click.echo(path.read_text(encoding="utf-8").rstrip() + "\n")


def table_of(out: Path, name: str) -> list[dict[str, str]]:
    """The rows of one table."""
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _must_hold_trials(folder: Path) -> None:
    if not (folder / "trials").is_dir():
        raise click.UsageError(
            f"{folder} is no folder of a run: it holds no trials/ (write the DIR of bench --out)"
        )


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@as_json
@common
def report(folder: Path, figures: bool, wants_json: bool, plugins_dir: Path | None) -> None:
    """Rebuild tables and figures from the trials in DIR."""
    _must_hold_trials(folder)
    from ..bench.report.report import report as rebuild

    rebuild(folder, figures=figures)
    print_tables(folder, wants_json)


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@as_json
@common
def compare(a: Path, b: Path, wants_json: bool, plugins_dir: Path | None) -> None:
    """What differs between two runs: every number of the tables that both have, and rows that only
    one has.
    """
    for folder in (a, b):
        if not (folder / "elbo.csv").is_file():
            raise click.UsageError(
                f"{folder} holds no elbo.csv: write the DIR of bench --out, or run vaezoo report on it"
            )
    rows = [row for name in TABLES for row in _differences(a, b, name)]
    print_table(rows, wants_json)


def _differences(a: Path, b: Path, name: str) -> list[dict[str, Any]]:
    left, right = (_by_row(folder, name) for folder in (a, b))
    rows = []
    for key in dict.fromkeys([*left, *right]):
        before = left.get(key, {})
        after = right.get(key, {})
        for column in dict.fromkeys(
            c for c in [*before, *after] if c.endswith("_mean") or c == "status"
        ):
            values = before.get(column, ""), after.get(column, "")
            if values[0] != values[1]:
                rows.append({
                    "variant": key[0], "dataset": key[1], "column": column.removesuffix("_mean"),
                    "a": values[0] or "–", "b": values[1] or "–", "b - a": _difference(*values),
                })  # fmt: skip
    return rows


def _by_row(folder: Path, name: str) -> dict[tuple[str, str], dict[str, str]]:
    rows = table_of(folder, name) if (folder / f"{name}.csv").is_file() else []
    return {(row["variant"], row["dataset"]): row for row in rows}


def _difference(before: str, after: str) -> str:
    try:
        return f"{float(after) - float(before):+.4g}"
    except ValueError:
        return "–"
