"""Hyperparameters chosen by the validation split: `tune`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FOLDER,
    as_json,
    common,
    echo,
    print_json,
    print_table,
    progress,
    reads_data,
    registry_of,
    sets,
)
from .completion import names

if TYPE_CHECKING:
    from ..bench.plan import Plan
    from ..bench.tune.tune import Candidates, Tuned


@click.command()
@click.argument("variants", shell_complete=names("variants", "tags"))
@click.option(
    "-d",
    "--datasets",
    default="digits",
    show_default=True,
    shell_complete=names("datasets"),
    help="As bench takes them.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Draws for each variant that has something to tune, beside its default.",
)
@click.option("--seeds", default="1", show_default=True, help="Of each draw: 3, or 0,1,2.")
@click.option(
    "--draw-seed", type=click.IntRange(min=0), default=0, help="Of the draws.  [default: 0]"
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/tune"),
    show_default=True,
    help="The folder of trials, and of what is found.",
)
@sets
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of those of the data set.")
@click.option("--jobs", type=click.IntRange(min=1), help="Trials side by side.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that one trial may take.",
)
@click.option("--device", default="auto", show_default=True, help="As bench takes it.")
@progress
@reads_data
@as_json
@common
@click.pass_context
def tune(ctx: click.Context, /, variants: str, out: Path, wants_json: bool, **asked: Any) -> None:
    """As many draws of hyperparameters for each of VARIANTS, judged by the validation split.

    Writes a suite of the default and the tuned rows, the values of all draws, and the figure of
    what the best of n draws is expected to be. The same command goes on where it was stopped.
    """
    from ..bench.tune.tune import candidates_of, results

    registry = registry_of(asked["plugins_dir"])
    tried = candidates_of(registry, variants, asked["trials"], asked["draw_seed"])
    plan, code = _trained(out, tried, asked)
    if code > 1:  # stopped: what is not trained is not judged
        ctx.exit(code)
    found = results(out, tried, plan.trials)
    _write(out, found, asked)
    if wants_json:
        from ..bench.tune.tune import facts

        return print_json(facts(found))
    print_table([_line(one) for one in found], wants_json=False)
    for dataset in dict.fromkeys(one.dataset for one in found):
        echo(f"the table of default and tuned rows: vaezoo bench --suite {_suite(out, dataset)}")


def _trained(out: Path, tried: "list[Candidates]", asked: dict[str, Any]) -> "tuple[Plan, int]":
    """The run that trains all candidates, and its exit code."""
    from ..bench.command import command_line
    from ..bench.runner import run
    from ..bench.tune.tune import METRIC
    from .planning import is_said, plan_of

    selections = [selection for one in tried for selection in one.selections]
    wanted = {
        "suite": None,
        "variants": ",".join(selections),
        "metrics": METRIC,
        "samplers": None,
        "importance_samples": None,
        "executor": "local",
        "precision": "float32",
        "threads": 1,
        "stack": 1,
        "reference": False,
    }
    plan, timeout = plan_of({**asked, **wanted})
    command = command_line(sys.argv[1:], out)
    summary = run(
        plan,
        out,
        jobs=asked["jobs"],
        timeout=timeout,
        command=command,
        figures=False,
        progress=asked["progress"],
    )
    for sentence in summary.errors:
        echo(f"vaezoo: {sentence}", err=True)
    is_said(asked["progress"])(f"{summary}; see {out}")
    return plan, summary.exit_code


def _write(out: Path, found: "list[Tuned]", asked: dict[str, Any]) -> None:
    """tuning.json, and of each data set a suite and a figure."""
    from ..bench.report.drawing import rendered
    from ..bench.store import Store, to_json
    from ..bench.tune.figure import expected_best_figure
    from ..bench.tune.tune import as_suite, facts
    from ..training.settings import split_settings

    store = Store(out)
    store.write("tuning.json", to_json(facts(found)))
    epochs = {"epochs": asked["epochs"]} if asked["epochs"] else {}
    budget, size = split_settings(asked["settings"] | epochs)
    for dataset in dict.fromkeys(one.dataset for one in found):
        suite = as_suite(found, dataset, budget | size, asked["trials"])
        store.write(_suite(out, dataset).name, suite)
        figure = expected_best_figure([one for one in found if one.dataset == dataset])
        if figure is None:
            continue
        name = f"figures/expected-best-{_suite(out, dataset).stem.removeprefix('tuned-')}"
        for suffix in ("png", "svg"):
            store.write(f"{name}.{suffix}", rendered(figure, suffix))


def _suite(out: Path, dataset: str) -> Path:
    from ..bench.report.naming import file_names

    return out / f"tuned-{file_names([dataset])[dataset]}.toml"


def _line(one: "Tuned") -> dict[str, Any]:
    tried = one.candidates
    drawn = f"{len(one.expected)}/{len(tried.drawn)}" if tried.drawn else "nothing to tune"
    return {
        "variant": tried.default,
        "data set": one.dataset,
        "draws": drawn,
        "default": _nats(one.default),
        "best": _nats(one.best_value),
        "chosen": one.best or "none: no bound on the validation split",
    }


def _nats(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"
