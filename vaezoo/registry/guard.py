"""Runs what plugins bring without harm to the rest: whatever it does (raise, exit, hang, print,
reseed) becomes a `Problem` of one line.
"""

import importlib.metadata
import io
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from ..data.words import cut, in_words
from .descriptors import descriptors_aside
from .endings import no_endings
from .surroundings import NUMBERS, Surroundings

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
AGAIN = 0.25  # seconds between two looks at what has used up its time
FAILED = object()  # what a guarded call gives where it raised


@dataclass(frozen=True)
class Source:
    """A module that is still to be imported."""

    distribution: str
    version: str
    file: str  # a path, or the name of a module whose path is not known yet
    find: Callable[[], ModuleType]
    must_bring: bool = False  # whether it is a problem if it has no hooks
    module: str = ""  # its name, of what is not a loose file

    @property
    def is_ours(self) -> bool:
        return self.distribution == "vaezoo"


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
    is_trial: bool = False  # in a process of its own, where an interrupt is the plugin's

    def run(self, source: Source, call: Callable[[], Any], doing: str) -> Any:
        """What `call` gives, or FAILED where it raised, which is then among the problems."""
        before = Surroundings(NUMBERS, False) if source.is_ours else Surroundings()
        start = time.perf_counter()
        said = Said()
        # what is ours hangs nowhere, and a slow disk is no reason to do without it
        limited = nullcontext() if source.is_ours else limit(self.timeout)
        aside = nullcontext() if source.is_ours else descriptors_aside(said)
        endings: AbstractContextManager[list[str]] = nullcontext([])
        if not source.is_ours:
            endings = no_endings(source.module, source.file)
        ends: list[str] = []
        try:
            with aside, endings as ends, redirect_stdout(said), redirect_stderr(said), limited:
                return call()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not self.is_trial:
                raise
            self.report(source, f"{doing}: {_cause(error, self.timeout)}")
            return FAILED
        finally:
            seconds = time.perf_counter() - start
            self._aftermath(source, doing, before.put_back() + ends, seconds, said.text())

    def report(self, source: Source, cause: str, is_note: bool = False) -> None:
        line = cut(cause, 500)
        self.problems.append(
            Problem(source.distribution, source.version, source.file, line, is_note)
        )

    def _aftermath(
        self, source: Source, doing: str, changed: list[str], seconds: float, said: str
    ) -> None:
        if said.strip():
            self.report(source, f"{doing}: prints {_short(said)}")
        # libraries that a plugin imports have their own, and nobody's numbers depend on them
        harmless = [name for name in changed if name == "filters of warnings"]
        if changed != harmless:
            names = cut(", ".join(name for name in changed if name not in harmless))
            self.report(source, f"{doing}: changes {names} (it was put back)")
        if SLOW < seconds < self.timeout:
            self.report(source, f"{doing}: takes {seconds:.1f} s", is_note=True)


class Said(io.StringIO):
    """What is printed; a plugin may close it, and it stays readable."""

    def close(self) -> None:
        pass

    def text(self) -> str:
        return self.getvalue()[:10_000]


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Inside the block, `TimedOut` is raised after these seconds, those left out in which other
    processes had the processor; only the main thread can be interrupted so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    begin = time.monotonic() - waited()

    def stop(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - waited() - begin >= seconds:
            raise TimedOut

    handler = signal.signal(signal.SIGALRM, stop)
    # again and again, should a bare `except:` swallow it
    old = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old)
        signal.signal(signal.SIGALRM, handler)


def waited(process: int | str = "self") -> float:
    """Seconds that the process has waited for a processor which others had; 0 where nobody says."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


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
    return in_words(error)


def _instead(error: ImportError) -> str:
    """What to write for a name that could not be imported."""
    found = re.search(r"cannot import name '(\w+)'", str(error))
    gone = f"{error.name}.{found[1]}" if found else ""
    if gone in RENAMED:
        return f"it is called {RENAMED[gone]} now"
    return "CHANGELOG.md says what stands in its place"


def _short(text: str) -> str:
    return repr(cut(text, 60))
