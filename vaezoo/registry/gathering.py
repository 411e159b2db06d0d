"""One passage over all sources of plugins: what they bring, by kind and name."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ..data.words import in_words
from ..hooks import PROJECT, Executor, Figure, Hooks, Logger, Metric, Part
from ..hyperparameters import did_you_mean, hyperparameters
from ..parts import register
from .guard import FAILED, Guard, Source, timeout_from_environment
from .loading import HOOKS, Plugin, modules_of, plugin_of, sources
from .mix import KINDS, NAMED
from .soundness import must_be_sound, must_have_its_types
from .starting import Started
from .trying import Died, can_try, is_known, keep, tried

PART_KINDS = (*KINDS, *NAMED, "sampler")
KEPT = ("variant", "dataset", "metric", "figure", "executor", "logger")
RESERVED = ("all", "not", "mix")
MOST = 10_000  # things that one hook may bring

Key = Callable[[Any], tuple[str, str]]  # a thing -> its kind and name, or TypeError
Found = dict[str, tuple[Any, Plugin]]  # name -> a thing of one kind, and the plugin that brings it
# what a hook brings: each thing with its kind and name, or with why it cannot be had
Brought = list[tuple[Any, tuple[str, str] | str]]
OfOurs = tuple[Source, Plugin, dict[str, Brought]]  # by hook

# Modules of ours by name, as they were found first: a folder of loose files is no reason to ask
# all of them again, which takes as long as the folder. But for executors, which hold what runs.
_ours: dict[str, OfOurs] = {}
HAS_A_STATE = "vaezoo_executors"


class Gathering:
    """What was found, with the plugin that brings it; what went wrong is with the guard."""

    def __init__(self, plugins_dir: Path | None) -> None:
        self.guard = Guard(timeout_from_environment())
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(Hooks)
        self.found: dict[str, Found] = {kind: {} for kind in (*KEPT, *PART_KINDS)}
        self.plugins: list[Plugin] = []
        self.packages = 0  # that have modules instead of hooks
        for source in sources(plugins_dir, self.guard):
            self.take(source)

    def take(self, source: Source) -> None:
        """Import one source and note what it brings; walk it where it is a package without hooks of
        its own.
        """
        if source.is_ours and source.file in _ours:
            return self._keep_all(_ours[source.file])
        if not (source.is_ours or self.guard.is_trial or self._may_come_in(source)):
            return
        imported = self.guard.run(source, partial(self._imported, source), "import")
        if imported is FAILED:
            return
        module, hooks = imported
        if not hooks and isinstance(module, ModuleType) and hasattr(module, "__path__"):
            self._walk(source, module)
        elif self._is_well_formed(source, module, hooks):
            self._gather(source, module, hooks)

    def _imported(self, source: Source) -> tuple[Any, list[str]]:
        """The module, and its hooks by name."""
        module = source.find()
        hooks = [
            name
            for name in dir(module)
            if self.manager.parse_hookimpl_opts(module, name) is not None
        ]
        return module, hooks

    def _walk(self, package: Source, module: ModuleType) -> None:
        self.packages += 1
        if self.guard.is_trial:
            return  # each module has a trial of its own
        for inner in modules_of(module, package.distribution, package.version):
            self.take(inner)

    def _may_come_in(self, source: Source) -> bool:
        """Whether a stranger's module does no harm where it is tried; what it does is reported."""
        if is_known(source) or not can_try():
            return True
        try:
            answer = tried(partial(self._trial, source), self.guard.timeout)
        except Died as death:
            self.guard.report(source, f"import: {death}")
            return False
        for cause in answer["causes"]:
            self.guard.report(source, cause)
        if not answer["causes"]:
            keep(source)
        return not answer["causes"]

    def _trial(self, source: Source) -> dict[str, list[str]]:
        """In a process of its own: why the module is not worth importing in ours."""
        self.guard.is_trial = True
        self.guard.problems.clear()
        before = self._size()
        started = Started(source.module, source.file)
        self.take(source)
        goes_on = started.goes_on()
        causes = [p.cause for p in self.guard.problems if not p.is_note]
        brings_something = self._size() > before
        if goes_on:
            return {"causes": [f"import: starts {goes_on}"]}
        return {"causes": [] if brings_something else causes}

    def _size(self) -> int:
        """How much was found."""
        return self.packages + sum(map(len, self.found.values()))

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
        lists = {}
        for hook in hooks:
            call = partial(_brought, hook, getattr(module, hook))
            lists[hook] = self.guard.run(source, call, f"{hook}()")
            self._keep_list(source, plugin, hook, lists[hook])
        self.plugins.append(plugin)
        if source.is_ours and HAS_A_STATE not in hooks and all(map(_is_whole, lists.values())):
            _ours[source.file] = (source, plugin, lists)

    def _keep_all(self, one: OfOurs) -> None:
        """What a module of ours brought when it was asked first."""
        source, plugin, lists = one
        for hook, brought in lists.items():
            self._keep_list(source, plugin, hook, brought)
        self.plugins.append(plugin)

    def _keep_list(self, source: Source, plugin: Plugin, hook: str, brought: Any) -> None:
        if brought is FAILED:
            return
        if isinstance(brought, str):
            self.guard.report(source, brought)
            return
        for thing, answer in brought:
            if isinstance(answer, str):
                self.guard.report(source, f"{hook}(): {answer}")
            else:
                self._keep(source, plugin, answer[0], answer[1], thing)

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
        names = {column.name for column in metric.columns}
        for other, plugin in self.found["metric"].values():
            shared = sorted(names & {column.name for column in other.columns})
            if shared:
                return (
                    f"the column {shared[0]!r} is brought by "
                    f"the metric {other.name!r} of {plugin.file}"
                )
        return ""


