"""`train`: one variant on one data set, and a checkpoint."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FILE,
    Row,
    as_json,
    common,
    dataset_of,
    echo,
    precision,
    print_json,
    reads_data,
    registry_of,
    sets,
    the_only,
)
from .completion import names
from .output import Epochs

if TYPE_CHECKING:
    from ..core import Model
    from ..data.data import Data
    from ..registry.entries import Variant
    from ..registry.selection import Chosen
    from ..training.budget import History
    from ..training.resume import Bookmark


@click.command()
@click.argument("variant", shell_complete=names("variants"))
@click.option(
    "-d",
    "--data",
    "dataset",
    required=True,
    shell_complete=names("datasets"),
    help="The data set, such as digits, or a file of your own: 'x.csv[label=kind]'.",
)
@click.option(
    "-o", "--out", type=FILE, required=True, help="The checkpoint to write, NAME.safetensors."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Instead of the number that the data set asks for."
)
@sets
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, or whichever there is."
)
@precision
@reads_data
@as_json
@common
def train(
    variant: str, dataset: str, out: Path, wants_json: bool, plugins_dir: Path | None, **asked: Any
) -> None:
    """Train one VARIANT, such as vae or 'beta[beta=2]', and write a checkpoint.

    A training of over a minute that is stopped goes on when the same command is given again.
    """
    from dataclasses import asdict, replace

    from ..training.checkpoint import must_be_writable, save
    from ..training.settings import chosen_device

    must_be_writable(out)
    registry = registry_of(plugins_dir)
    choice = the_only(registry.choose_variants(variant), variant, "variant")
    budget, size = _settings(asked)
    device = chosen_device(asked["device"])
    data = dataset_of(registry, dataset, asked["data_dirs"], asked["offline"])
    data = replace(data, spec=replace(data.spec, **size))
    bookmark = _bookmark(out, choice, data, asked["seed"], budget)
    model, history = _trained(choice, data, asked["seed"], device, budget, bookmark)
    save(model, out)
    bookmark.remove()
    if wants_json:
        facts = {"checkpoint": str(out), "best": _best(history), "history": asdict(history)}
        return print_json(facts)
    echo(f"{choice.label} on {data.name}: {_in_words(history)}; {out}")


def _settings(asked: Row) -> tuple[Row, Row]:
    """What was asked of the training, and what of the spec."""
    from ..training.settings import split_settings

    epochs = {"epochs": asked["epochs"]} if asked["epochs"] else {}
    budget, size = split_settings(asked["settings"] | epochs)
    return budget | {"precision": asked["precision"]}, size


def _in_words(history: "History") -> str:
    loss = _best(history).get("validation_loss", float("nan"))
    return (
        f"validation loss {loss:.2f} nats at epoch "
        f"{history.best_epoch} of {len(history.rows)}, {history.seconds:.0f} s"
    )


def _bookmark(
    out: Path, choice: "Chosen[Variant]", data: "Data", seed: int, budget: Row
) -> "Bookmark":
    """Beside the checkpoint, for this training and no other."""
    from ..training.resume import Bookmark

    identity = {
        "variant": choice.label,
        "source": choice.entry.plugin.source_hash,
        "data set": [data.name, data.hashes],
        "spec": str(data.spec),
        "seed": seed,
        "budget": {**data.budget, **budget},
    }
    return Bookmark(out.with_name(f".{out.name}.state"), identity, partial(echo, err=True))


def _trained(
    choice: "Chosen[Variant]",
    data: "Data",
    seed: int,
    device: str,
    budget: Row,
    bookmark: "Bookmark",
) -> "tuple[Model, History]":
    from ..seeds import seeded
    from ..training.budget import Diverged
    from ..training.training import fit

    data.must_fit()
    with seeded("weights", seed):
        model = choice.entry(data.spec, **choice.values)
    settings = {"seed": seed, "device": device, "bookmark": bookmark, **budget}
    try:
        with Epochs() as report:
            return model, fit(model, data, report=report, **settings)
    except Diverged:  # so it would again
        bookmark.remove()
        raise


def _best(history: "History") -> Row:
    """The epoch whose weights were kept; empty where none was."""
    return history.rows[history.best_epoch - 1] if history.best_epoch else {}
