"""Folders of results as such: `verify`, `merge`, `submit`, `weights`."""

from pathlib import Path

import click

from ..bench.text import on_one_line, say_all
from .bench import must_hold_trials
from .common import FOLDER, as_json, common, echo, print_json, reads_data


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option(
    "--recompute",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Measure N trials again from their weights, chosen at random.",
)
@click.option("--metric", default="likelihood", show_default=True, help="What is measured again.")
@reads_data
@as_json
@common
@click.pass_context
def verify(
    ctx: click.Context,
    folder: Path,
    recompute: int,
    metric: str,
    data_dirs: tuple[Path, ...],
    offline: bool,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Say everything that is wrong with the results in DIR, a line a fault.

    Exit code 1 where there is a fault. Nothing is trained, and nothing written.
    """
    must_hold_trials(folder)
    from ..bench.verify import verify as verified

    found = verified(folder)
    if recompute:
        from ..bench.recompute import recomputed_verdict
        from ..bench.workers.processes import Places

        loose = str(plugins_dir.resolve()) if plugins_dir else None
        places = Places(loose, tuple(str(one.resolve()) for one in data_dirs), offline)
        found = recomputed_verdict(found, folder, recompute, metric, places)
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
    say_all([f"{name} is left out: {why}" for name, why in found.refused.items()])
    say_all([f"conflict, left out: {name}: {why}" for name, why in found.conflicts.items()])
    counts = f"{len(found.conflicts)} conflicts, {len(found.refused)} faults"
    echo(f"{found.trials} trials of {len(folders)} folders in {out}; {counts}")
    ctx.exit(int(not found.is_whole))


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="The folder to write.")
@common
@click.pass_context
def submit(ctx: click.Context, folder: Path, out: Path, plugins_dir: Path | None) -> None:
    """Write the folder that one sends from the results in DIR: at most 10 MB a data set.

    It holds every trial of the last run with its numbers, and weights of as many seeds as there is
    room for, so that `vaezoo verify --recompute` can measure them again.
    """
    must_hold_trials(folder)
    from ..bench.submission import SubmissionError, submit as submitted

    try:
        verdict, sizes = submitted(folder, out)
    except SubmissionError as why:
        raise click.UsageError(str(why)) from None
    for dataset, size in sizes.items():
        echo(on_one_line(f"{dataset}: {size / 2**20:.1f} MB"))
    echo(f"{verdict.summary}; see {out}")
    ctx.exit(int(bool(verdict.faults)))


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option(
    "-o", "--out", type=FOLDER, help="Copy the weights there; else they stay where they are."
)
@as_json
@common
def weights(folder: Path, out: Path | None, wants_json: bool, plugins_dir: Path | None) -> None:
    """Name the weights of the results in DIR, so that anyone can load them: weights.json has data
    set, row and seed, and the hash of the file.

    They are loaded as DIR#mnist/iwae/0, or https://.../weights.json#mnist/iwae/0 once the folder is
    published, by vaezoo.load and wherever a command takes a CHECKPOINT.
    """
    must_hold_trials(folder)
    from ..bench.named import name_weights
    from ..training.weights import INDEX

    found = name_weights(folder, out).models
    if wants_json:
        return print_json({name: one.model_dump() for name, one in found.items()})
    for name, one in found.items():
        echo(on_one_line(f"{name}  {one.bytes / 2**20:.1f} MB  SHA-256 {one.sha256}"))
    echo(f"{len(found)} models; see {(out or folder) / INDEX}")
