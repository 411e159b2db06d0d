"""What a session in Python starts with: the variants, a data set by name, the rows of a file; and
what a trained model makes of rows x: their codes, their reconstructions, what they lack, log p(x).

x is (N, *spec.shape), NaN where a sequence is padded or an entry is missing. A Tensor is x as the
model reads it, such as `data.test`, and gives Tensors. An array of numpy or a table of pandas holds
values in the units of the file that the model was trained on (see `data.reader`), and gives arrays
in those units. Of a model of mixed columns a table of pandas holds words and gives a table with
words; in an array a word is its place among those of its column. c is a condition (N, C), or None
where the model reads no labels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .core import Latent, Model, Spec, Trace, Unsupported, require_parts
from .data.again import values_from
from .data.coding import worded
from .data.files import BadData
from .data.formats import Array
from .data.reader import Reader
from .data.rows import (
    first_row,
    fitting as fitting,
    in_order as in_order,
    must_read_gaps as must_read_gaps,
    placed as placed,
)
from .distributions import at_centre
from .evaluation.bounds import alike, importance_log_likelihood
from .evaluation.metrics.imputation import DRAWS, impute as filled
from .likelihoods import head
from .registry.entries import Variant
from .registry.registry import SelectionError, load_registry
from .steps import step_mask

if TYPE_CHECKING:
    from .data.data import Data
    from .data.files import Files

Rows = TypeVar("Rows", Tensor, Array)
ROWS = 500  # that a model reads at a time
WEIGHED = 500  # draws of a code, a row, by which log p(x) is estimated


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


def encode(model: Model, x: Rows, c: Rows | None = None) -> tuple[Rows, ...]:
    """The codes of x: the centre of q(z|x), (N, *event), for each latent.

    Raises: BadData where x is not what the model reads.
    """
    latents = zip(*(trace.latents for trace in _traces(model, x, c)), strict=True)
    return tuple(_like(x, _codes(pieces)) for pieces in latents)


def decode(model: Model, z: Rows, c: Rows | None = None) -> Rows:
    """The means of p(x|z) of codes z (N, *event), in the units of x: (N, *shape).

    Raises: Unsupported for a model of more than one latent, whose codes are not decoded alone.
    """
    decoder = require_parts(model.eval(), "decode").decoder
    device = next(model.parameters()).device
    weights = next(model.parameters()).dtype
    codes = torch.as_tensor(z).to(device, weights)
    with torch.no_grad():
        means = decoder(codes[None], _condition(model, c, len(codes))).mean[0]
    return _values(model, z, means)


def reconstruct(model: Model, x: Rows, c: Rows | None = None) -> Rows:
    """The means of p(x|z) at the codes of x, (N, *shape).

    Raises: BadData where x is not what the model reads.
    """
    means = torch.cat([trace.px.mean[0] for trace in _traces(model, x, c)])
    return _values(model, x, means)


def impute(model: Model, x: Rows, c: Rows | None = None, draws: int = DRAWS) -> Rows:
    """x with every missing entry filled by its mean given the rest of the row, (N, *shape), from
    this many draws a row. What is there stays as it is, and what is behind a sequence's last step
    is padding and stays NaN.

    Raises: BadData where x is not what the model reads, Unsupported where it reads no gaps.
    """
    if model.recipe is not None:
        must_read_gaps(model.recipe.spec, "this model")
    rows, condition = _rows(model, x, c)
    values = filled(model.eval(), rows, condition, draws)
    if rows.ndim == 3:
        values = torch.where(step_mask(rows)[..., None], values, torch.nan)
    if isinstance(x, Tensor):
        return values
    reader = reader_of(model)
    own = torch.from_numpy(in_order(x, reader))
    return _as_given(x, torch.where(reader.is_gap(own), reader.back(values.cpu()), own), reader)


def log_prob(
    model: Model,
    x: Rows,
    c: Rows | None = None,
    draws: int = WEIGHED,
    alike_by: int | None = None,
) -> Rows:
    """log p(x) of each row in nats, (N,): the importance-weighted bound of so many draws, which
    never exceeds it in expectation (Burda et al. 2016, arXiv:1509.00519, eq. 8).

    Of an array it is the density of the values in their own units: that of x, and log |dx/dvalue|.
    A probability, as of bits or levels, has no units. With the seed `alike_by` every row is judged
    by the same draws and by itself, without c: slower, and no row depends on the others.

    Raises: BadData where x is not what the model reads, Unsupported where it has no density.
    """
    if model.no_density:
        raise Unsupported(f"this model has no log p(x): {model.no_density}")
    rows, condition = _rows(model, x, c)
    model.eval()
    if alike_by is None:
        found = importance_log_likelihood(model, rows, condition, draws)
    else:
        found = alike(model, rows, draws, "alike", alike_by)
    if isinstance(x, Tensor):
        return found
    if model.recipe is None or not head(model.recipe.spec).is_discrete:
        found = found + reader_of(model).log_jacobian(rows)
    return found.cpu().numpy()


def sample(model: Model, n: int, c: Tensor | None = None, mean: bool = False) -> Any:
    """n draws of x in the units of the file, (n, …), of a mixed table with its words as a table of
    pandas; with `mean`, the means of p(x|z).
    """
    drawn = model.eval().sample(n, _condition(model, c, n), mean)
    reader = reader_of(model)
    values = reader.back(drawn.cpu())
    return worded(values, reader.columns) if reader.columns else values.numpy()


def reader_of(model: Model) -> Reader:
    """The reader of the data that the model was trained on; one that does nothing where there was
    none.
    """
    return model.data_reader or Reader()


def rows_from(path: Path | str, spec: Spec, reader: Reader | None = None) -> Tensor:
    """The rows x (N, *spec.shape) of a file or a folder, as float32; with the reader of a model, of
    values in the units that it was trained on.

    Raises: MissingData, BadData where they are not what a model of this spec reads.
    """
    reader = reader or Reader()
    return placed(values_from(path, reader), spec, reader, str(path))


def must_hold(model: Model, x: Array, spec: Spec) -> None:
    """Raises: BadData where values x (N, …) are none that the model's likelihood speaks of."""
    likelihood = head(spec)
    rows = reader_of(model).read(torch.from_numpy(in_order(x, reader_of(model))))
    outside = ~likelihood.holds(rows)
    if outside.any():
        raise BadData(
            f"x has a value in {first_row(outside)} that this model's likelihood, "
            f"{spec.likelihood}, does not speak of: it is for {likelihood.values}"
        )


