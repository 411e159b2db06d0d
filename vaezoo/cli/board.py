"""Published tables beside ours: `board`."""

from pathlib import Path

import click

from .common import FOLDER, as_json, common, echo, print_json, registry_of, show_grid


@click.command()
@click.argument("names", metavar="[TABLE...]", nargs=-1)
@click.option(
    "--results",
    type=FOLDER,
    default=Path("results"),
    show_default=True,
    help="The folder of runs, a run a suite.",
)
@click.option("--compute", is_flag=True, help="Compute the cells that need data and no training.")
@as_json
@common
def board(
    names: tuple[str, ...],
    results: Path,
    compute: bool,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Published tables beside ours, cell by cell: reproduced, or why not."""
    from ..bench.board import exact, page
    from ..bench.board.ours import Results
    from ..data.published import published
    from ..hyperparameters import did_you_mean, listed

    known = published()
    for name in names:
        if name not in known:
            raise click.UsageError(
                f"there is no published table {name!r}{did_you_mean(name, list(known))}; "
                f"there are {listed(known)}"
            )
    tables = {name: known[name] for name in names or known}
    if compute:
        found, missing = exact.compute(registry_of(plugins_dir), tables)
        exact.keep(results, found)
        for dataset in missing:
            echo(f"vaezoo: {dataset} is not here: its cells were not computed", err=True)
    made = page.board_of(tables, Results(results))
    if wants_json:
        return print_json(page.facts(made))
    for grid in page.grids(made):
        show_grid(grid)
    echo(page.summary(made))
