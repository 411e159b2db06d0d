"""Every variant, part, data set, metric and figure by name, from our own modules, installed plugins
and loose files.

`load_registry()` gives it; a plugin that is broken is in its `problems`, and everything else is
there. Names are sorted. Where two plugins bring one name, the first stays: ours, then distributions
by name, then loose files.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hooks import Executor, Figure, Logger, Metric, Part
from ..hyperparameters import hyperparameters
from ..samplers import PRIOR
from . import mix
from .entries import Dataset, Function, MadeOf, SamplerRecipe, Variant, no_sampler
from .gathering import PART_KINDS, Found, Gathering
from .guard import PluginError, Problem, Source, own_version
from .loading import Plugin, plugin_of
from .own_files import with_files
from .selection import ALL, HEAVY, TAG, Chosen, SelectionError, choose, heavy

if TYPE_CHECKING:
    from ..data.data import Data
    from ..data.files import Files


@dataclass
class Registry:
    """What there is, by name. Parts are by kind, then by name."""

    variants: dict[str, Variant] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    executors: dict[str, MadeOf[Executor]] = field(default_factory=dict)
    loggers: dict[str, MadeOf[Logger]] = field(default_factory=dict)
    parts: dict[str, dict[str, Part]] = field(
        default_factory=lambda: {kind: {} for kind in PART_KINDS}
    )
    samplers: dict[str, SamplerRecipe] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    problems: tuple[Problem, ...] = ()
    plugins_dir: Path | None = None
    # metric -> SHA-256 of the file that brings it
    metric_sources: dict[str, str] = field(default_factory=dict)

    @property
    def usual_metrics(self) -> list[str]:
        """The names of the metrics that are measured where none is named: those not `asked` for."""
        return sorted(name for name, metric in self.metrics.items() if not metric.asked)

    def choose_variants(self, text: str) -> list[Chosen[Variant]]:
        """The variants that the text names, such as "beta[beta=1,4],vae,not:*gan": see `selection`.

        Raises: SelectionError.
        """
        return choose(text, self.variants, "variant")

    def left_out(self, text: str) -> str:
        """Which variants `all` leaves out of this selection, and how to name them; "" where none.

        Raises: SelectionError.
        """
        names = heavy(text, self.variants, "variant")
        if not names:
            return ""
        return (
            f"{text} leaves out {', '.join(names)}, which {'takes' if len(names) == 1 else 'take'} "
            f"longer: {ALL},{TAG}{HEAVY} has all of them"
        )

    def choose_datasets(self, text: str) -> list[Chosen[Dataset]]:
        """The data sets that the text names, such as "digits,gaussian[dimensions=4]"; a file or a
        folder such as wine.csv[label=kind] is one too, see `own_files`.

        Raises: SelectionError.
        """
        tags = {name: entry.tags for name, entry in self.datasets.items()}
        return choose(with_files(text, tags), self.datasets, "data set")

    def choose_samplers(self, text: str) -> list[Chosen[SamplerRecipe]]:
        """The samplers that the text names, such as "prior,mixture[components=5]".

        Raises: SelectionError.
        """
        return choose(text, self.samplers, "sampler")

    def choose_executor(self, text: str) -> Chosen[MadeOf[Executor]]:
        """The executor that the text names, such as "slurm[partition=gpu]".

        Raises: SelectionError, also where it names several.
        """
        chosen = choose(text, self.executors, "executor")
        if len(chosen) > 1:
            raise SelectionError(f"{text!r} names {len(chosen)} executors; name one")
        return chosen[0]

    def choose_loggers(self, text: str) -> list[Chosen[MadeOf[Logger]]]:
        """The loggers that the text names, such as "tensorboard,mlflow[experiment=mine]".

        Raises: SelectionError.
        """
        return choose(text, self.loggers, "logger")


def load_registry(plugins_dir: Path | str | None = None, strict: bool | None = None) -> Registry:
    """The registry, made once for each state of the folder, or of the one file; `strict` is
    VAEZOO_STRICT_PLUGINS=1 unless given.

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
    gathering = Gathering(folder)
    found = gathering.found
    parts = {kind: _things(found[kind]) for kind in PART_KINDS}
    hashes = {kind: _hashes(found[kind]) for kind in PART_KINDS}

    return Registry(
        variants=_variants(found["variant"], parts, hashes),
        datasets=_datasets(found["dataset"]),
        metrics=_things(found["metric"]),
        figures=_things(found["figure"]),
        executors=_made_of("executor", found["executor"]),
        loggers=_made_of("logger", found["logger"]),
        parts=parts,
        samplers=_samplers(parts["sampler"], hashes["sampler"]),
        plugins=tuple(gathering.plugins),
        problems=tuple(gathering.guard.problems),
        plugins_dir=folder,
        metric_sources=_hashes(found["metric"]),
    )


def _state_of(folder: Path | None) -> tuple[tuple[str, int], ...]:
    """The plugin files and when they were changed."""
    if folder is None:
        return ()
    paths = [folder] if folder.is_file() else sorted(folder.glob("*.py"))
    return tuple((str(path), path.lstat().st_mtime_ns) for path in paths)


def _things(found: Found) -> dict[str, Any]:
    """What was found of one kind, without the plugins, sorted by name."""
    return {name: thing for name, (thing, _) in sorted(found.items())}


def _hashes(found: Found) -> dict[str, str]:
    """name -> SHA-256 of the file that brings it."""
    return {name: plugin.source_hash for name, (_, plugin) in found.items()}


def _variants(
    found: Found, parts: dict[str, dict[str, Part]], hashes: dict[str, dict[str, str]]
) -> dict[str, Variant]:
    """Those that were found, and `mix`, which knows them and the parts; sorted by name."""
    variants = {
        name: Variant(name, Function(function), plugin, in_all=not _must_be_told(function))
        for name, (function, plugin) in found.items()
    }
    of_parts = {(kind, name): text for kind in hashes for name, text in hashes[kind].items()}
    builder = mix.Mix(parts, of_parts, dict(variants))
    variants["mix"] = Variant("mix", builder, _plugin_of_mix(), in_all=False)
    return dict(sorted(variants.items()))


def _datasets(found: Found) -> dict[str, Dataset]:
    datasets: dict[str, Dataset] = {}

    def other(text: str, files: "Files | None") -> "Data":
        """The data of another source, for a source that is made of it."""
        chosen = choose(text, datasets, "data set")[0]
        return chosen.entry.load(files, **chosen.values)

    for name, (function, plugin) in sorted(found.items()):
        datasets[name] = Dataset(name, function, plugin, not _must_be_told(function), other)
    return datasets


def _must_be_told(function: Callable[..., Any]) -> bool:
    """Whether a hyperparameter has no default, so that `all` does not mean this function."""
    return any(h.required for h in hyperparameters(function).values())


def _samplers(parts: dict[str, Part], hashes: dict[str, str]) -> dict[str, SamplerRecipe]:
    brought = {name: SamplerRecipe(name, part.build, hashes[name]) for name, part in parts.items()}
    return {**brought, PRIOR: SamplerRecipe(PRIOR, no_sampler)}


def _made_of(kind: str, found: Found) -> dict[str, MadeOf[Any]]:
    return {name: MadeOf.of(kind, *found[name]) for name in sorted(found)}


def _plugin_of_mix() -> Plugin:
    return plugin_of(mix, Source("vaezoo", own_version(), str(mix.__file__), lambda: mix))


__all__ = [
    "Chosen", "Dataset", "Plugin", "PluginError", "Problem", "Registry",
    "SelectionError", "Variant", "load_registry",
]  # fmt: skip
