"""A variant and a data set as the registry holds them: a plugin's function with its name, its words
and its checks.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from ..core import Model, Recipe, Spec
from ..data import door
from ..hooks import Executor, Logger
from ..hyperparameters import Hyperparameter, from_text, hyperparameters, resolve
from .loading import Plugin

if TYPE_CHECKING:
    from ..data.data import Data
    from ..data.files import Files
    from ..samplers import Sampler

T = TypeVar("T")


class Builder(Protocol):
    """What makes a model: a plugin's function, or `mix`."""

    @property
    def doc(self) -> str: ...
    @property
    def tags(self) -> frozenset[str]: ...
    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]: ...
    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def origins(self, values: Mapping[str, Any]) -> tuple[str, ...]: ...
    def build(self, spec: Spec, values: Mapping[str, Any]) -> Model: ...


@dataclass(frozen=True)
class Function:
    """A plugin's function `(spec, **hyperparameters) -> Model`."""

    function: Callable[..., Model]

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def tags(self) -> frozenset[str]:
        """Those that the plugin gives it, and "static" where it is not "recurrent"."""
        given: frozenset[str] = self.function.__dict__.get("tags", frozenset())
        return given if "recurrent" in given else given | {"static"}

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        return hyperparameters(self.function)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return resolve(self.function, given, self.function.__name__)

    def origins(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """SHA-256 of further files that the model is made from: none."""
        return ()

    def build(self, spec: Spec, values: Mapping[str, Any]) -> Model:
        return self.function(spec, **values)


@dataclass(frozen=True)
class SamplerRecipe:
    """Where the codes of samples come from: call it for a sampler, or for None where that is the
    model's own prior.
    """

    name: str
    build: Callable[..., "Sampler | None"]
    source_hash: str = ""  # SHA-256 of the file that brings it
    tags: frozenset[str] = frozenset()
    in_all: bool = True

    def resolve_text(self, given: Mapping[str, str]) -> dict[str, Any]:
        """All hyperparameters, the given ones read from their texts.

        Raises: HyperparameterError.
        """
        values = from_text(given, hyperparameters(self.build))
        return resolve(self.build, values, f"sampler {self.name}")

    def __call__(self, spec: Spec, values: Mapping[str, Any]) -> "Sampler | None":
        wants_spec = "spec" in inspect.signature(self.build).parameters
        return self.build(**({"spec": spec} if wants_spec else {}), **values)


def no_sampler() -> None:
    """The model's own prior."""


@dataclass(frozen=True)
class MadeOf(Generic[T]):
    """What makes an executor, or a logger, from options."""

    kind: str  # "executor"
    name: str
    build: Callable[..., T]
    doc: str
    plugin: Plugin  # that brings it
    tags: frozenset[str] = frozenset()
    in_all: bool = True

    @classmethod
    def of(cls, kind: str, brought: Any, plugin: Plugin) -> "MadeOf[T]":
        """The recipe of what a plugin brings: the thing itself, or what makes it from options."""
        if isinstance(brought, Executor | Logger):
            build = cast(Callable[..., T], lambda: brought)
            return cls(kind, brought.name, build, brought.doc, plugin)
        return cls(kind, brought.__name__, brought, inspect.getdoc(brought) or "", plugin)

    @property
    def options(self) -> dict[str, Hyperparameter]:
        return hyperparameters(self.build)

    def resolve_text(self, given: Mapping[str, str]) -> dict[str, Any]:
        """All options, the given ones read from their texts.

        Raises: HyperparameterError.
        """
        values = from_text(given, self.options)
        return resolve(self.build, values, f"{self.kind} {self.name}")


@dataclass(frozen=True)
class Variant:
    """A recipe for models: call it with a spec and hyperparameters."""

    name: str
    builder: Builder
    plugin: Plugin
    # whether `all` means it too; a variant that must be told something is not meant
    in_all: bool = True

    @property
    def doc(self) -> str:
        return self.builder.doc

    @property
    def paper(self) -> str:
        """Who it is from, with the equations; "" where its docstring does not say."""
        found = re.search(r"^\s*Paper:\s*(.+?)(?:\n\s*\n|\Z)", self.doc, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    @property
    def tags(self) -> frozenset[str]:
        return self.builder.tags

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        return self.builder.hyperparameters

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All hyperparameters, the given ones checked and converted.

        Raises: HyperparameterError.
        """
        return self.builder.resolve(given)

    def resolve_text(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The same for texts, as a command line gives them."""
        return self.resolve(from_text(given, self.hyperparameters))

    def plugin_for(self, values: Mapping[str, Any]) -> Plugin:
        """The plugin, its hash over all files that a model with these hyperparameters needs."""
        hashes = (self.plugin.source_hash, *self.builder.origins(values))
        one = (
            hashes[0]
            if len(hashes) == 1
            else hashlib.sha256("\0".join(hashes).encode()).hexdigest()
        )
        return replace(self.plugin, source_hash=one)

    def __call__(self, spec: Spec, **given: Any) -> Model:
        """A new model, with its recipe.

        Raises: HyperparameterError for a bad value, Unsupported where the variant cannot be had for
        this spec.
        """
        values = self.resolve(given)
        model = self.builder.build(spec, values)
        if not isinstance(model, Model):
            raise TypeError(
                f"variant {self.name!r} ({self.plugin.file}) must return a Model, "
                f"not {type(model).__name__}"
            )
        model.check()
        plugin = self.plugin_for(values)
        model.recipe = Recipe(
            self.name, values, spec, plugin.distribution, plugin.version, plugin.source_hash
        )
        return model


@dataclass(frozen=True)
class Dataset:
    """A source of data by name."""

    name: str
    function: Callable[..., "Data"]
    plugin: Plugin
    in_all: bool = True
    # finds another data set by its text, such as "gaussian[dimensions=4]", for one made of it
    other: "Callable[[str, Files | None], Data] | None" = None

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def tags(self) -> frozenset[str]:
        return self.function.__dict__.get("tags", frozenset())

    @property
    def options(self) -> dict[str, Hyperparameter]:
        return hyperparameters(self.function)

    @property
    def reads_files(self) -> bool:
        return "files" in inspect.signature(self.function).parameters

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, the given ones checked and converted.

        Raises: HyperparameterError.
        """
        return resolve(self.function, given, self.name)

    def resolve_text(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The same for texts, as a command line gives them."""
        return self.resolve(from_text(given, self.options))

    def load(self, files: "Files | None" = None, **options: Any) -> "Data":
        """The data, with its name and options stamped on it. `files` says where files are found."""
        values = self.resolve(options)
        wanted = inspect.signature(self.function).parameters
        given: dict[str, Any] = {}
        if "files" in wanted:
            given["files"] = files or _files()
        if "load" in wanted:
            given["load"] = lambda text: _found(self, text, files)
        data = self.function(**given, **values)
        named = replace(data, name=self.label(values), options=values)
        door.must_agree(named)
        door.must_be_counted(named)
        return named

    def label(self, values: Mapping[str, Any]) -> str:
        """The name with those options that differ from their defaults: "gaussian[dimensions=4]"."""
        known = self.options
        changed = [f"{key}={value}" for key, value in values.items() if value != known[key].default]
        return self.name + (f"[{','.join(changed)}]" if changed else "")


def _files() -> "Files":
    from ..data.files import Files

    return Files()


def _found(asking: Dataset, text: str, files: "Files | None") -> "Data":
    if asking.other is None:
        raise LookupError(f"{asking.name} is made of another data set, and there is no registry")
    return asking.other(text, files)
