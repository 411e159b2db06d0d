"""`best`: the winner of a run by its validation split, and its checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .bench import must_hold_trials
from .common import FOLDER, as_json, common, echo, print_json, show_grid

if TYPE_CHECKING:
    from ..bench.report.typeset import Grid
    from ..bench.winners import Winner, Won


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@as_json
@common
def best(folder: Path, wants_json: bool, plugins_dir: Path | None) -> None:
    """The variant of a run with the highest ELBO on the validation split, and its checkpoint; then
    which row won which column of the tables, on the test split.
    """
    must_hold_trials(folder)
    from ..bench.winners import columns_won, winners

    found = winners(folder)
    won = columns_won(folder)
    if wants_json:
        return print_json(
            [
                {**asdict(one), "columns": [asdict(w) for w in won if w.dataset == one.dataset]}
                for one in found
            ]
        )
    for one in found:
        echo(said(one))
    echo()
    for dataset in dict.fromkeys(one.dataset for one in won):
        show_grid(_grid(dataset, [one for one in won if one.dataset == dataset]))


def _grid(dataset: str, won: "Sequence[Won]") -> "Grid":
    from ..bench.report.caption import in_words
    from ..bench.report.typeset import Grid

    body = [
        [
            in_words(one.column),
            one.variant,
            f"{one.value:.{one.digits}f} {one.unit}".strip(),
            ", ".join(one.also) or "–",
            one.checkpoint.parent.name[:8],
        ]
        for one in won
    ]
    head = ["column", "won by", "mean", "not significantly worse", "trial"]
    folder = won[0].checkpoint.parents[1]
    return Grid(f"{dataset}, on the test split; checkpoints: {folder}/TRIAL…/", head, body)


def said(one: "Winner") -> str:
    """A winner, and in a second line where its weights are."""
    ahead = "" if one.ahead_of_next is None else f", {one.ahead_of_next:.2f} ahead of the next"
    nll = "" if one.nll is None else f"; on the test split nll {one.nll:.2f}"
    seeds = "1 seed" if one.seeds == 1 else f"{one.seeds} seeds"
    rows = "the only row" if one.rows == 1 else f"of {one.rows} rows"
    return (
        f"{one.dataset} ({one.likelihood}): {one.variant}, {rows}: validation ELBO "
        f"{one.elbo_validation:.2f} nats ({seeds}){ahead}{nll}\n  {one.checkpoint}"
    )
