"""Rows for a model, from a data set or a file of one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import dataset_of, registry_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..core import Model
    from ..data import Data


@dataclass(frozen=True)
class Rows:
    """Rows for a model, from a data set or a file."""

    x: "Tensor"  # (N, *shape)
    c: "Tensor | None" = None  # (N, C)
    labels: "Tensor | None" = None  # (N,), as the data set numbers them
    names: tuple[str, ...] = ()  # of the rows, where the file has them
    words: Any = None  # (N,), the labels as the file has them


def spec_of(model: "Model") -> Any:
    """The spec of the data that the model was trained on."""
    if model.recipe is None:
        raise ValueError("a checkpoint without a recipe")
    return model.recipe.spec


def _numbered_as_learnt(model: "Model", data: "Data", x: "Tensor") -> "Data":
    """The data, its labels counted as in training; as they are where they are of other classes, and
    the model does not read them.
    """
    import torch

    from ..data.again import numbered_again
    from ..data.files import BadData
    from ..evaluation.conditioning import infers_by_label
    from ..use import reader_of

    classes = spec_of(model).classes
    if not classes or not data.labels:
        return data
    try:
        return numbered_again(data, reader_of(model).classes, classes)
    except BadData:
        c = torch.eye(classes)[: len(x)]
        if infers_by_label(model, x[: len(c)], c):
            raise
        return data


def rows_of(
    model: "Model",
    source: str,
    split: str,
    plugins_dir: Path | None,
    data_dirs: tuple[Path, ...],
    offline: bool,
) -> Rows:
    from ..data.again import values_from
    from ..data.reading import READERS, kind_of
    from ..use import fitting, placed, reader_of

    reader = reader_of(model)
    if kind_of(Path(source)) in READERS or Path(source).is_dir():
        raw = values_from(source, reader)
        x = placed(raw, spec_of(model), reader, source)
        return Rows(x, names=raw.rows, words=raw.labels)
    data = dataset_of(registry_of(plugins_dir), source, data_dirs, offline)
    spec = spec_of(model)
    x = fitting(data.read_by(reader, split), spec, source)
    data = _numbered_as_learnt(model, data, x)
    labels = data.labels.get(split)
    return Rows(x, data.condition(split), labels, words=labels)
