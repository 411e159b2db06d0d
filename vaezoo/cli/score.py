"""`score`: log p(x) of rows, beside that of rows to compare with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import FILE, common, echo, reads_data
from .models import CHECKPOINT, SPLIT, model_for
from .output import TABLES, named_rows, save_table
from .rows import Rows, rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..core import Model
    from ..data.reader import Reader


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.option("-d", "--data", "source", required=True, help="A data set, or a file of rows.")
@click.option(
    "-o", "--out", type=FILE, required=True, help="NAME.csv or NAME.parquet, a row a row."
)
@click.option(
    "--against",
    help="A data set, or a file of rows, to compare with; without it the rows themselves.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Of the rows to compare with, that counts as outliers.",
)
@click.option("--split", type=SPLIT, default="test", show_default=True)
@click.option(
    "-k", "--draws", type=click.IntRange(min=1), default=500, show_default=True,
    help="Of the codes, a row.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@reads_data
@common
def score(
    checkpoint: str,
    source: str,
    out: Path,
    against: str | None,
    share: float,
    split: str,
    draws: int,
    seed: int,
    plugins_dir: Path | None,
    **where: Any,
) -> None:
    """Write log p(x) of each row, in the units of the data that the model was trained on: the share
    of rows to compare with that have less, and whether it is an outlier.

    An outlier has less than all but --share of those rows. Rows that the model was trained on have
    more than new ones: compare new rows with new rows.
    """
    import torch

    from ..seeds import seeded
    from ..use import reader_of

    model = model_for(checkpoint, plugins_dir, out, TABLES)
    rows = rows_of(model, source, split, plugins_dir, **where)
    with seeded("score", seed):
        found = _log_prob(model, rows, draws)
        others = found
        if against is not None:
            others = _log_prob(model, rows_of(model, against, split, plugins_dir, **where), draws)

    limit = float(torch.quantile(others, share))
    below = torch.searchsorted(others.sort().values, found).double() / len(others)
    is_outlier = found < limit
    _write(
        out,
        reader_of(model),
        rows,
        {"log_p": found, "share_below": below, "is_outlier": is_outlier},
    )
    echo(
        f"{out}: {int(is_outlier.sum())} of {len(found)} rows are outliers, with log p(x) below "
        f"{limit:.2f} nats, as {share:.0%} of the {len(others)} rows of {against or source}"
    )


def _log_prob(model: "Model", rows: Rows, draws: int) -> "Tensor":
    """log p of the values in their own units, (N,), float64."""
    from ..likelihoods import head
    from ..use import log_prob, reader_of

    found = log_prob(model, rows.x, rows.c, draws).double()
    if model.recipe is not None and head(model.recipe.spec).is_discrete:
        return found
    return found + reader_of(model).log_jacobian(rows.x)


def _write(out: Path, reader: "Reader", rows: Rows, columns: "dict[str, Tensor]") -> None:
    table = named_rows(reader, rows.names, rows.words)
    for name, values in columns.items():
        table[name] = values.tolist()
    save_table(table, out, out)
