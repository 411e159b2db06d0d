"""What a session in Python starts with: the variants, and a data set by name."""

from typing import TYPE_CHECKING, Any

from .registry.entries import Variant
from .registry.registry import SelectionError, load

if TYPE_CHECKING:
    from pathlib import Path

    from .data.data import Data
    from .data.files import Files


def variants(plugins_dir: "Path | str | None" = None) -> dict[str, Variant]:
    """Every variant by name, those in the loose files of `plugins_dir` too."""
    return load(plugins_dir).variants


def dataset(
    name: str,
    *,
    files: "Files | None" = None,
    plugins_dir: "Path | str | None" = None,
    **options: Any,
) -> "Data":
    """The data set of this name, such as "digits" or "gaussian[dimensions=4]"; `files` says where
    files are looked for.

    Raises: SelectionError for an unknown name, HyperparameterError for a bad option.
    """
    registry = load(plugins_dir)
    if name in registry.datasets:
        return registry.datasets[name].load(files, **options)
    choices = registry.choose_datasets(name)
    if len(choices) != 1:
        raise SelectionError(f"{name!r} names {len(choices)} data sets; name one")
    return choices[0].dataset.load(files, **{**choices[0].options, **options})
