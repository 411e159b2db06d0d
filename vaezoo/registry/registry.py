"""Every variant, part, data set, metric and figure by name, from our own modules, installed plugins
and loose files.

`load()` gives the registry; a plugin that is broken is in its `problems`, and everything else is
there. Names are sorted. Where two plugins bring one name, the first stays: ours, then distributions
by name, then loose files.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from ..hooks import PROJECT, Executor, Figure, Hooks, Metric, Part
from ..hyperparameters import did_you_mean, hyperparameters
from ..parts import register
from ..samplers import PRIOR
from .entries import Dataset, Function, SamplerRecipe, Variant, no_sampler
from .loading import (
    FAILED,
    Guard,
    Plugin,
    PluginError,
    Problem,
    Source,
    modules_of,
    plugin_of,
    sources,
    timeout_from_environment,
)
from .mix import KINDS, NAMED, Mix
from .selection import (
    Chosen,
    SelectionError,
    choose,
)

if TYPE_CHECKING:
    from ..data.data import Data
    from ..data.files import Files

HOOKS = tuple(name for name in vars(Hooks) if name.startswith(PROJECT))
PART_KINDS = (*KINDS, *NAMED, "sampler")
RESERVED = ("all", "not", "mix")


@dataclass
class Registry:
    """What there is, by name. Parts are by kind, then by name."""

    variants: dict[str, Variant] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    executors: dict[str, Executor] = field(default_factory=dict)
    parts: dict[str, dict[str, Part]] = field(
        default_factory=lambda: {kind: {} for kind in PART_KINDS}
    )
    samplers: dict[str, SamplerRecipe] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    problems: tuple[Problem, ...] = ()
    plugins_dir: Path | None = None
    # metric -> SHA-256 of the file that brings it
    metric_sources: dict[str, str] = field(default_factory=dict)

    def choose_variants(self, text: str) -> list[Chosen[Variant]]:
        """The variants that the text names, such as "beta[beta=1,4],vae,not:*gan": see `selection`.

        Raises: SelectionError.
        """
        return choose(text, self.variants, "variant")

    def choose_datasets(self, text: str) -> list[Chosen[Dataset]]:
        """The data sets that the text names, such as "digits,gaussian[dimensions=4]".

        Raises: SelectionError.
        """
        return choose(text, self.datasets, "data set")

    def choose_samplers(self, text: str) -> list[Chosen[SamplerRecipe]]:
        """The samplers that the text names, such as "prior,mixture[components=5]".

        Raises: SelectionError.
        """
        return choose(text, self.samplers, "sampler")


def load_registry(plugins_dir: Path | str | None = None, strict: bool | None = None) -> Registry:
    """The registry, made once for each state of the folder; `strict` is VAEZOO_STRICT_PLUGINS=1
    unless given.

    Raises: PluginError for a plugin with a problem where `strict`, and for a folder that is not
    there.
    """
    strict = (
        os.environ.get("VAEZOO_STRICT_PLUGINS", "") not in ("", "0") if strict is None else strict
    )
    folder = None if plugins_dir is None else Path(plugins_dir).resolve()
    registry = _loaded(folder, _state_of(folder))
    wrong = [str(p) for p in registry.problems if not p.is_note]
    if strict and wrong:
        raise PluginError("; ".join(wrong))
    return registry


@cache
def _loaded(folder: Path | None, state: tuple[tuple[str, int], ...]) -> Registry:
    return _Loading(folder).registry


def _state_of(folder: Path | None) -> tuple[tuple[str, int], ...]:
    """The plugin files and when they were changed."""
    return (
        tuple((str(path), path.stat().st_mtime_ns) for path in sorted(folder.glob("*.py")))
        if folder
        else ()
    )


class _Loading:
    """One passage over all sources."""

    def __init__(self, plugins_dir: Path | None) -> None:
        self.guard = Guard(timeout_from_environment())
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(Hooks)
        self.found: dict[str, dict[str, tuple[Any, Plugin]]] = {
            kind: {} for kind in ("variant", "dataset", "metric", "figure", "executor", *PART_KINDS)
        }
        self.plugins: list[Plugin] = []
        for source in sources(plugins_dir, self.guard):
            self.take(source)
        self.registry = self._registry(plugins_dir)

    def take(self, source: Source) -> None:
        """Import one source and note what it brings; walk it where it is a package without hooks of
        its own.
        """
        module = self.guard.run(source, source.find, "import")
        if module is FAILED:
            return
        hooks = [
            name
            for name in dir(module)
            if self.manager.parse_hookimpl_opts(module, name) is not None
        ]
        if not hooks and isinstance(module, ModuleType) and hasattr(module, "__path__"):
            for inner in modules_of(module, source.distribution, source.version):
                self.take(inner)
        elif self._is_well_formed(source, module, hooks):
            self._gather(source, module, hooks)

    def _is_well_formed(self, source: Source, module: ModuleType, hooks: list[str]) -> bool:
        unmarked = [name for name in HOOKS if name in vars(module) and name not in hooks]
        unknown = [name for name in hooks if name not in HOOKS]
        if unmarked:
            self.guard.report(source, f"{unmarked[0]} is not marked with @hookimpl")
        elif unknown:
            near = did_you_mean(unknown[0], HOOKS)
            self.guard.report(
                source,
                f"no hook is called {unknown[0]!r}{near or '; there are ' + ', '.join(HOOKS)}",
            )
        elif not hooks and source.must_bring:
            self.guard.report(
                source, f"brings nothing: it has none of the hooks {', '.join(HOOKS)}"
            )
        return not unmarked and not unknown and bool(hooks)

    def _gather(self, source: Source, module: ModuleType, hooks: list[str]) -> None:
        try:
            self.manager.register(module, module.__name__)
        except (pluggy.PluginValidationError, ValueError) as error:
            self.manager.unregister(name=module.__name__)
            self.guard.report(source, str(error).replace(f"Plugin {module.__name__!r}", "its hook"))
            return
        plugin = plugin_of(module, source)
        self.plugins.append(plugin)
        for hook in hooks:
            self._keep_list(
                source, plugin, hook, self.guard.run(source, getattr(module, hook), f"{hook}()")
            )

    def _keep_list(self, source: Source, plugin: Plugin, hook: str, brought: Any) -> None:
        if brought is FAILED:
            return
        if not isinstance(brought, list | tuple):
            self.guard.report(source, f"{hook}() must return a list, not {type(brought).__name__}")
            return
        for thing in brought:
            try:
                kind, name = _KEYS[hook](thing)
            except (TypeError, ValueError, NameError, AttributeError) as error:
                self.guard.report(source, f"{hook}(): {error}")
                continue
            self._keep(source, plugin, kind, name, thing)

    def _keep(self, source: Source, plugin: Plugin, kind: str, name: str, thing: Any) -> None:
        there = self.found[kind].get(name)
        clash = self._clash(thing) if kind == "metric" and there is None else ""
        if clash:
            return self.guard.report(source, f"the metric {name!r} is left out: {clash}")
        if there is None and not (kind == "variant" and name in RESERVED):
            self.found[kind][name] = thing, plugin
            if kind in NAMED:  # a spec names these in text
                register(kind, name, thing.build)
        elif there is None:
            self.guard.report(source, f"no variant can be called {name!r}: the word is reserved")
        else:
            self.guard.report(
                source,
                f"the {kind} {name!r} is already brought by {there[1].file}; this one is left out",
            )

    def _clash(self, metric: Metric) -> str:
        """The column of this metric that another one brings, and by whom; "" for none."""
        for other, plugin in self.found["metric"].values():
            for column in sorted(
                {c.name for c in other.columns} & {c.name for c in metric.columns}
            ):
                return (
                    f"the column {column!r} is brought by "
                    f"the metric {other.name!r} of {plugin.file}"
                )
        return ""

    def _registry(self, plugins_dir: Path | None) -> Registry:
        parts = {kind: self._named(kind) for kind in PART_KINDS}
        hashes = {
            (kind, name): plugin.source_hash
            for kind in PART_KINDS
            for name, (_, plugin) in self.found[kind].items()
        }
        variants = {n: _variant(n, f, p) for n, (f, p) in self.found["variant"].items()}
        variants["mix"] = Variant(
            "mix", Mix(parts, hashes, dict(variants)), _plugin_of_mix(), in_all=False
        )
        return Registry(
            variants=dict(sorted(variants.items())),
            datasets=self._datasets(),
            metrics=self._named("metric"),
            metric_sources={n: p.source_hash for n, (_, p) in self.found["metric"].items()},
            figures=self._named("figure"),
            executors=self._named("executor"),
            parts=parts,
            samplers=_samplers(parts["sampler"], hashes),
            plugins=tuple(self.plugins),
            problems=tuple(self.guard.problems),
            plugins_dir=plugins_dir,
        )

    def _named(self, kind: str) -> dict[str, Any]:
        """What was found of this kind, by name."""
        return {name: thing for name, (thing, _) in sorted(self.found[kind].items())}

    def _datasets(self) -> dict[str, Dataset]:
        datasets: dict[str, Dataset] = {}

        def other(text: str, files: "Files | None") -> "Data":
            """The data of another source, for a source that is made of it."""
            chosen = choose(text, datasets, "data set")[0]
            return chosen.entry.load(files, **chosen.values)

        for name, (function, plugin) in sorted(self.found["dataset"].items()):
            datasets[name] = _dataset(name, function, plugin, other)
        return datasets


def _variant(name: str, function: Callable[..., Any], plugin: Plugin) -> Variant:
    needs = any(h.required for h in hyperparameters(function).values())
    return Variant(name, Function(function), plugin, in_all=not needs)


def _dataset(
    name: str,
    function: Callable[..., "Data"],
    plugin: Plugin,
    other: "Callable[[str, Files | None], Data]",
) -> Dataset:
    needs = any(h.required for h in hyperparameters(function).values())
    return Dataset(name, function, plugin, not needs, other)


def _samplers(
    parts: dict[str, Part], hashes: dict[tuple[str, str], str]
) -> dict[str, SamplerRecipe]:
    brought = {
        name: SamplerRecipe(name, part.build, hashes["sampler", name])
        for name, part in parts.items()
    }
    return {**brought, PRIOR: SamplerRecipe(PRIOR, no_sampler)}


def _plugin_of_mix() -> Plugin:
    from . import mix
    from .loading import own_version

    source = Source("vaezoo", own_version(), str(mix.__file__), lambda: mix)
    return plugin_of(mix, source)


def _variant_key(thing: Any) -> tuple[str, str]:
    if not inspect.isfunction(thing):
        raise TypeError(
            f"a variant is a function (spec, **hyperparameters) -> Model, not {thing!r}"
        )
    _name_of(thing)
    if next(iter(inspect.signature(thing).parameters), None) != "spec":
        raise TypeError(f"the first argument of the variant {thing.__name__!r} must be called spec")
    hyperparameters(thing)  # raises where an annotation cannot be read
    return "variant", thing.__name__


def _dataset_key(thing: Any) -> tuple[str, str]:
    if not inspect.isfunction(thing):
        raise TypeError(f"a data set is a function (**options) -> Data, not {thing!r}")
    hyperparameters(thing)
    return "dataset", _name_of(thing)


def _name_of(function: Callable[..., Any]) -> str:
    if not function.__name__.isidentifier():
        raise TypeError(
            f"{function.__name__!r} is no name for the command line: write a function with def"
        )
    return function.__name__


def _metric_key(thing: Any) -> tuple[str, str]:
    if not isinstance(thing, Metric):
        raise TypeError(f"a metric is a Metric, not {thing!r}")
    return "metric", thing.name


def _executor_key(thing: Any) -> tuple[str, str]:
    if not isinstance(thing, Executor):
        raise TypeError(f"an executor is an Executor of vaezoo.hooks, not {thing!r}")
    return "executor", thing.name


def _figure_key(thing: Any) -> tuple[str, str]:
    if not isinstance(thing, Figure):
        raise TypeError(f"a figure is a Figure of vaezoo.hooks, not {thing!r}")
    return "figure", thing.name


def _part_key(thing: Any) -> tuple[str, str]:
    if not isinstance(thing, Part):
        raise TypeError(f"a part is a Part, not {thing!r}")
    kind = thing.kind
    hyperparameters(thing.build)
    return kind, thing.name


_KEYS: dict[str, Callable[[Any], tuple[str, str]]] = {
    "vaezoo_variants": _variant_key,
    "vaezoo_parts": _part_key,
    "vaezoo_datasets": _dataset_key,
    "vaezoo_metrics": _metric_key,
    "vaezoo_executors": _executor_key,
    "vaezoo_figures": _figure_key,
}

__all__ = [
    "Chosen", "Dataset", "Plugin", "PluginError", "Problem", "Registry",
    "SelectionError", "Variant", "load_registry",
]  # fmt: skip
