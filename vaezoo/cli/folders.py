"""Folders of results as such: `verify`, `merge`."""

from pathlib import Path

import click

from ..bench.text import on_one_line
from .bench import must_hold_trials
from .common import FOLDER, as_json, common, echo, print_json


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@as_json
@common
@click.pass_context
def verify(ctx: click.Context, folder: Path, wants_json: bool, plugins_dir: Path | None) -> None:
    """Say everything that is wrong with the results in DIR, a line a fault.

    Exit code 1 where there is a fault. Nothing is trained, and nothing written.
    """
    must_hold_trials(folder)
    from ..bench.verify import verify as verified

    found = verified(folder)
    if wants_json:
        faults = [{"file": name, "fault": why} for name, why in found.faults]
        print_json({"trials": found.trials, "unlisted": found.unlisted, "faults": faults})
    else:
        for name, why in found.faults:
            echo(on_one_line(f"{name}: {why}"))
        echo(found.summary)
    ctx.exit(int(bool(found.faults)))


@click.command()
@click.argument("folders", metavar="DIR...", type=FOLDER, nargs=-1, required=True)
@click.option("-o", "--out", type=FOLDER, required=True, help="The folder to write, a new one.")
@common
@click.pass_context
def merge(
    ctx: click.Context, folders: tuple[Path, ...], out: Path, plugins_dir: Path | None
) -> None:
    """Put the trials of several folders into one, each of them checked.

    Exit code 1 where two folders have other numbers for one trial, or a trial does not fit: both
    are left out, and named.
    """
    for folder in folders:
        must_hold_trials(folder)
    from ..bench.merge import merge as merged

    found = merged(folders, out)
    for name, why in found.refused.items():
        echo(on_one_line(f"vaezoo: {name} is left out: {why}"), err=True)
    for name, why in found.conflicts.items():
        echo(on_one_line(f"vaezoo: conflict, left out: {name}: {why}"), err=True)
    counts = f"{len(found.conflicts)} conflicts, {len(found.refused)} faults"
    echo(f"{found.trials} trials of {len(folders)} folders in {out}; {counts}")
    ctx.exit(int(not found.is_whole))
