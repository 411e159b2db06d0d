"""Runs beside each other: `compare`, `rank`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bench import must_hold_trials
from .common import FILE, FOLDER, as_json, common, echo, print_json, show_grid

if TYPE_CHECKING:
    from ..bench.report.ranking import Ranking
    from ..bench.report.typeset import Grid


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option(
    "--fail-on",
    type=click.Choice(["worse", "different", "changed"]),
    help="Exit code 1 where a number that leads a table is worse in B by the adjusted p value, or "
    "is lost; is different in either direction; or where any number is not the same.",
)
@click.option(
    "--rows",
    "by_row",
    is_flag=True,
    help="Pair by test row, not by seed: what other test rows would say of these models.",
)
@click.option(
    "--against",
    default="",
    metavar="NAME",
    help="Compare every row of A with this row of B, such as vae. [default: that of its own name]",
)
@as_json
@common
@click.pass_context
def compare(
    ctx: click.Context,
    a: Path,
    b: Path,
    fail_on: str | None,
    by_row: bool,
    against: str,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Every number in which the runs A and B differ: A - B, paired by seed or by test row."""
    for folder in (a, b):
        must_hold_trials(folder)
    if fail_on and by_row:
        raise click.UsageError(
            "--fail-on judges what other seeds would say: give it without --rows"
        )
    from ..bench.report.compare import compare as compared, failures
    from ..bench.report.compared import compared_facts, compared_grid

    found = compared(a, b, by_row=by_row, against=against)
    _print_grid(compared_grid(found), compared_facts(found), wants_json)
    sentences = failures(found, fail_on) if fail_on else []
    for sentence in sentences:
        echo(f"vaezoo: {sentence}", err=True)
    ctx.exit(int(bool(sentences)))


@click.command()
@click.argument("folders", metavar="DIR...", type=FOLDER, nargs=-1, required=True)
@click.option("--column", default="", help="What to rank by, such as nll. [default: the first]")
@click.option(
    "-o",
    "--out",
    type=FILE,
    help="Where to draw the critical-difference diagram: a file .png, .pdf or .svg.",
)
@as_json
@common
def rank(
    folders: tuple[Path, ...],
    column: str,
    out: Path | None,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Rank the variants of runs over their data sets: mean ranks, Friedman's test, IQM."""
    for folder in folders:
        must_hold_trials(folder)
    from ..bench.report import ranking as of
    from ..bench.report.report import read_tables

    found = of.rank([table for folder in folders for table in read_tables(folder)], column)
    if out:
        _draw_ranks(found, out)
    _print_grid(of.ranking_grid(found), of.ranking_facts(found), wants_json)


def _draw_ranks(found: "Ranking", out: Path) -> None:
    from ..bench.report.drawing import KINDS, rendered
    from ..bench.report.figures.ranks import diagram

    suffix = out.suffix.removeprefix(".")
    if suffix not in KINDS:
        raise click.UsageError(f"-o takes a file that ends with .{', .'.join(KINDS)}, not {out}")
    if not math.isfinite(found.p):
        raise click.UsageError("there is no diagram of fewer than three variants or two data sets")
    out.write_bytes(rendered(diagram(found), suffix))


def _print_grid(grid: "Grid", facts: dict[str, Any], wants_json: bool) -> None:
    if wants_json:
        return print_json(facts)
    show_grid(grid)
