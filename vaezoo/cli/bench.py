"""The benchmark: `bench`, `report`."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FILE,
    FOLDER,
    as_json,
    common,
    print_json,
    reads_data,
    registry_of,
    sets,
    width_of_terminal,
)

if TYPE_CHECKING:
    from ..bench.plan import Plan
    from ..bench.report.tables import ResultTable

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
@click.option(
    "--metrics", help="Only these metrics, with commas. [default: all but the costly ones]"
)
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
    help="How often a trial whose process died is tried again.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    help="Where trials run, such as 'slurm[partition=gpu]': see vaezoo list executors.",
)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@click.option("--dry-run", is_flag=True, help="Only print what would be trained.")
@click.option(
    "--snakemake",
    type=FILE,
    help="Only write the trials as rules of Snakemake, to this file.",
)
@reads_data
@as_json
@common
@click.pass_context
def bench(ctx: click.Context, /, out: Path, dry_run: bool, wants_json: bool, **asked: Any) -> None:
    """Train and measure VARIANTS on DATASETS, and write the tables."""
    plan, timeout = _plan(asked)
    if asked["snakemake"]:
        from ..bench.snakemake import write_rules

        count = write_rules(plan, out, asked["snakemake"])
        return click.echo(f"wrote {count} rules to {asked['snakemake']}")
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
        executor=asked["executor"],
    )
    print_tables(out, _tables_of(out), wants_json)
    for sentence in summary.errors:
        click.echo(f"vaezoo: {sentence}", err=True)
    click.echo(f"{summary}; see {out}", err=True)
    ctx.exit(summary.exit_code)


WHAT = ("variants", "datasets", "seeds", "samplers", "importance_samples")
DEFAULTS: dict[str, Any] = {
    "variants": "all",
    "datasets": "digits",
    "seeds": "3",
    "sets": {},
    "metrics": (),
}


def _plan(asked: dict[str, Any]) -> "tuple[Plan, float | None]":
    """What to do, and the time limit of a trial in seconds."""
    from ..bench.plan import Request, make_plan
    from ..bench.workers.processes import Places

    wanted, timeout = _wanted(asked)
    plugins_dir = asked["plugins_dir"]
    folder = str(plugins_dir.resolve()) if plugins_dir else None
    places = Places(folder, tuple(str(d.resolve()) for d in asked["data_dirs"]), asked["offline"])
    registry = registry_of(plugins_dir)
    where = registry.choose_executor(asked["executor"]).entry.name
    machine = {
        "device": asked["device"],
        "threads": asked["threads"],
        "is_here": where == "local",
    }
    return make_plan(registry, Request(**wanted, **machine), source=places), timeout


def _wanted(asked: dict[str, Any]) -> tuple[dict[str, Any], float | None]:
    """What is asked for, else what the suite says, else the defaults; and the time limit."""
    wanted: dict[str, Any] = dict(DEFAULTS)
    timeout = asked["timeout"]
    if asked["suite"]:
        from ..bench.suites import load_suite

        chosen = load_suite(asked["suite"])
        wanted |= chosen.arguments
        timeout = timeout or chosen.timeout
    wanted |= {key: asked[key] for key in WHAT if asked[key] is not None}
    if asked["metrics"]:
        wanted["metrics"] = tuple(asked["metrics"].split(","))
    epochs = {"epochs": asked["epochs"]} if asked["epochs"] else {}
    wanted["sets"] = wanted["sets"] | asked["settings"] | epochs
    return wanted, timeout


def _planned(trial: Any) -> dict[str, Any]:
    return {
        "key": trial.key,
        "variant": trial.variant,
        "dataset": trial.dataset,
        "skip": trial.skip,
        **trial.ingredients,
    }


def _tables_of(out: Path) -> "list[ResultTable]":
    """The tables of a run; none where it was stopped before any trial ended."""
    from ..bench.report.report import ReportError, read_tables

    try:
        return read_tables(out, quiet=True)
    except ReportError:
        return []


def print_tables(out: Path, tables: "Sequence[ResultTable]", wants_json: bool) -> bool:
    """Those of these tables of `out` that every run has, or that `--metrics` asked for: fitted to a
    terminal, whole as Markdown where stdout is a file or a pipe. Then whether any row has a number
    that cannot be, which stderr names.
    """
    from ..bench.report.printed import as_markdown, as_text
    from ..bench.report.report import refusals
    from ..bench.report.tables import to_print

    shown = to_print(tables)
    if wants_json:
        print_json({table.name: table_of(out, table.name) for table in shown})
    for table in shown if not wants_json else ():
        is_fitted = sys.stdout.isatty()
        text = as_text(table, width_of_terminal()) if is_fitted else as_markdown(table)
        click.echo(text.rstrip() + "\n")
    refused = refusals(tables)
    for sentence in refused:
        click.echo(f"vaezoo: {sentence}", err=True)
    return bool(refused)


def table_of(out: Path, name: str) -> list[dict[str, str]]:
    """The rows of one table."""
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def must_hold_trials(folder: Path) -> None:
    if not (folder / "trials").is_dir():
        raise click.UsageError(
            f"{folder} is no folder of a run: it holds no trials/ (write the DIR of bench --out)"
        )


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@as_json
@common
@click.pass_context
def report(
    ctx: click.Context, folder: Path, figures: bool, wants_json: bool, plugins_dir: Path | None
) -> None:
    """Rebuild tables and figures from the trials in DIR.

    Exit code 1 where a number cannot be.
    """
    must_hold_trials(folder)
    from ..bench.report.report import report as rebuild

    tables = rebuild(folder, figures=figures, plugins_dir=plugins_dir)
    ctx.exit(int(print_tables(folder, tables, wants_json)))
