"""`fit`: the whole walk for someone in a hurry, from a file to its best model and a report."""

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .browse import print_facts
from .common import (
    FOLDER,
    as_json,
    common,
    echo,
    files_of,
    print_json,
    progress,
    reads_data,
    registry_of,
    sets,
    the_only,
)
from .completion import names
from .planning import is_said, plan_of, print_plan

if TYPE_CHECKING:
    from ..bench.plan import Plan
    from ..bench.winners import Winner
    from ..data.data import Data
    from ..registry.entries import Dataset
    from ..registry.selection import Chosen

# of the card, what `vaezoo data` is for
FOR_DATA = ("SHA-256", "SHA-256 of the split", "source", "licence", "title", "data set")

BEST = "best.safetensors"


@click.command()
@click.argument("source", metavar="FILE", shell_complete=names("datasets"))
@click.option(
    "--out",
    type=FOLDER,
    help="The folder of trials, tables and report.html.  [default: runs/fit/NAME]",
)
@click.option(
    "--variants",
    shell_complete=names("variants", "tags"),
    help="Instead of the short list for this kind of data, as bench takes them.",
)
@click.option("--seeds", default="2", show_default=True, help="How many, or which: 3, or 0,1,2.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Instead of the number that the data set asks for."
)
@sets
@click.option("--jobs", type=click.IntRange(min=1), help="Trials side by side.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=1e9),
    help="Seconds that one trial may take.",
)
@click.option("--device", default="auto", show_default=True, help="As bench takes it.")
@click.option("--figures/--no-figures", default=True, help="Draw figures.  [default: figures]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the training.")
@click.option("--dry-run", is_flag=True, help="Only show the data and the plan with its time.")
@progress
@reads_data
@as_json
@common
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    source: str,
    out: Path | None,
    yes: bool,
    dry_run: bool,
    wants_json: bool,
    **asked: Any,
) -> None:
    """Train a short list of variants on FILE, and name the best by the validation split.

    FILE is a table, arrays, a folder of pictures, with options in brackets, such as
    'wine.csv[label=kind]', or a data set of the zoo. Shows what was read and what the training
    costs, asks, trains, and ends with the winner, its checkpoint, report.html and what to do next.
    The same command goes on where it was stopped. In Python: `vaezoo.bench`.
    """
    chosen, data = _loaded(source, asked)
    out = out or Path("runs/fit") / _stem(chosen)
    plan, timeout = _plan(source, data, asked)
    if not wants_json:
        _show(data, plan, out, asked["jobs"])
    if dry_run:
        return print_plan(plan, out, asked["jobs"], wants_json) if wants_json else None
    if not yes and not wants_json and sys.stdin.isatty():
        click.confirm("train these?", default=True, abort=True)

    code = _trained(plan, out, timeout, asked)
    if code > 1:  # stopped
        ctx.exit(code)
    winner = _winner(out, chosen.label)
    if winner:
        _copy(winner.checkpoint, out / BEST)
    if wants_json:
        print_json(_facts(data, out, winner))
    elif winner:
        _say(winner, out, chosen, data)
    ctx.exit(code if winner else 1)


def _loaded(source: str, asked: dict[str, Any]) -> "tuple[Chosen[Dataset], Data]":
    registry = registry_of(asked["plugins_dir"])
    chosen = the_only(registry.choose_datasets(source), source, "data set")
    data = chosen.entry.load(files_of(asked["data_dirs"], asked["offline"]), **chosen.values)
    data.must_fit()
    return chosen, data


def _stem(chosen: "Chosen[Dataset]") -> str:
    """What the folder is called by: the file, else the data set."""
    path = str(chosen.values.get("path", ""))
    return Path(path).expanduser().resolve().name.partition(".")[0] or chosen.entry.name