def _rows(model: Model, x: Rows, c: Rows | None) -> tuple[Tensor, Tensor | None]:
    """x and c as the model reads them, where it is, once they are known to fit."""
    weights = next(model.parameters())
    if not isinstance(x, Tensor):
        reader = reader_of(model)
        rows = reader.read(torch.from_numpy(in_order(x, reader)), weights.dtype)
    else:
        rows = x
    if model.recipe is not None:
        fitting(rows, model.recipe.spec, "x")
    return rows.to(weights.device), _condition(model, c, len(rows))


def _condition(model: Model, c: Rows | Tensor | None, rows: int) -> Tensor | None:
    if c is None:
        return None
    if len(c) != rows:
        raise BadData(f"c has {len(c)} rows and x has {rows}; give one condition for every x")
    weights = next(model.parameters())
    return torch.as_tensor(c).to(weights.device, weights.dtype)


def _like(given: Rows, found: Tensor) -> Rows:
    """What was found, as an array where arrays were given."""
    return found if isinstance(given, Tensor) else found.cpu().numpy()


def _values(model: Model, given: Rows, x: Tensor) -> Rows:
    """x, in the units of the file where arrays were given."""
    if isinstance(given, Tensor):
        return x
    return _as_given(given, reader_of(model).back(x.cpu()), reader_of(model))


def _as_given(given: Any, values: Tensor, reader: Reader) -> Any:
    """Values (N, …) of a file: a table with words where a mixed table was given, else an array."""
    if reader.columns and not isinstance(given, np.ndarray):
        return worded(values, reader.columns)
    return values.numpy()


def _codes(pieces: tuple[Latent, ...]) -> Tensor:
    """(N, *event) from the pieces (1, ROWS, *event) of one latent."""
    return torch.cat([latent.z[0] for latent in pieces])


def _traces(model: Model, x: Rows, c: Rows | None) -> Iterator[Trace]:
    """One trace for every ROWS rows, its latents at the centre of q."""
    rows, condition = _rows(model, x, c)
    model.eval()
    for i in range(0, len(rows), ROWS):
        with torch.no_grad(), at_centre():
            yield model.infer(
                rows[i : i + ROWS], None if condition is None else condition[i : i + ROWS]
            )
