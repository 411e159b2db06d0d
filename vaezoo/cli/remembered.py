"""What plugins say of themselves, kept between two commands, so that `list` and `show` need not
import them, nor torch.

An answer is kept beside a digest of all that it can depend on: every file of vaezoo and of the
packages and folders that bring plugins, every other module of the user's, which packages are
installed, Python, the search path and our environment variables. Another digest, another answer.

Where a plugin has a problem nothing is kept: what mends it may be anything.
"""

import hashlib
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.kept import user_cache, written_aside
from .common import plain, registry_of

if TYPE_CHECKING:
    from ..registry.registry import Registry

STARTED = time.time_ns()  # before any plugin is imported
SMALL = 2**20  # bytes; of a larger file the digest holds size and time instead of content


def remembered(question: str, plugins_dir: Path | None, make: "Callable[[Registry], Any]") -> Any:
    """What `make` gives for the registry, as JSON has it: read where it is kept and still holds,
    else made and kept. A folder that cannot be written to costs time, not the answer.
    """
    folder = None if plugins_dir is None else plugins_dir.resolve()
    path = _place(question, folder)
    kept = _read(path, folder)
    if kept is not None:
        return kept["answer"]
    registry = registry_of(plugins_dir)
    answer = json.loads(json.dumps(make(registry), default=plain))
    if all(problem.is_note for problem in registry.problems):
        _keep(path, answer, sorted(_roots(registry)), folder)
    return answer


def _place(question: str, folder: Path | None) -> Path:
    """The file of a question that this Python asks with this search path."""
    words = [question, str(folder), sys.version, sys.prefix, *sys.path]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]
    return user_cache() / "described" / f"{name}.json"


def _read(path: Path, folder: Path | None) -> dict[str, Any] | None:
    """What is kept in the file; None where there is nothing, or it no longer holds."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        files = _files(map(Path, kept["roots"]), folder)
        return kept if kept["digest"] == _digest(files) and "answer" in kept else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path, answer: Any, roots: list[Path], folder: Path | None) -> None:
    try:
        files = list(_files(roots, folder))
        # what changed since this process began may have been imported as it was before
        if any(file.stat().st_ctime_ns >= STARTED for file in files):
            return
        about = {"roots": [str(root) for root in roots], "digest": _digest(files)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            aside.write_text(json.dumps(about | {"answer": answer}), encoding="utf-8")
    except OSError:
        return


def _roots(registry: "Registry") -> set[Path]:
    """What the answer comes from: the folders of packages that bring plugins, and the files of
    other plugins and of whatever else was imported that is not installed.
    """
    packages = {plugin.module.partition(".")[0] for plugin in registry.plugins}
    folders = {folder for name in packages for folder in _folders(name)}
    inside = tuple(f"{folder}{os.sep}" for folder in folders)
    modules = {str(getattr(module, "__file__", "")) for module in [*sys.modules.values()]}
    installed = _installed()
    files = {file for file in modules if not file.startswith(installed)}
    files |= {plugin.file for plugin in registry.plugins}
    others = {Path(file) for file in files if not file.startswith(inside)}
    return folders | {f for f in others if f.is_absolute() and f.is_file()}  # some are made up


def _folders(package: str) -> list[Path]:
    """The folders of a package; none of a module that is a file."""
    return [Path(folder) for folder in getattr(sys.modules.get(package), "__path__", ())]


def _installed() -> tuple[str, ...]:
    """Where Python and installed packages lie, whose versions `_packages` has."""
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    folders += [f for f in sys.path if Path(f).name in ("site-packages", "dist-packages")]
    return tuple(f"{folder}{os.sep}" for folder in folders)


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 of what an answer can depend on."""
    h = hashlib.sha256()
    for words in (*_environment(), *_packages()):
        h.update(f"{words}\n".encode())
    for file in files:
        about = file.stat()
        h.update(f"{file} {about.st_size}\n".encode())
        h.update(file.read_bytes() if about.st_size <= SMALL else b"%d" % about.st_mtime_ns)
    return h.hexdigest()


def _environment() -> Iterator[str]:
    for name in sorted(os.environ):
        if name.startswith("VAEZOO_") and name not in ("VAEZOO_CACHE", "VAEZOO_DATA"):
            yield f"{name}={os.environ[name]}"


def _packages() -> Iterator[str]:
    """Every installed distribution, by the folder that says its version and entry points."""
    for folder in sys.path:
        if os.path.isdir(folder):
            for entry in sorted(os.scandir(folder), key=lambda e: e.name):
                if entry.name.endswith((".dist-info", ".egg-info", ".egg-link", ".pth")):
                    yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _files(roots: Iterable[Path], loose: Path | None) -> Iterator[Path]:
    """The files among the roots, all files inside the folders but what Python compiled, and those
    that lie in the folder of loose plugins.
    """
    for root in roots:
        if not root.is_dir():
            yield root
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            yield from (Path(folder, name) for name in sorted(names))
    if loose is not None:
        yield from sorted(path for path in loose.iterdir() if path.is_file())