def _plan(source: str, data: "Data", asked: dict[str, Any]) -> "tuple[Plan, float | None]":
    from ..bench.shortlist import short_list

    listed = short_list(data.spec)
    wanted = {
        "suite": None,
        "variants": asked["variants"] or listed.variants,
        "datasets": source,
        "metrics": ",".join(listed.metrics),
        "samplers": None,
        "importance_samples": None,
        "executor": "local",
        "precision": "float32",
        "threads": 1,
        "stack": 1,
        "reference": False,
    }
    return plan_of({**asked, **wanted})


def _show(data: "Data", plan: "Plan", out: Path, jobs: int | None) -> None:
    """The card, and the plan with its time."""
    from ..bench.shortlist import short_list
    from ..data.card import card_of

    card = {key: value for key, value in card_of(data).items() if key not in FOR_DATA}
    print_facts([{"read": f"{data.card.title}, {short_list(data.spec).kind}", **card}], False)
    echo()
    print_plan(plan, out, jobs, False)


def _trained(plan: "Plan", out: Path, timeout: float | None, asked: dict[str, Any]) -> int:
    from ..bench.command import command_line
    from ..bench.runner import run

    summary = run(
        plan,
        out,
        jobs=asked["jobs"],
        timeout=timeout,
        command=command_line(sys.argv[1:], out),
        figures=asked["figures"],
        progress=asked["progress"],
    )
    for sentence in summary.errors:
        echo(f"vaezoo: {sentence}", err=True)
    is_said(asked["progress"])(str(summary))
    return summary.exit_code


def _winner(out: Path, dataset: str) -> "Winner | None":
    """Of this data set: others may have been fitted into the same folder."""
    from ..bench.winners import winners

    return next((one for one in winners(out) if one.dataset == dataset), None)


def _copy(checkpoint: Path, to: Path) -> None:
    """The winner's weights under a name that can be typed."""
    from ..data.kept import umask, written_aside

    with written_aside(to) as aside:
        aside.write_bytes(checkpoint.read_bytes())
        aside.chmod(0o666 & ~umask())


def _facts(data: "Data", out: Path, winner: "Winner | None") -> dict[str, Any]:
    from ..data.card import card_of

    best = asdict(winner) | {"copy": str(out / BEST)} if winner else None
    return {"card": card_of(data), "best": best, "report": str(out / "report.html")}


def _say(winner: "Winner", out: Path, chosen: "Chosen[Dataset]", data: "Data") -> None:
    from .best import said

    echo(said(winner))
    echo(f"a copy: {out / BEST}\nreport: {out / 'report.html'}\nnext:")
    path = str(Path(str(chosen.values.get("path", ""))).expanduser())
    file = path if "path" in chosen.values and _is_rows(path, data) else ""
    for line in _next(shlex.quote(str(out / BEST)), file, chosen.label, data):
        echo(f"  vaezoo {line}")


def _is_rows(path: str, data: "Data") -> bool:
    """Whether the verbs read the file by its name alone: one of several splits they do not."""
    from ..data.again import values_from
    from ..data.files import BadData, MissingData

    try:
        values_from(path, data.reader)
    except (BadData, MissingData):
        return False
    return True


def _ending(data: "Data") -> str:
    """Of a file of samples."""
    if data.spec.is_image:
        return "png"
    return "csv" if data.reader is not None and data.reader.columns else "npz"


def _next(checkpoint: str, file: str, label: str, data: "Data") -> list[str]:
    """The verbs that end in the user's file, or in the data set where no file is its rows."""
    source = shlex.quote(file or label)
    lines = [
        f"score {checkpoint} -d {source} -o scores.csv",
        f"encode {checkpoint} -d {source} -o codes.csv",
        # a draw of the pixels is noise around the picture that one wants to see
        f"sample {checkpoint}{' --mean' if data.spec.is_image else ''} -o new.{_ending(data)}",
    ]
    if file and data.spec.has_gaps and not data.spec.is_sequence:
        lines.insert(0, f"impute {checkpoint} {source} -o full.csv")
    return lines
