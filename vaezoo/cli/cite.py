"""`cite`: what to put into a paper's bibliography."""

from pathlib import Path

import click

from .bench import must_hold_trials
from .common import FOLDER, common, echo, registry_of


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@common
def cite(folder: Path, plugins_dir: Path | None) -> None:
    """Print BibTeX of the variants, data sets and methods that the run in DIR used."""
    must_hold_trials(folder)
    from ..bench.cite.cite import cite as of

    echo(of(folder, registry_of(plugins_dir)), nl=False)
