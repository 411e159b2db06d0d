"""One trained model: `sample`, `encode`, `reconstruct`, `impute`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import FILE, common, echo, reads_data, registry_of
from .output import TABLES, framed, pairs, write, write_frame, write_table
from .rows import Rows, rows_of, spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..core import Model

SPLIT = click.Choice(["train", "validation", "test"])
CHECKPOINT = click.STRING  # a file, or a place of training/weights.py
KINDS = (".npz", *TABLES, ".png")

source = click.option(
    "-d",
    "--data",
    "source",
    required=True,
    help="A data set, or a file or folder of rows.",
)
split = click.option("--split", type=SPLIT, default="test", show_default=True)


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.option("-n", type=click.IntRange(min=1), default=16, show_default=True, help="How many.")
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz with the array x, NAME.csv or NAME.parquet for a table, or NAME.png for images.",
)
@click.option(
    "--label",
    type=click.IntRange(min=0),
    help="All of this class; without it the classes take turns.",
)
@click.option("--mean", is_flag=True, help="Means of p(x|z) instead of draws.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@common
def sample(
    checkpoint: str,
    n: int,
    out: Path,
    label: int | None,
    mean: bool,
    seed: int,
    plugins_dir: Path | None,
) -> None:
    """Draw x from a trained model, in the units of the data that it was trained on."""
    from ..seeds import seeded
    from ..use import reader_of

    model = model_for(checkpoint, plugins_dir, out, KINDS)
    conditions = _conditions(model, n, label)
    with seeded("sample", seed):
        x = model.sample(n, conditions, mean)
    if out.suffix not in TABLES:
        return write(out, {"x": _own(model, x)}, x)
    reader = reader_of(model)
    write_frame(out, framed(_own(model, x), reader), reader, words=_classes(model, conditions))


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@source
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz: z0, z1, … one array a latent, and labels; or NAME.csv or NAME.parquet, a row "
    "a row.",
)
@split
@reads_data
@common
def encode(
    checkpoint: str, source: str, out: Path, split: str, plugins_dir: Path | None, **where: Any
) -> None:
    """Write the codes of x: the centres of q(z|x)."""
    from ..use import encode as codes_of, reader_of

    model = model_for(checkpoint, plugins_dir, out, (".npz", *TABLES))
    rows = rows_of(model, source, split, plugins_dir, **where)
    codes = {f"z{i}": z for i, z in enumerate(codes_of(model, rows.x, rows.c))}
    if out.suffix in TABLES:
        return write_table(out, codes, reader_of(model), rows.names, rows.words)
    write(out, codes | ({} if rows.labels is None else {"labels": rows.labels}))


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@source
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz with x and reconstruction, NAME.csv with the reconstruction of a table, or "
    "NAME.png for images.",
)
@click.option("-n", type=click.IntRange(min=1), help="Only the first n.")
@split
@reads_data
@common
def reconstruct(
    checkpoint: str,
    source: str,
    out: Path,
    n: int | None,
    split: str,
    plugins_dir: Path | None,
    **where: Any,
) -> None:
    """Write the means of p(x|z) at the codes of x; in a picture every second row is what the row
    above it became.
    """
    from ..use import reconstruct as means_of

    model = model_for(checkpoint, plugins_dir, out, KINDS)
    rows = rows_of(model, source, split, plugins_dir, **where)
    n = n or (32 if out.suffix == ".png" else len(rows.x))
    x = rows.x[:n]
    c = rows.c
    means = means_of(model, x, None if c is None else c[:n])
    if out.suffix in TABLES:
        return _write_means(model, out, _to_length(model, means, x), rows, n)
    pictures = pairs(x, means) if out.suffix == ".png" else None
    write(out, {"x": _own(model, x), "reconstruction": _own(model, means)}, pictures)


def _to_length(model: "Model", means: "Tensor", x: "Tensor") -> "Tensor":
    """Of sequences NaN past the end of x: a network goes on past the end of a short one."""
    from ..steps import step_mask

    if not spec_of(model).is_sequence:
        return means
    return means.masked_fill(~step_mask(x).unsqueeze(-1), math.nan)


def _write_means(model: "Model", out: Path, means: "Tensor", rows: Rows, n: int) -> None:
    """The means of the first n rows as a table."""
    from ..use import reader_of

    words = None if rows.words is None else rows.words[:n]
    reader = reader_of(model)
    write_frame(out, framed(_own(model, means), reader), reader, rows.names[:n], words)


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.argument("source", metavar="FILE", type=CHECKPOINT)
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz with x, NAME.npy, NAME.csv or NAME.parquet.",
)
@click.option(
    "-k",
    "--draws",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Of the codes, a row.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@common
def impute(
    checkpoint: str, source: Path, out: Path, draws: int, seed: int, plugins_dir: Path | None
) -> None:
    """Fill what is NaN in FILE, an array or a table, with its mean given the rest, as a trained
    model sees it. What is there stays as it is.
    """
    import torch

    from ..data.again import values_from
    from ..seeds import seeded
    from ..use import impute as fill, must_read_gaps, placed, reader_of

    model = model_for(checkpoint, plugins_dir, out, (".npz", ".npy", *TABLES))
    must_read_gaps(spec_of(model), checkpoint)
    raw = values_from(source, reader_of(model))
    reader = reader_of(model)
    placed(raw, spec_of(model), reader, str(source))  # refuses what the model does not read
    with seeded("impute", seed):
        filled = torch.from_numpy(fill(model, raw.x, draws=draws))
    if out.suffix in TABLES:
        write_frame(out, framed(filled, reader), reader, raw.rows, raw.labels)
    else:
        write(out, {"x": filled})
    were_gaps = reader.is_gap(torch.from_numpy(raw.x)).sum()
    found = int(were_gaps - filled.isnan().sum())
    echo(f"{found} of {filled.numel()} entries were filled")


def model_for(
    checkpoint: str, plugins_dir: Path | None, out: Path, kinds: tuple[str, ...] = (".npz", ".png")
) -> "Model":
    """The model, once it is clear that `out` can be written."""
    if out.suffix not in kinds:
        raise click.UsageError(f"--out must end in {' or '.join(kinds)}; {out.name!r} does not")
    if not out.parent.is_dir():
        raise click.UsageError(f"the folder {out.parent} (--out) does not exist")
    from ..training.checkpoint import load
    from ..use import reader_of

    model = load(checkpoint, registry_of(plugins_dir))
    if out.suffix == ".png" and not spec_of(model).is_image:
        raise click.UsageError(
            f"a picture needs images, and this model's x has shape {spec_of(model).shape}; "
            "write .npz"
        )
    if out.suffix not in TABLES and ".csv" in kinds and reader_of(model).columns:
        raise click.UsageError(
            "the columns of this model hold words and numbers; write .csv or .parquet"
        )
    return model


def _classes(model: "Model", conditions: "Tensor | None") -> Any:
    """What the labels that x was drawn for are called, (N,); None where the model reads none."""
    import numpy as np

    from ..evaluation.conditioning import samples_by_label
    from ..use import reader_of

    if conditions is None or not samples_by_label(model, conditions.shape[1]):
        return None
    names = reader_of(model).classes or tuple(map(str, range(conditions.shape[1])))
    return np.array(names)[conditions.argmax(1).numpy()]


def _own(model: "Model", x: "Tensor") -> "Tensor":
    """x in the units of the data that the model was trained on."""
    return model.data_reader.back(x) if model.data_reader else x


def _conditions(model: "Model", n: int, label: int | None) -> "Tensor | None":
    """(n, classes): one label, or all in turn; None for data without labels."""
    import torch
    from torch.nn import functional as F

    from ..evaluation.conditioning import samples_by_label

    classes = spec_of(model).classes
    if label is None:
        return F.one_hot(torch.arange(n) % classes, classes).float() if classes else None
    if label >= classes:
        raise click.UsageError(
            f"--label {label}: the data of this model has {classes or 'no'} classes, counted from 0"
        )
    if not samples_by_label(model, classes):
        raise click.UsageError(
            "--label: this model does not read labels; what it draws would be of any class"
        )
    return F.one_hot(torch.full((n,), label), classes).float()