def _brought(hook: str, call: Callable[[], Any]) -> Brought | str:
    """What a hook brings, or why none of it can be had."""
    things = call()
    if type(things) not in (list, tuple):
        return f"{hook}() must return a list, not {type(things).__name__}"
    if len(things) > MOST:
        return f"{hook}() brings {len(things):,} things; at most {MOST:,}"
    return [(thing, _key_or_why(hook, thing)) for thing in things]


def _is_whole(brought: Any) -> bool:
    """Whether nothing is wrong with what a hook brought."""
    return type(brought) is list and not any(isinstance(answer, str) for _, answer in brought)


def _key_or_why(hook: str, thing: Any) -> tuple[str, str] | str:
    """The kind and the name of a thing, or why it cannot be had."""
    try:
        return _KEYS[hook](thing)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        return str(error)
    except Exception as error:  # an annotation may be any code, and so may a repr
        return in_words(error)


def _variant_key(thing: Any) -> tuple[str, str]:
    if not inspect.isfunction(thing):
        raise TypeError(
            f"a variant is a function (spec, **hyperparameters) -> Model, not {thing!r}"
        )
    must_be_sound(thing)
    if next(iter(inspect.signature(thing).parameters), None) != "spec":
        raise TypeError(f"the first argument of the variant {thing.__name__!r} must be called spec")
    return "variant", thing.__name__


def _dataset_key(thing: Any) -> tuple[str, str]:
    if not inspect.isfunction(thing):
        raise TypeError(f"a data set is a function (**options) -> Data, not {thing!r}")
    must_be_sound(thing)
    return "dataset", thing.__name__


def _key_of(kind: str, wanted: type[Metric | Figure]) -> Key:
    """The key of what is an object of this class, by its own name."""

    def key(thing: Any) -> tuple[str, str]:
        if type(thing) is not wanted:
            raise TypeError(
                f"what brings a {kind} is a {wanted.__name__} of vaezoo.hooks, not {thing!r}"
            )
        must_have_its_types(thing)
        return kind, thing.name

    return key


def _made_key(kind: str, wanted: type[Executor | Logger]) -> Key:
    """The key of what is an object of this class, or a function that makes one."""

    def key(thing: Any) -> tuple[str, str]:
        if type(thing) is wanted:
            must_have_its_types(thing)
            return kind, thing.name
        if not inspect.isfunction(thing):
            name = wanted.__name__
            a = "an" if kind == "executor" else "a"
            raise TypeError(
                f"what brings {a} {kind} is {a} {name} of vaezoo.hooks, or a function "
                f"(**options) -> {name}, not {thing!r}"
            )
        must_be_sound(thing)
        return kind, thing.__name__

    return key


def _part_key(thing: Any) -> tuple[str, str]:
    if type(thing) is not Part:
        raise TypeError(f"a part is a Part, not {thing!r}")
    must_have_its_types(thing)
    kind = thing.kind
    if kind not in PART_KINDS:
        raise TypeError(f"part {thing.name!r} is of the kind {kind!r}, which there is not")
    hyperparameters(thing.build)
    return kind, thing.name


_KEYS: dict[str, Key] = {
    "vaezoo_variants": _variant_key,
    "vaezoo_parts": _part_key,
    "vaezoo_datasets": _dataset_key,
    "vaezoo_metrics": _key_of("metric", Metric),
    "vaezoo_executors": _made_key("executor", Executor),
    "vaezoo_loggers": _made_key("logger", Logger),
    "vaezoo_figures": _key_of("figure", Figure),
}
