"""Where plugins come from: modules of ours, installed entry points of the group `vaezoo`, and loose
files. Each is imported under a `Guard`.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from ..data.words import cut, in_words
from ..hooks import PROJECT, Hooks
from .guard import Guard, PluginError, Source, own_version

CHOICE = "VAEZOO_PLUGINS"
LARGEST = 2**22  # bytes of a loose file
HOOKS = tuple(name for name in vars(Hooks) if name.startswith(PROJECT))
# packages whose modules are plugins like any other
OURS = (
    "vaezoo.likelihoods",
    "vaezoo.bodies",
    "vaezoo.convolutions",
    "vaezoo.data.sources",
    "vaezoo.evaluation.metrics",
    "vaezoo.bench.report.figures",
    "vaezoo.bench.workers.local",
    "vaezoo.bench.workers.slurm.executor",
    "vaezoo.bench.workers.ray",
    "vaezoo.bench.logs.brought",
)


@dataclass(frozen=True)
class Plugin:
    """One module that brings something, and which exact text of it."""

    distribution: str  # "" for a loose file
    version: str
    module: str
    file: str
    source_hash: str  # SHA-256 of the file's bytes


def sources(plugins_dir: Path | None, guard: Guard) -> Iterator[Source]:
    """Ours first, then other distributions by name, then the loose files of `plugins_dir`."""
    ours = own_version()
    for package in OURS:
        yield Source("vaezoo", ours, package, _by_name(package))
    yield from _entry_points(guard)
    if plugins_dir is not None:
        yield from _loose(plugins_dir, guard)


def modules_of(package: ModuleType, distribution: str, version: str) -> Iterator[Source]:
    """Every public module of a package."""
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            name = f"{package.__name__}.{module.name}"
            yield Source(distribution, version, _path_of(module, name), _by_name(name), module=name)


def _path_of(module: pkgutil.ModuleInfo, name: str) -> str:
    folder = getattr(module.module_finder, "path", None)
    return str(Path(folder, f"{module.name}{'' if module.ispkg else '.py'}")) if folder else name


def _by_name(name: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(name)


def _entry_points(guard: Guard) -> Iterator[Source]:
    points = importlib.metadata.entry_points(group=PROJECT)

    def order(point: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
        name = point.dist.name if point.dist else ""
        return name != "vaezoo", name, point.name

    left_out = _left_out(points)
    for point in sorted(points, key=order):
        name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "")
        source = Source(
            name, version, point.value, point.load, must_bring=True, module=point.module
        )
        if {name, point.name} & left_out:
            continue
        wanted = _other_version(point.dist)
        if wanted:
            guard.report(source, f"wants {wanted}, and this is vaezoo {own_version()}")
        else:
            yield source


def _left_out(points: Iterable[importlib.metadata.EntryPoint]) -> set[str]:
    """The distributions and entry points that VAEZOO_PLUGINS says not to load, such as "-name".

    Raises: PluginError for another text, and where there is no such one.
    """
    words = [word.strip() for word in os.environ.get(CHOICE, "").split(",")]
    names = {word.removeprefix("-") for word in words if word}
    known = {name for p in points for name in (p.name, p.dist.name if p.dist else p.name)}
    known -= {"vaezoo"}
    if not all(word.startswith("-") for word in words if word) or not names <= known:
        raise PluginError(
            f"{CHOICE} names installed plugins to leave out, such as -name,-other, not "
            f"{cut(repr(','.join(words)))}; there are {cut(', '.join(sorted(known))) or 'none'}"
        )
    return names


def _other_version(distribution: importlib.metadata.Distribution | None) -> str:
    """The requirement of a distribution on vaezoo that this vaezoo does not meet, or nothing."""
    if distribution is None or distribution.name == "vaezoo":
        return ""
    from packaging.requirements import Requirement

    for line in distribution.requires or []:
        need = Requirement(line)
        if need.name == "vaezoo" and not need.specifier.contains(own_version(), prereleases=True):
            return line
    return ""


def _loose(place: Path, guard: Guard) -> Iterator[Source]:
    """Every public *.py file of a folder that holds a hook, or the one file.

    Raises: PluginError where there is no such folder.
    """
    if not place.is_dir() and not place.is_file():
        raise PluginError(f"the folder of plugins {place} does not exist")
    paths = [place] if place.is_file() else sorted(place.resolve().glob("*.py"))
    for path in paths:
        if path.name.startswith("_") and path != place:
            continue
        source = Source("", "", str(path), partial(import_file, path), must_bring=True)
        why = _why_not(path)
        if why:
            guard.report(source, why, is_note=path != place)
        else:
            yield source


def _why_not(path: Path) -> str:
    """Why the file is not even run; "" where it is.

    A script that lies beside plugins has no hook, and running it could train for hours.
    """
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST:
            return f"is no file of at most {LARGEST:,} bytes"
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (SyntaxError, ValueError) as error:
        return in_words(error)
    except (RecursionError, MemoryError):
        return "is nested too deeply to be read"
    if any(_is_hook(node) for node in ast.walk(tree)):
        return ""
    return f"brings nothing: it has none of the hooks {', '.join(HOOKS)}, and was not run"


def _is_hook(node: ast.AST) -> bool:
    """Whether it mentions a hook by name, or their marker."""
    names = [getattr(node, field, "") for field in ("name", "id", "attr", "asname")]
    return any(str(name).startswith((f"{PROJECT}_", "hookimpl")) for name in names)


def import_file(path: Path) -> ModuleType:
    """The module in a file, under a name of its own, so that it shadows nothing."""
    name = f"vaezoo_loose_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    # dataclasses look their module up here
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def plugin_of(module: ModuleType, source: Source) -> Plugin:
    """The record of a module that was imported."""
    file = inspect.getsourcefile(module) or source.file
    text = Path(file).read_bytes() if Path(file).is_file() else b""
    return Plugin(
        source.distribution, source.version, module.__name__, file, hashlib.sha256(text).hexdigest()
    )
