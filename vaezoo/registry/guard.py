"""Runs what plugins bring without harm to the rest: whatever it does (raise, exit, hang, print,
reseed) becomes a `Problem` of one line.
"""

import importlib.metadata
import io
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import torch

from ..data.words import cut

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
class Source:
    """A module that is still to be imported."""

    distribution: str
    version: str
    file: str  # a path, or the name of a module whose path is not known yet
    find: Callable[[], ModuleType]
    must_bring: bool = False  # whether it is a problem if it has no hooks


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


@cache  # a package's metadata are parsed as an e-mail is
def own_version() -> str:
    """The installed version of vaezoo."""
    return importlib.metadata.version("vaezoo")


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


def _short(text: str) -> str:
    return repr(cut(text, 60))


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
