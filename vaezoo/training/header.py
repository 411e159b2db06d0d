"""What a checkpoint says of its model: read field by field, for anyone may have written it.

A size in it is compared with the file before anything of that size is made: a model whose
parameters are not in the file is not worth its memory.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ..core import Spec
from ..data.reader import Reader
from ..data.words import cut
from ..hyperparameters import HyperparameterError
from ..parts import find
from ..registry.guard import own_version

FORMAT = 1  # raised when older versions could not read the file any more
# With a reader: a version that does not know of one would feed raw values to the networks.
WITH_READER = 2
LARGEST = 2**31  # of any size in a spec
# what a model may have beyond its file while it is built: parts that are thrown away, and scratch
TIMES = 4
MORE = 2**25  # bytes
PARTS = 1000  # parameters, however small
MAKERS = (
    torch.empty, torch.zeros, torch.ones, torch.full, torch.eye, torch.arange, torch.linspace,
    torch.rand, torch.randn, torch.randint, torch.randperm, torch.tril_indices,
)  # fmt: skip


class HeaderError(ValueError):
    """A header that says nothing a model can be made of. Its text goes on after the file's name."""


class RecipeFields(BaseModel):
    """How the model was made, as JSON has it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    variant: str
    hyperparameters: dict[str, Any]
    spec: dict[str, Any]
    distribution: str
    version: str
    source_hash: str


class About(BaseModel):
    """All that stands beside the tensors."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: int
    recipe: RecipeFields
    versions: dict[str, str] = {}
    shared: dict[str, str] = {}  # a tensor's name -> the name of the one that it repeats
    digest: str = ""  # SHA-256 of the tensors and of the rest; "" in files of older versions
    reader: dict[str, Any] | None = None  # of the user's values, see `data.reader`


def read(text: str) -> About:
    """What the header says.

    Raises: HeaderError.
    """
    try:
        found = json.loads(text)
        version = found["format"]
        if type(version) is int and version not in (FORMAT, WITH_READER):
            raise HeaderError(_of_another_version(found))
        return About.model_validate(found)
    except ValidationError as error:
        raise HeaderError(f"holds a recipe that cannot be read: {_first(error)}") from None
    except HeaderError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        words = cut(f"{type(error).__name__}: {error}")
        raise HeaderError(f"holds a recipe that cannot be read ({words})") from None


def _of_another_version(about: Mapping[str, Any]) -> str:
    versions = about.get("versions")
    writer = versions.get("vaezoo", "?") if isinstance(versions, dict) else "?"
    return (
        f"has checkpoint format {cut(str(about['format']))}, and vaezoo {own_version()} reads up "
        f"to {WITH_READER}; it was written by vaezoo {cut(str(writer))}"
    )


def spec_of(values: Mapping[str, Any]) -> Spec:
    """The spec, its fields of their types and its parts known.

    Raises: HeaderError.
    """
    unknown = values.keys() - {f.name for f in fields(Spec)}
    if unknown:
        names = cut(", ".join(sorted(unknown)))
        raise HeaderError(f"has a spec with fields unknown to vaezoo {own_version()}: {names}")
    try:
        spec = TypeAdapter(Spec).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise HeaderError(f"has a spec that cannot be read: {_first(error)}") from None
    _must_be_possible(spec)
    for kind, text in (("likelihood", spec.likelihood), ("network", spec.network)):
        try:
            find(kind, text)
        except (HyperparameterError, ValueError, RecursionError) as error:
            raise HeaderError(f"has a spec that cannot be read: {cut(str(error))}") from None
    return spec


def reader_of(values: Mapping[str, Any]) -> Reader:
    """The reader, its fields of their types.

    Raises: HeaderError, BadData.
    """
    try:
        TypeAdapter(Reader).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise HeaderError(_first(error)) from None
    return Reader.from_json(values)


def _must_be_possible(spec: Spec) -> None:
    least = {"latent": 1, "hidden": 1, "n_train": 1, "classes": 0, "condition": 0, "levels": 0}
    sizes = [(name, getattr(spec, name), low) for name, low in least.items()]
    sizes += [("shape", size, 1) for size in spec.shape]
    for name, size, low in sizes:
        if not low <= size < LARGEST:
            raise HeaderError(
                f"has a spec with {name} {cut(str(size), 40)}, which no model can have"
            )
    if not 1 <= len(spec.shape) <= 3:
        raise HeaderError(f"has a spec of {len(spec.shape)} axes; x has one, two or three")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "it"
    return cut(f"{where}: {first['msg']}")


@contextmanager
def no_larger_than(stored: int, tensors: int) -> Iterator[None]:
    """Inside the block a model is built of which the file stores so many bytes, in so many tensors.

    Raises: HeaderError as soon as it asks for far more, before the memory is touched.
    """
    limit = TIMES * stored + MORE
    parts = TIMES * tensors + PARTS
    made = 0
    number = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made, number
        made += 0 if parameter is None else parameter.nbytes
        number += 1
        _must_be_below(limit, made, stored, "bytes")
        _must_be_below(parts, number, tensors, "parameters")

    # torch gives its hooks no more exact type
    hook: Any = count
    handle = register_module_parameter_registration_hook(hook)
    try:
        with _Measured(limit, stored):
            yield
    finally:
        handle.remove()


class _Measured(TorchFunctionMode):
    """No tensor of more than `limit` bytes is made."""

    def __init__(self, limit: int, stored: int) -> None:
        super().__init__()
        self.limit = limit
        self.stored = stored

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in MAKERS:
            without = {
                k: v for k, v in given.items() if k not in ("generator", "out", "pin_memory")
            }
            # a tensor on this device has a size and no memory
            planned = func(*args, **{**without, "device": "meta"})
            _must_be_below(self.limit, planned.nbytes, self.stored, "bytes")
        return func(*args, **given)


def _must_be_below(limit: int, wanted: int, stored: int, what: str) -> None:
    if wanted > limit:
        raise HeaderError(
            f"describes a model of {wanted:,} {what} at least and holds {stored:,}; "
            "it was damaged or forged"
        )
