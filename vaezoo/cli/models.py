"""One model: `train`, `sample`, `encode`, `reconstruct`, `impute`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    FILE,
    as_json,
    common,
    files_of,
    print_json,
    reads_data,
    registry_of,
    sets,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..core import Model
    from ..data.data import Data
    from ..registry.registry import Registry

SPLIT = click.Choice(["train", "validation", "test"])
COMPLETE = (
    "was trained on complete data and cannot read gaps: train it on data with gaps, such as 'holes[of=digits]' or "
    "'arrays[path=FILE,gaps=true]'"
)
CHECKPOINT = click.Path(path_type=Path)


@click.command()
@click.argument("variant")
@click.option("-d", "--data", "dataset", required=True, help="The data set, such as digits.")
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
@reads_data
@as_json
@common
def train(
    variant: str, dataset: str, out: Path, wants_json: bool, plugins_dir: Path | None, **asked: Any
) -> None:
    """Train one VARIANT, such as vae or 'beta[beta=2]', and write a checkpoint."""
    from dataclasses import asdict, replace

    from ..seeds import seeded
    from ..training.checkpoint import must_be_writable, save
    from ..training.settings import chosen_device, split_settings
    from ..training.training import fit

    must_be_writable(out)
    registry = registry_of(plugins_dir)
    choice = _one(registry.choose_variants(variant), variant, "variant")
    budget, size = split_settings(
        asked["settings"] | ({"epochs": asked["epochs"]} if asked["epochs"] else {})
    )
    device = chosen_device(asked["device"])
    data = _loaded(registry, dataset, asked["data_dirs"], asked["offline"])
    data = replace(data, spec=replace(data.spec, **size))
    data.must_fit()
    with seeded("weights", asked["seed"]):
        model = choice.variant(data.spec, **choice.hyperparameters)
    with Epochs() as report:
        history = fit(model, data, seed=asked["seed"], report=report, device=device, **budget)
    save(model, out)
    best = history.rows[history.best_epoch - 1] if history.best_epoch else {}
    if wants_json:
        return print_json({"checkpoint": str(out), "best": best, "history": asdict(history)})
    click.echo(
        f"{choice.label} on {data.name}: validation loss {best.get('validation_loss', float('nan')):.2f} nats "
        f"at epoch {history.best_epoch} of {len(history.rows)}, {history.seconds:.0f} s; {out}"
    )


class Epochs:
    """A bar on stderr that shows the epoch and the losses."""

    def __enter__(self) -> "Epochs":
        self.bar: Any = None
        return self

    def __call__(self, epoch: int, epochs: int, row: dict[str, float]) -> None:
        from tqdm import tqdm

        self.bar = self.bar or tqdm(total=epochs, unit="epoch", dynamic_ncols=True)
        self.bar.set_postfix(
            train=f"{row['train_loss']:.2f}", validation=f"{row['validation_loss']:.2f}"
        )
        self.bar.update()

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.option("-n", type=click.IntRange(min=1), default=16, show_default=True, help="How many.")
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz with the array x, or NAME.png for images.",
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
    checkpoint: Path,
    n: int,
    out: Path,
    label: int | None,
    mean: bool,
    seed: int,
    plugins_dir: Path | None,
) -> None:
    """Draw x from a trained model."""
    from ..seeds import seeded

    model = _model(checkpoint, plugins_dir, out)
    conditions = _conditions(model, n, label)
    with seeded("sample", seed):
        x = model.sample(n, conditions, mean)
    _write(out, {"x": x}, x)


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.option(
    "-d",
    "--data",
    "source",
    required=True,
    help="A data set, or a file .npy or .npz with an array x.",
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz: z0, z1, … one array a latent, and labels.",
)
@click.option("--split", type=SPLIT, default="test", show_default=True)
@reads_data
@common
def encode(
    checkpoint: Path, source: str, out: Path, split: str, plugins_dir: Path | None, **where: Any
) -> None:
    """Write the codes of x: the centres of q(z|x)."""
    model = _model(checkpoint, plugins_dir, out, (".npz",))
    x, c, labels = _rows(model, source, split, plugins_dir, **where)
    traces = [[latent.z[0] for latent in trace.latents] for trace in _traces(model, x, c)]
    codes = {f"z{i}": _stacked(pieces) for i, pieces in enumerate(zip(*traces, strict=True))}
    _write(out, codes | ({} if labels is None else {"labels": labels}))


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.option(
    "-d",
    "--data",
    "source",
    required=True,
    help="A data set, or a file .npy or .npz with an array x.",
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="NAME.npz with x and reconstruction, or NAME.png for images.",
)
@click.option("-n", type=click.IntRange(min=1), help="Only the first n.")
@click.option("--split", type=SPLIT, default="test", show_default=True)
@reads_data
@common
def reconstruct(
    checkpoint: Path,
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
    import torch

    model = _model(checkpoint, plugins_dir, out)
    x, c, _ = _rows(model, source, split, plugins_dir, **where)
    n = n or (32 if out.suffix == ".png" else len(x))
    x, c = x[:n], None if c is None else c[:n]
    means = torch.cat([trace.px.mean[0] for trace in _traces(model, x, c)])
    pairs = (
        torch.stack([_in_rows(x), _in_rows(means)], 1).flatten(0, 2)
        if out.suffix == ".png"
        else None
    )
    _write(out, {"x": x, "reconstruction": means}, pairs)


@click.command()
@click.argument("checkpoint", type=CHECKPOINT)
@click.argument("source", metavar="FILE", type=CHECKPOINT)
@click.option("-o", "--out", type=FILE, required=True, help="NAME.npz with x, or NAME.npy.")
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
    checkpoint: Path, source: Path, out: Path, draws: int, seed: int, plugins_dir: Path | None
) -> None:
    """Fill what is NaN in FILE (.npy, or .npz with an array x) with its mean given the rest, as a
    trained model sees it.
    """
    import torch

    from ..evaluation.metrics.imputation import impute as fill
    from ..networks import step_mask
    from ..seeds import seeded

    model = _model(checkpoint, plugins_dir, out, (".npz", ".npy"))
    if not _spec(model).has_gaps:
        raise click.UsageError(f"{checkpoint} {COMPLETE}")
    x = _fitting(_from_file(source), model, str(source))
    with seeded("impute", seed):
        filled = fill(model, x, None, draws)
    if x.ndim == 3:  # what is behind a sequence's last step is padding, and stays
        filled = torch.where(step_mask(x)[..., None], filled, torch.nan)
    _write(out, {"x": filled})
    click.echo(f"{int(x.isnan().sum() - filled.isnan().sum())} of {x.numel()} entries were filled")


def _one(choices: list[Any], text: str, what: str) -> Any:
    if len(choices) != 1:
        raise click.UsageError(f"{text!r} names {len(choices)} {what}s; name one")
    return choices[0]


def _loaded(registry: "Registry", name: str, data_dirs: tuple[Path, ...], offline: bool) -> "Data":
    return _one(registry.choose_datasets(name), name, "data set").load(files_of(data_dirs, offline))


def _model(
    checkpoint: Path, plugins_dir: Path | None, out: Path, kinds: tuple[str, ...] = (".npz", ".png")
) -> "Model":
    """The model, once it is clear that `out` can be written."""
    if out.suffix not in kinds:
        raise click.UsageError(f"--out must end in {' or '.join(kinds)}; {out.name!r} does not")
    if not out.parent.is_dir():
        raise click.UsageError(f"the folder {out.parent} (--out) does not exist")
    from ..training.checkpoint import load

    model = load(checkpoint, registry_of(plugins_dir))
    if out.suffix == ".png" and not _spec(model).is_image:
        raise click.UsageError(
            f"a picture needs images, and this model's x has shape {_spec(model).shape}; write .npz"
        )
    return model


def _spec(model: "Model") -> Any:
    if model.recipe is None:
        raise ValueError("a checkpoint without a recipe")
    return model.recipe.spec


def _conditions(model: "Model", n: int, label: int | None) -> "Tensor | None":
    """(n, classes): one label, or all in turn; None for data without labels."""
    import torch
    from torch.nn import functional as F

    from ..evaluation.conditioning import samples_by_label

    classes = _spec(model).classes
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


def _rows(
    model: "Model",
    source: str,
    split: str,
    plugins_dir: Path | None,
    data_dirs: tuple[Path, ...],
    offline: bool,
) -> "tuple[Tensor, Tensor | None, Tensor | None]":
    """x (N, *shape), the condition (N, C), the labels (N,), of a data set or of a file."""
    if Path(source).suffix in (".csv", ".parquet"):
        raise click.UsageError(
            f"{source} is a table: write -d 'arrays[path={source}]', of which one --split is read"
        )
    if Path(source).suffix in (".npy", ".npz"):
        x = _from_file(Path(source))
        c = None
        labels = None
    else:
        data = _loaded(registry_of(plugins_dir), source, data_dirs, offline)
        x = data.split(split)
        c = data.condition(split)
        labels = data.labels.get(split)
    return _fitting(x, model, source), c, labels


def _fitting(x: "Tensor", model: "Model", source: str) -> "Tensor":
    """x, if it is what the model reads: rows of its shape, finite, with NaN only where it was
    trained on data with gaps.
    """
    spec = _spec(model)
    shape = tuple(spec.shape)
    found = tuple(x.shape[1:])
    if x.ndim and not len(x):
        raise click.UsageError(f"{source} has no rows: its shape is {tuple(x.shape)}")
    if found != shape:
        remedy = ""
        if spec.is_sequence and found[1:] == shape[1:]:
            remedy = "; pad shorter sequences with NaN and cut longer ones"
        raise click.UsageError(
            f"{source} has rows of shape {found}, and this model reads {shape}{remedy}"
        )
    if x.isinf().any():
        raise click.UsageError(
            f"{source} has an infinite value (or one too large for float32) in {_first_row(x.isinf())}"
        )
    if x.isnan().any() and not spec.has_gaps:
        raise click.UsageError(
            f"{source} has NaN in {_first_row(x.isnan())}, and this model {COMPLETE}"
        )
    empty = x.flatten(1).isnan().all(1)
    if empty.any():
        raise click.UsageError(
            f"{source}: {_first_row(empty)} is all NaN, an x of length 0; leave it out"
        )
    return x


def _first_row(bad: "Tensor") -> str:
    return f"row {int(bad.nonzero()[0, 0])} (counted from 0)"


def _from_file(path: Path) -> "Tensor":
    import numpy as np
    import torch

    try:
        loaded = np.load(path, allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded["x"]
    except FileNotFoundError:
        raise click.UsageError(f"there is no file {path}") from None
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise click.UsageError(
            f"{path} holds no array x of numbers (pickled objects are not read): {error}"
        ) from None
    if array.dtype.kind not in "biuf":
        raise click.UsageError(
            f"{path} holds an array of type {array.dtype}; expected real numbers"
        )
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return torch.from_numpy(array.astype(np.float32))


def _traces(model: "Model", x: "Tensor", c: "Tensor | None", size: int = 500) -> Any:
    """One trace a piece, its latents at the centre of q."""
    import torch

    from ..distributions import at_centre

    for i in range(0, len(x), size):
        with torch.no_grad(), at_centre():
            yield model.infer(x[i : i + size], None if c is None else c[i : i + size])


def _stacked(pieces: "tuple[Tensor, ...]") -> "Tensor":
    import torch

    return torch.cat(pieces)


def _in_rows(x: "Tensor", width: int = 8) -> "Tensor":
    """(N, *shape) -> (⌈N/width⌉, width, *shape), the last row filled with zeros."""
    import torch

    gap = -len(x) % width
    return torch.cat([x, x.new_zeros(gap, *x.shape[1:])]).unflatten(0, (-1, width))


def _write(out: Path, arrays: "dict[str, Tensor]", pictures: "Tensor | None" = None) -> None:
    import numpy as np

    if out.suffix == ".png" and pictures is not None:
        _draw(out, pictures)
    elif out.suffix == ".npy":
        np.save(out, arrays["x"].cpu().numpy())
    else:
        values: dict[str, Any] = {name: tensor.cpu().numpy() for name, tensor in arrays.items()}
        np.savez_compressed(out, **values)
    click.echo(f"{out}: {', '.join(f'{name} {tuple(t.shape)}' for name, t in arrays.items())}")


def _draw(out: Path, x: "Tensor", width: int = 8) -> None:
    """x (N, C, H, W) in [0, 1] as a grid, `width` a row."""
    from matplotlib import image

    rows = _in_rows(x.cpu(), width)  # (R, width, C, H, W)
    grid = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).clamp(0, 1)  # (R·H, width·W, C)
    image.imsave(
        out, grid.expand(*grid.shape[:2], 3).numpy() if grid.shape[-1] == 1 else grid.numpy()
    )
