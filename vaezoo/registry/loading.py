"""Where plugins come from, and how one is imported without harm to the others.

A source is a module of ours, an installed entry point of the group `vaezoo`, or a loose file. Each
is imported under guard: whatever it does (raise, exit, hang, print, reseed) becomes a `Problem` of
one line, and the rest goes on.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import io
import os
import pkgutil
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import torch

from ..hooks import PROJECT

# packages whose modules are plugins like any other
OURS = (
    "vaezoo.likelihoods",
    "vaezoo.bodies",
    "vaezoo.convolutions",
    "vaezoo.data.sources",
    "vaezoo.evaluation.metrics",
    "vaezoo.bench.report.figures",
    "vaezoo.bench.workers.local",
)
# public names of older versions, and what they are called now
RENAMED = {
    "vaezoo.distributions.Steps": "MaskedNormals",
    "vaezoo.fivo.bound": "fivo_or_elbo",
    "vaezoo.fivo.chosen": "resampled",
    "vaezoo.recurrent.before": "previous_steps",
    "vaezoo.registry.load": "load_registry",
    "vaezoo.samplers.own_prior": "prior_in_words",
    "vaezoo.stepwise.Carry": "CarriedState",
    "vaezoo.stepwise.Moments": "Normals",
    "vaezoo.stepwise.Sight": "Seen",
    "vaezoo.stepwise.alike": "same_for_every_state",
    "vaezoo.stepwise.moments": "normals",
}
SLOW = 2.0  # seconds of import that are worth a note
FAILED = object()  # what a guarded call gives where it raised


@dataclass(frozen=True)
class Plugin:
    """One module that brings something, and which exact text of it."""

    distribution: str  # "" for a loose file
    version: str
    module: str
    file: str
    source_hash: str  # SHA-256 of the file's bytes


@dataclass(frozen=True)
class Problem:
    """What one plugin did wrong, in one line."""

    distribution: str
    version: str
    file: str
    cause: str
    is_note: bool = False  # worth knowing, but nothing is lost

    def __str__(self) -> str:
        who = f"{self.distribution} {self.version}".strip() or "loose file"
        return f"{who}: {self.file}: {self.cause}"


class PluginError(RuntimeError):
    """A plugin has a problem, and plugins are loaded strictly."""


class TimedOut(BaseException):
    """A plugin took too long. No Exception, so that a plugin's `except Exception` does not swallow
    it.
    """


@dataclass(frozen=True)
class Source:
    """A module that is still to be imported."""

    distribution: str
    version: str
    file: str  # a path, or the name of a module whose path is not known yet
    find: Callable[[], ModuleType]
    must_bring: bool = False  # whether it is a problem if it has no hooks


@dataclass
class Guard:
    """Runs what plugins bring, and writes down what goes wrong."""

    timeout: float
    problems: list[Problem] = field(default_factory=list)

    def run(self, source: Source, call: Callable[[], Any], doing: str) -> Any:
        """What `call` gives, or FAILED where it raised, which is then among the problems."""
        before = _random_state()
        start = time.perf_counter()
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said), limit(self.timeout):
                return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.report(source, f"{doing}: {_cause(error, self.timeout)}")
            return FAILED
        finally:
            self._aftermath(source, doing, before, time.perf_counter() - start, said.getvalue())

    def report(self, source: Source, cause: str, is_note: bool = False) -> None:
        line = " ".join(cause.split())
        self.problems.append(
            Problem(source.distribution, source.version, source.file, line, is_note)
        )

    def _aftermath(
        self, source: Source, doing: str, before: Any, seconds: float, said: str
    ) -> None:
        if said.strip():
            self.report(source, f"{doing}: prints {_short(said)}")
        if not _same(before, _random_state()):
            _restore(before)
            self.report(source, f"{doing}: changes the global random state (it was put back)")
        if SLOW < seconds < self.timeout:
            self.report(source, f"{doing}: takes {seconds:.1f} s", is_note=True)


def timeout_from_environment() -> float:
    """Seconds that a plugin may take to import: VAEZOO_PLUGIN_TIMEOUT, 20 where it is not set.

    Raises: PluginError where it is no positive number.
    """
    text = os.environ.get("VAEZOO_PLUGIN_TIMEOUT", "20")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise PluginError(
            f"VAEZOO_PLUGIN_TIMEOUT must be a positive number of seconds, not {text!r}"
        )
    return seconds


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Inside the block, `TimedOut` is raised after these seconds; only the main thread can be
    interrupted so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimedOut

    handler = signal.signal(signal.SIGALRM, stop)
    # again every second, should a bare `except:` swallow it
    old = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old)
        signal.signal(signal.SIGALRM, handler)


def sources(plugins_dir: Path | None, guard: Guard) -> Iterator[Source]:
    """Ours first, then other distributions by name, then the loose files of `plugins_dir`."""
    ours = own_version()
    for package in OURS:
        yield Source("vaezoo", ours, package, _by_name(package))
    yield from _entry_points(guard)
    if plugins_dir is not None:
        yield from _loose(plugins_dir)


def own_version() -> str:
    """The installed version of vaezoo."""
    return importlib.metadata.version("vaezoo")


def modules_of(package: ModuleType, distribution: str, version: str) -> Iterator[Source]:
    """Every public module of a package."""
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            name = f"{package.__name__}.{module.name}"
            yield Source(distribution, version, _path_of(module, name), _by_name(name))


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

    for point in sorted(points, key=order):
        name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "")
        source = Source(name, version, point.value, point.load, must_bring=True)
        wanted = _other_version(point.dist)
        if wanted:
            guard.report(source, f"wants {wanted}, and this is vaezoo {own_version()}")
        else:
            yield source


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


def _loose(folder: Path) -> Iterator[Source]:
    """Every public *.py file of a folder.

    Raises: PluginError where there is no such folder.
    """
    if not folder.is_dir():
        raise PluginError(f"the folder of plugins {folder} does not exist")
    for path in sorted(folder.resolve().glob("*.py")):
        if not path.name.startswith("_"):
            yield Source("", "", str(path), lambda path=path: import_file(path), must_bring=True)  # type: ignore[misc]


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


def _cause(error: BaseException, timeout: float) -> str:
    if isinstance(error, TimedOut):
        return f"is not done after {timeout:g} s (VAEZOO_PLUGIN_TIMEOUT)"
    if isinstance(error, SystemExit):
        return f"calls exit({'' if error.code is None else error.code})"
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("vaezoo"):
        return f"needs the package {error.name!r}, which is not installed"
    if isinstance(error, ImportError) and str(error.name).startswith("vaezoo"):
        older = f"is written for another version of vaezoo than {own_version()}: {error}"
        return f"{older}; {_instead(error)}"
    return f"{type(error).__name__}: {error}"


def _instead(error: ImportError) -> str:
    """What to write for a name that could not be imported."""
    found = re.search(r"cannot import name '(\w+)'", str(error))
    gone = f"{error.name}.{found[1]}" if found else ""
    if gone in RENAMED:
        return f"it is called {RENAMED[gone]} now"
    return "CHANGELOG.md says what stands in its place"


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= width else line[: width - 1] + "…")


def _random_state() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.random.get_rng_state()


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return (
        a[0] == b[0]
        and all(np.array_equal(x, y) for x, y in zip(a[1], b[1], strict=True))
        and torch.equal(a[2], b[2])
    )


def _restore(state: tuple[Any, ...]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.random.set_rng_state(state[2])
