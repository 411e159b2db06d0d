"""Save and load a model without pickle: one .safetensors file, its recipe as JSON in the file's
header.

A model is rebuilt by the registry from its recipe, then its weights are read, all of them and
strictly. A tensor that two parts share (VampPrior reads with the encoder) is written once and named
under `shared`.
"""

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..core import Model, Recipe, Spec, Unsupported
from ..data.files import BadData
from ..data.kept import written_aside
from ..data.reader import Reader
from ..hyperparameters import HyperparameterError, did_you_mean
from ..parts import find
from ..registry.guard import own_version
from ..registry.registry import Registry, load_registry as load_registry

FORMAT = 1  # raised when older versions could not read the file any more
# With a reader: a version that does not know of one would feed raw values to the networks.
WITH_READER = 2


class CheckpointError(ValueError):
    """A file that is no checkpoint, or one that cannot be loaded here."""


def save(model: Model, path: str | Path) -> Path:
    """The path, where the model now is, whole: it is written aside and renamed.

    Raises: CheckpointError for a model that no registered variant made, or a name that does not end
    in .safetensors.
    """
    path = Path(path)
    must_be_writable(path)
    if model.recipe is None:
        raise CheckpointError(
            "this model has no recipe: build it by a registered variant, "
            "vaezoo.variants()[name](spec)"
        )
    tensors, shared = unshared(model.state_dict())
    about = {
        "format": WITH_READER if model.data_reader else FORMAT,
        "recipe": asdict(model.recipe) | {"hyperparameters": _plain(model.recipe)},
        "versions": {"vaezoo": own_version(), "torch": torch.__version__},
        "shared": shared,
    }
    if model.data_reader:
        about["reader"] = model.data_reader.as_json()
    with written_aside(path) as aside:
        save_file(tensors, aside, {"vaezoo": json.dumps(about, sort_keys=True)})
        aside.chmod(0o666 & ~_umask())
    return path


