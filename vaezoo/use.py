"""What a session in Python starts with: the variants, a data set by name, the rows of a file; and
what a trained model makes of rows x: their codes, their reconstructions, what they lack.

x is (N, *spec.shape), NaN where a sequence is padded or an entry is missing. c is a condition
(N, C), or None where the model reads no labels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .core import Latent, Model, Spec, Trace, Unsupported
from .data.files import BadData, MissingData
from .data.formats import Array, npy, npz
from .distributions import at_centre
from .evaluation.metrics.imputation import DRAWS, impute as filled
from .registry.entries import Variant
from .registry.registry import SelectionError, load_registry
from .steps import step_mask

if TYPE_CHECKING:
    from .data.data import Data
    from .data.files import Files

COMPLETE = (
    "was trained on complete data and cannot read gaps: train it on data with gaps, such as "
    "'holes[of=digits]' or 'arrays[path=FILE,gaps=true]'"
)
ROWS = 500  # that a model reads at a time


def variants(plugins_dir: Path | str | None = None) -> dict[str, Variant]:
    """Every variant by name, those in the loose files of `plugins_dir` too."""
    return load_registry(plugins_dir).variants


def dataset(
    name: str,
    *,
    files: "Files | None" = None,
    plugins_dir: Path | str | None = None,
    **options: Any,
) -> "Data":
    """The data set of this name, such as "digits" or "gaussian[dimensions=4]"; `files` says where
    files are looked for.

    Raises: SelectionError for an unknown name, HyperparameterError for a bad option.
    """
    registry = load_registry(plugins_dir)
    if name in registry.datasets:
        return registry.datasets[name].load(files, **options)
    choices = registry.choose_datasets(name)
    if len(choices) != 1:
        raise SelectionError(f"{name!r} names {len(choices)} data sets; name one")
    chosen = choices[0]
    return chosen.entry.load(files, **{**chosen.values, **options})


def encode(model: Model, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
    """The codes of x: the centre of q(z|x), (N, *event), for each latent.

    Raises: BadData where x is not what the model reads.
    """
    latents = zip(*(trace.latents for trace in _traces(model, x, c)), strict=True)
    return tuple(_codes(pieces) for pieces in latents)


def reconstruct(model: Model, x: Tensor, c: Tensor | None = None) -> Tensor:
    """The means of p(x|z) at the codes of x, (N, *shape).

    Raises: BadData where x is not what the model reads.
    """
    return torch.cat([trace.px.mean[0] for trace in _traces(model, x, c)])


def impute(model: Model, x: Tensor, c: Tensor | None = None, draws: int = DRAWS) -> Tensor:
    """x with every missing entry filled by its mean given the rest of the row, (N, *shape), from
    this many draws a row. What is behind a sequence's last step is padding, and stays NaN.

    Raises: BadData where x is not what the model reads, Unsupported where it reads no gaps.
    """
    if model.recipe is not None:
        must_read_gaps(model.recipe.spec, "this model")
    x, c = _rows(model, x, c)
    values = filled(model.eval(), x, c, draws)
    if x.ndim == 3:
        values = torch.where(step_mask(x)[..., None], values, torch.nan)
    return values


def rows_from(path: Path | str, spec: Spec) -> Tensor:
    """The rows x (N, *spec.shape) of a file .npy, or .npz with an array x, as float32.

    Raises: MissingData, BadData where they are not what a model of this spec reads.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".npy", ".npz"):
        raise BadData(
            f"rows are read from .npy and .npz, not from {path}; load a table as the data set "
            f"'arrays[path={path}]'"
        )
    if not path.is_file():
        raise MissingData(f"there is no file {path}")
    content = path.read_bytes()
    array = npy(content, str(path)) if kind == ".npy" else _named_x(content, str(path))
    if array.dtype.kind not in "biuf":
        raise BadData(f"{path} holds an array of type {array.dtype}; expected real numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        x = torch.from_numpy(array.astype(np.float32))
    return fitting(x, spec, str(path))


def fitting(x: Tensor, spec: Spec, who: str) -> Tensor:
    """x, if it is what a model of this spec reads: rows of its shape, finite, with NaN only where
    the spec says that there are gaps.

    Raises: BadData, which calls x by the name `who`.
    """
    shape = tuple(spec.shape)
    found = tuple(x.shape[1:])
    if x.ndim and not len(x):
        raise BadData(f"{who} has no rows: its shape is {tuple(x.shape)}")
    if not x.ndim or found != shape:
        pads = spec.is_sequence and found[1:] == shape[1:]
        remedy = "; pad shorter sequences with NaN and cut longer ones" if pads else ""
        raise BadData(f"{who} has rows of shape {found}, and this model reads {shape}{remedy}")

    if x.isinf().any():
        place = _first_row(x.isinf())
        raise BadData(f"{who} has an infinite value (or one too large for float32) in {place}")
    if x.isnan().any() and not spec.has_gaps:
        raise BadData(f"{who} has NaN in {_first_row(x.isnan())}, and this model {COMPLETE}")
    empty = x.flatten(1).isnan().all(1)
    if empty.any():
        raise BadData(f"{who}: {_first_row(empty)} is all NaN, an x of length 0; leave it out")
    return x


def must_read_gaps(spec: Spec, who: str) -> None:
    """Raises: Unsupported where a model of this spec cannot read missing entries."""
    if not spec.has_gaps:
        raise Unsupported(f"{who} {COMPLETE}")


def _named_x(content: bytes, who: str) -> Array:
    arrays = npz(content, who)
    if "x" not in arrays:
        raise BadData(f"{who} holds {', '.join(sorted(arrays)) or 'nothing'}; expected an array x")
    return arrays["x"]


def _first_row(bad: Tensor) -> str:
    return f"row {int(bad.nonzero()[0, 0])} (counted from 0)"


def _rows(model: Model, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """x and c where the model is, once they are known to fit."""
    if model.recipe is not None:
        fitting(x, model.recipe.spec, "x")
    if c is not None and len(c) != len(x):
        raise BadData(f"c has {len(c)} rows and x has {len(x)}; give one condition for every x")
    device = next(model.parameters()).device
    return x.to(device), None if c is None else c.to(device)


def _codes(pieces: tuple[Latent, ...]) -> Tensor:
    """(N, *event) from the pieces (1, ROWS, *event) of one latent."""
    return torch.cat([latent.z[0] for latent in pieces])


def _traces(model: Model, x: Tensor, c: Tensor | None) -> Iterator[Trace]:
    """One trace for every ROWS rows, its latents at the centre of q."""
    x, c = _rows(model, x, c)
    model.eval()
    for i in range(0, len(x), ROWS):
        with torch.no_grad(), at_centre():
            yield model.infer(x[i : i + ROWS], None if c is None else c[i : i + ROWS])
