"""A zoo of VAE variants as plugins, and one benchmark that compares them on equal terms.

Names are imported when they are first used, so that `import vaezoo` costs nothing and `vaezoo --help` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import dataset as dataset, variants as variants
    from .checkpoint import CheckpointError as CheckpointError, load as load, save as save
    from .core import (
        VAE as VAE,
        Decoder as Decoder,
        Encoder as Encoder,
        Latent as Latent,
        Loss as Loss,
        Model as Model,
        Prior as Prior,
        Recipe as Recipe,
        Spec as Spec,
        Trace as Trace,
        Unsupported as Unsupported,
    )
    from .data.data import Card as Card, Data as Data
    from .data.files import Files as Files
    from .distributions import at_centre as at_centre, draw as draw
    from .evaluation import evaluate as evaluate
    from .hooks import Column as Column, Metric as Metric, Part as Part, hookimpl as hookimpl, tags as tags
    from .hyperparameters import HyperparameterError as HyperparameterError
    from .losses import ELBO as ELBO
    from .registry import Registry as Registry, SelectionError as SelectionError, Variant as Variant
    from .training import Budget as Budget, Diverged as Diverged, History as History, fit as fit

    __version__: str

_PUBLIC = {
    "api": ("dataset", "variants"),
    "checkpoint": ("CheckpointError", "load", "save"),
    "core": (
        "VAE", "Decoder", "Encoder", "Latent", "Loss", "Model", "Prior", "Recipe", "Spec", "Trace", "Unsupported",
    ),
    "data.data": ("Card", "Data"),
    "data.files": ("Files",),
    "distributions": ("at_centre", "draw"),
    "evaluation": ("evaluate",),
    "hooks": ("Column", "Metric", "Part", "hookimpl", "tags"),
    "hyperparameters": ("HyperparameterError",),
    "losses": ("ELBO",),
    "registry": ("Registry", "SelectionError", "Variant"),
    "training": ("Budget", "Diverged", "History", "fit"),
}  # fmt: skip
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vaezoo")
    if name not in _HOME:
        raise AttributeError(f"module 'vaezoo' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "__version__"})
