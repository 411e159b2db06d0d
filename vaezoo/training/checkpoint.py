"""Save and load a model without pickle: one .safetensors file, its recipe as JSON in the file's
header.

A model is rebuilt by the registry from its recipe, then its weights are read, all of them and
strictly. A tensor that two parts share (VampPrior reads with the encoder) is written once and named
under `shared`. The header has a digest of recipe and tensors; a file of an older version has none.
"""

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..core import Model, Recipe, Unsupported
from ..data import sealed
from ..data.files import BadData
from ..data.kept import umask, written_aside
from ..data.reader import Reader
from ..data.words import cut, in_words
from ..hyperparameters import HyperparameterError, did_you_mean
from ..registry.guard import own_version
from ..registry.registry import Registry, load_registry as load_registry
from . import header
from .header import FORMAT, WITH_READER, About, HeaderError, no_larger_than
from .weights import CheckpointError as CheckpointError, found_at


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
    about["digest"] = sealed.digest(tensors, json.dumps(about, sort_keys=True))
    with written_aside(path) as aside:
        # one entry: the order of several is another in every process, and so were the bytes
        save_file(tensors, aside, {"vaezoo": json.dumps(about, sort_keys=True)})
        aside.chmod(0o666 & ~umask())
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


def described(path: str | Path) -> About:
    """What the file says of its model, once it is whole by its own digest. Nothing is built, so
    the plugin need not be here.

    Raises: CheckpointError, one sentence.
    """
    return _read(Path(path)).about


def load(place: str | Path, registry: Registry | None = None) -> Model:
    """The model that was saved, on the CPU, ready to evaluate.

    `place` is a file, `FOLDER#mnist/iwae/0` by the names that `vaezoo weights` gave, or an address
    with a hash; training/weights.py has every form.

    Raises: CheckpointError, one sentence.
    """
    stored = _read(found_at(place))
    model = _rebuilt(stored, registry or load_registry())
    return _filled(model, stored).eval()


def restore(model: Model, path: str | Path) -> Model:
    """The model with the weights that are saved there, those of its parts that are shared too.

    Raises: CheckpointError, one sentence.
    """
    return _filled(model, _read(Path(path)))


@dataclass(frozen=True)
class Stored:
    """What a file holds."""

    path: Path
    about: About
    tensors: dict[str, Tensor]


def _filled(model: Model, stored: Stored) -> Model:
    shared = stored.about.shared
    for one in shared.values():
        if one not in stored.tensors:
            raise CheckpointError(f"{stored.path} shares the tensor {cut(repr(one))} and lacks it")
    again = {name: stored.tensors[one] for name, one in shared.items()}
    tensors = stored.tensors | again
    known = model.state_dict()
    _must_fit(known, tensors, stored)
    # buffers too, but for those that are infinite by themselves, such as masks
    finite = {name for name, tensor in known.items() if tensor.isfinite().all()}
    finite |= {name for name, _ in model.named_parameters()}
    model.load_state_dict(tensors, strict=True)
    for name, tensor in model.state_dict().items():
        if name in finite and not tensor.isfinite().all():
            raise CheckpointError(
                f"{stored.path} has a weight that is not a number or infinite, in {name}"
            )
    if stored.about.reader is not None:
        model.data_reader = _reader(stored.about.reader, model, stored.path)
    return model


def _reader(values: Mapping[str, Any], model: Model, path: str | Path) -> Reader:
    try:
        reader = header.reader_of(values)
        if model.recipe is not None:
            reader.must_suit(model.recipe.spec, "it")
    except (BadData, HeaderError) as error:
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


def _read(path: Path) -> Stored:
    if not os.path.isfile(path):  # which says False of a name that no system takes
        raise CheckpointError(f"there is no checkpoint {cut(str(path))}")
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(_not_safetensors(path, error)) from None
    if "vaezoo" not in said:
        raise CheckpointError(
            f"{path} is a .safetensors file, but vaezoo did not write it: it holds no recipe"
        )
    try:
        about = header.read(said["vaezoo"])
    except HeaderError as error:
        raise CheckpointError(f"{path} {error}") from None
    _must_be_whole(path, about, said["vaezoo"], tensors)
    return Stored(path, about, tensors)


def _must_be_whole(path: Path, about: About, text: str, tensors: Mapping[str, Tensor]) -> None:
    rest = {name: value for name, value in json.loads(text).items() if name != "digest"}
    written = json.dumps(rest, sort_keys=True)
    if about.digest and about.digest != sealed.digest(tensors, written):
        raise CheckpointError(
            f"{path} was damaged or changed after it was written: what it holds does not have the "
            "digest in its header"
        )


def _not_safetensors(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return (
            f"{path} is a pickle or a zip archive, such as torch.save writes; "
            "vaezoo reads .safetensors files only"
        )
    words = cut(str(error))
    return f"{path} is no whole .safetensors file (cut short, damaged, or of another kind): {words}"


def _rebuilt(stored: Stored, registry: Registry) -> Model:
    path = stored.path
    recipe = stored.about.recipe
    name = recipe.variant
    if name not in registry.variants:
        whose = (
            f"{recipe.distribution} {recipe.version}".strip()
            or "a loose file: give its folder with --plugins-dir"
        )
        near = did_you_mean(name[:100], registry.variants)
        raise CheckpointError(
            f"{path} needs the variant {cut(repr(name))} of {cut(whose)}, which is not here{near}"
        )
    model = _built(stored, registry)
    if model.recipe is not None and model.recipe.source_hash != recipe.source_hash:
        file = registry.variants[name].plugin.file
        warnings.warn(
            f"the source of {name!r} ({file}) has changed since {path} was saved", stacklevel=3
        )
    return model


def _built(stored: Stored, registry: Registry) -> Model:
    """The variant with new weights, where it is no larger than what is stored.

    Raises: CheckpointError.
    """
    recipe = stored.about.recipe
    tensors = stored.tensors.values()
    size = sum(tensor.nbytes for tensor in tensors)
    try:
        spec = header.spec_of(recipe.spec)
        # initial weights are drawn, then replaced: leave no trace
        with torch.random.fork_rng(devices=()), no_larger_than(size, len(tensors)):
            return registry.variants[recipe.variant](spec, **recipe.hyperparameters)
    except HeaderError as error:
        raise CheckpointError(f"{stored.path} {error}") from None
    except (Unsupported, HyperparameterError, TypeError) as error:
        words = cut(str(error))
    except Exception as error:  # a constructor may do anything with values it did not foresee
        words = cut(in_words(error))
    raise CheckpointError(
        f"{stored.path} cannot be rebuilt by this {recipe.variant!r}: {words}"
    ) from None


def _must_fit(known: Mapping[str, Tensor], tensors: Mapping[str, Tensor], stored: Stored) -> None:
    path = stored.path
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
        # a model that was saved in float64 comes back in the type that the variant makes
        if tensors[name].dtype != tensor.dtype and not stored.about.digest:
            raise CheckpointError(
                f"{path} has {name} of type {tensors[name].dtype}, "
                f"and the variant as it is now has {tensor.dtype}"
            )
    extra = sorted(tensors.keys() - known.keys())
    if extra:
        raise CheckpointError(
            f"{path} holds the tensor {cut(extra[0])}, which the variant as it is now does not have"
        )
