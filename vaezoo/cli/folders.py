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
