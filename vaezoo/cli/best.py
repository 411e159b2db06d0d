"""`best`: the winner of a run by its validation split, and its checkpoint."""

from dataclasses import asdict
from pathlib import Path

import click

from .bench import must_hold_trials
from .common import FOLDER, as_json, common, echo, print_json


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@as_json
@common
def best(folder: Path, wants_json: bool, plugins_dir: Path | None) -> None:
    """The variant of a run with the highest ELBO on the validation split, and its checkpoint."""
    must_hold_trials(folder)
    from ..bench.winners import winners

    found = winners(folder)
    if wants_json:
        return print_json([asdict(winner) for winner in found])
    for one in found:
        ahead = "" if one.ahead_of_next is None else f", {one.ahead_of_next:.2f} ahead of the next"
        nll = "" if one.nll is None else f"; on the test split nll {one.nll:.2f}"
        seeds = "1 seed" if one.seeds == 1 else f"{one.seeds} seeds"
        rows = "the only row" if one.rows == 1 else f"of {one.rows} rows"
        echo(
            f"{one.dataset} ({one.likelihood}): {one.variant}, {rows}: validation ELBO "
            f"{one.elbo_validation:.2f} nats ({seeds}){ahead}{nll}\n  {one.checkpoint}"
        )