def must_be_writable(path: Path) -> None:
    """Raises: CheckpointError where no checkpoint can be written to `path`, so that it is known
    before a training.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"a checkpoint's name ends in .safetensors; {path.name!r} does not")
    if not path.parent.is_dir():
        raise CheckpointError(f"the folder {path.parent} does not exist")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise CheckpointError(f"{path} cannot be written")


def load(path: str | Path, registry: Registry | None = None) -> Model:
    """The model that was saved, on the CPU, ready to evaluate.

    Raises: CheckpointError, one sentence.
    """
    about, tensors = _read(Path(path))
    model = _rebuilt(about["recipe"], registry or load_registry(), path)
    return _filled(model, about, tensors, path).eval()


def restore(model: Model, path: str | Path) -> Model:
    """The model with the weights that are saved there, those of its parts that are shared too.

    Raises: CheckpointError, one sentence.
    """
    about, tensors = _read(Path(path))
    return _filled(model, about, tensors, path)


def _filled(
    model: Model, about: dict[str, Any], tensors: dict[str, Tensor], path: str | Path
) -> Model:
    shared = about.get("shared", {})
    tensors |= {name: tensors[first] for name, first in shared.items() if first in tensors}
    _must_fit(model.state_dict(), tensors, path)
    model.load_state_dict(tensors, strict=True)
    if "reader" in about:
        model.data_reader = _reader(about["reader"], model, path)
    return model


def _reader(values: Mapping[str, Any], model: Model, path: str | Path) -> Reader:
    try:
        reader = Reader.from_json(values)
        if model.recipe is not None:
            reader.must_suit(model.recipe.spec, "it")
    except BadData as error:
        raise CheckpointError(f"{path} holds a reader that is not for its model: {error}") from None
    return reader


def unshared(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor once, and which name repeats which."""
    first: dict[tuple[Any, ...], str] = {}
    tensors = {}
    shared = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            shared[name] = first[place]
        else:
            first[place] = name
            tensors[name] = tensor.detach().cpu().contiguous().clone()
    return tensors, shared


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The hyperparameters as JSON gives them back."""
    try:
        return json.loads(json.dumps(dict(recipe.hyperparameters), default=str, allow_nan=False))
    except ValueError as error:
        raise CheckpointError(
            f"the hyperparameters of {recipe.variant} cannot be written as JSON: {error}"
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get("vaezoo")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except SafetensorError as error:
        raise CheckpointError(_not_safetensors(path, error)) from None
    if about is None:
        raise CheckpointError(
            f"{path} is a .safetensors file, but vaezoo did not write it: it holds no recipe"
        )
    return _checked(about, path), tensors


def _not_safetensors(path: Path, error: Exception) -> str:
    start = path.open("rb").read(4)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return (
            f"{path} is a pickle or a zip archive, such as torch.save writes; "
            "vaezoo reads .safetensors files only"
        )
    return f"{path} is no whole .safetensors file (cut short, damaged, or of another kind): {error}"


def _checked(text: str, path: Path) -> dict[str, Any]:
    try:
        about = json.loads(text)
        version = about["format"]
        recipe = about["recipe"]
        (
            recipe["variant"],
            recipe["hyperparameters"].items(),
            recipe["spec"]["shape"],
            recipe["source_hash"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} holds a recipe that cannot be read") from None
    if version not in (FORMAT, WITH_READER):
        raise CheckpointError(
            f"{path} has checkpoint format {version}, and vaezoo {own_version()} "
            f"reads up to {WITH_READER}; "
            f"it was written by vaezoo {about.get('versions', {}).get('vaezoo', '?')}"
        )
    return about


def _rebuilt(recipe: Mapping[str, Any], registry: Registry, path: str | Path) -> Model:
    name = recipe["variant"]
    if name not in registry.variants:
        whose = (
            f"{recipe['distribution']} {recipe['version']}".strip()
            or "a loose file: give its folder with --plugins-dir"
        )
        near = did_you_mean(name, registry.variants)
        raise CheckpointError(
            f"{path} needs the variant {name!r} of {whose}, which is not here{near}"
        )
    variant = registry.variants[name]
    try:
        # initial weights are drawn, then replaced: leave no trace
        with torch.random.fork_rng(devices=()):
            model = variant(_spec(recipe["spec"]), **recipe["hyperparameters"])
    except (Unsupported, HyperparameterError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be rebuilt by this {name!r}: {error}") from None
    if model.recipe is not None and model.recipe.source_hash != recipe["source_hash"]:
        warnings.warn(
            f"the source of {name!r} ({variant.plugin.file}) has changed since {path} was saved",
            stacklevel=3,
        )
    return model


def _spec(values: Mapping[str, Any]) -> Spec:
    unknown = values.keys() - {f.name for f in fields(Spec)}
    if unknown:
        raise TypeError(
            f"its spec has fields unknown to vaezoo {own_version()}: {', '.join(sorted(unknown))}"
        )
    spec = Spec(**{**values, "shape": tuple(values["shape"])})
    for kind, text in (("likelihood", spec.likelihood), ("network", spec.network)):
        try:
            find(kind, text)
        except HyperparameterError as error:
            raise TypeError(str(error)) from None
    return spec


def _must_fit(known: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: str | Path) -> None:
    for name, tensor in known.items():
        if name not in tensors:
            raise CheckpointError(
                f"{path} lacks the tensor {name}, which the variant as it is now has"
            )
        if tensors[name].shape != tensor.shape:
            found = tuple(tensors[name].shape)
            wanted = tuple(tensor.shape)
            raise CheckpointError(
                f"{path} has {name} of shape {found}, and the variant as it is now has {wanted}"
            )
    extra = sorted(tensors.keys() - known.keys())
    if extra:
        raise CheckpointError(
            f"{path} holds the tensor {extra[0]}, which the variant as it is now does not have"
        )
