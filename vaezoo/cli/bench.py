"""The benchmark: `bench`, `report`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FILE,
    FOLDER,
    as_json,
    common,
    echo,
    memory_of,
    precision,
    progress,
    reads_data,
    sets,
)
from .completion import names
from .picking import is_picked, picks, write_pick
from .planning import is_said, plan_of, prices_of, print_plan
from .remembered import remembered
from .tables import print_tables, tables_of

if TYPE_CHECKING:
    from ..bench.plan import Plan
    from ..bench.summary import Summary
    from ..registry.registry import Registry

OUT = Path("runs/bench")
TRIED = 60.0  # seconds that prices may take before a run: they serve its time left alone


@click.command()
@click.option(
    "--variants",
    shell_complete=names("variants", "tags"),
    help="Names, globs, tags: 'beta[beta=1,4],recurrent,not:*gan'. [default: all]",
)
@click.option(
    "-d",
    "--datasets",
    shell_complete=names("datasets"),
    help="The same for data sets, or files of your own: 'x.csv[label=kind]'. [default: digits]",
)
@click.option("--seeds", help="How many, or which: 3, or 0,1,2. [default: 3]")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Instead of the number that the data set asks for."
)
@click.option(
    "--suite",
    shell_complete=names("suites"),
    help="A file SUITE.toml, or the name of one of ours; other options go before it.",
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
    "--metrics",
    shell_complete=names("metrics"),
    help="Only these metrics, with commas. [default: all but the costly ones]",
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
    "--stack",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="SEEDS",
    help="Train so many seeds as one, on a GPU, where the variant can be.",
)
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, or whichever there is."
)
@precision
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=1e9),
    help="Seconds that one trial may take.",
)
@click.option(
    "--memory",
    callback=memory_of,
    metavar="SIZE",
    help="Memory that one trial may hold, such as 8G or 500M. [default: what is free / jobs]",
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
@click.option(
    "--reference/--no-reference",
    default=None,
    help="Show the rows that come with vaezoo beside these, where they were made alike. "
    "[default: where --variants are given beside --suite]",
)
@click.option(
    "--log",
    "loggers",
    default="",
    shell_complete=names("loggers"),
    help="Where numbers go besides: 'tensorboard,mlflow,wandb'; see vaezoo list loggers.",
)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@progress
@click.option(
    "--dry-run", is_flag=True, help="Only print what would be trained, and what it costs."
)
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
    from ..bench.store import Store

    if not dry_run:  # said before the plan, which may take a minute
        Store(out).must_be_writable()
    made, timeout = plan_of(asked)
    if asked["snakemake"]:
        return _write_rules(made, out, asked["snakemake"], asked["stack"])
    if dry_run:
        return print_plan(made, out, asked["jobs"], wants_json, is_said(asked["progress"]))
    says = is_said(asked["progress"])
    printed: list[str] = []  # the data sets whose tables are
    show = _printing(out, printed, wants_json)
    summary = _trained(made, out, timeout, asked, says, show)
    print_tables(out, tables_of(out, besides=printed), wants_json)
    for sentence in summary.errors:
        echo(f"vaezoo: {sentence}", err=True)
    says(f"{summary}; see {out}")
    ctx.exit(summary.exit_code)


def _trained(
    made: "Plan",
    out: Path,
    timeout: float | None,
    asked: dict[str, Any],
    say: Callable[[str], object],
    show: Callable[[str], object],
) -> "Summary":
    """The run; `show` is called for each data set that is finished before the last."""
    from ..bench.command import command_line
    from ..bench.runner import run

    return run(
        made,
        out,
        jobs=asked["jobs"],
        timeout=timeout,
        retries=asked["retries"],
        memory=asked["memory"],
        command=command_line(sys.argv[1:], out),
        figures=asked["figures"],
        progress=asked["progress"],
        executor=asked["executor"],
        loggers=asked["loggers"],
        prices=prices_of(made, out, within=TRIED, say=say),
        show_dataset=show,
    )


def _write_rules(made: "Plan", out: Path, file: Path, stack: int) -> None:
    """The trials as rules of Snakemake."""
    if stack > 1:
        raise click.UsageError(
            "--snakemake writes a rule for each trial, and --stack trains several as one; "
            "leave one of them out"
        )
    from ..bench.snakemake import write_rules

    count = write_rules(made, out, file)
    echo(f"wrote {count} rules to {file}")


def _printing(out: Path, printed: list[str], wants_json: bool) -> Callable[[str], None]:
    """Prints the tables of one data set, and notes its name; JSON is printed whole, at the end."""

    def show(dataset: str) -> None:
        if not wants_json:
            printed.append(dataset)
            print_tables(out, tables_of(out, only=[dataset]), wants_json)

    return show


@click.pass_context
def _bench_dry(ctx: click.Context, /, **asked: Any) -> None:
    ctx.invoke(bench, dry_run=True, **asked)


plan = click.Command(
    "plan",
    params=[option for option in bench.params if option.name != "dry_run"],
    callback=_bench_dry,
    help="Print what `bench` would train with the same options, and what it costs.",
)


def must_hold_trials(folder: Path) -> None:
    if not (folder / "trials").is_dir():
        raise click.UsageError(
            f"{folder} is no folder of a run: it holds no trials/ (write the DIR of bench --out)"
        )


def _known(registry: "Registry") -> dict[str, Any]:
    """What a page says of the plugins."""
    from ..bench.report.known import Known

    return Known.of(registry).to_json()


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@picks
@as_json
@common
@click.pass_context
def report(
    ctx: click.Context,
    /,
    folder: Path,
    figures: bool,
    wants_json: bool,
    plugins_dir: Path | None,
    **asked: Any,
) -> None:
    """Rebuild tables, figures and the page report.html from the trials in DIR; or write one table
    for a paper, of the rows and columns that are named.

    Exit code 1 where a number cannot be.
    """
    must_hold_trials(folder)
    if is_picked(asked):
        return write_pick(folder, plugins_dir, asked, wants_json)
    from ..bench.report.known import Known
    from ..bench.report.report import report as rebuild

    facts = remembered("report", plugins_dir, _known)
    known = Known.from_json(facts)
    tables = rebuild(folder, figures=figures, plugins_dir=plugins_dir, known=known)
    ctx.exit(int(print_tables(folder, tables, wants_json)))
