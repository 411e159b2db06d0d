"""`vaezoo new`: a plugin's first file, or a distribution around a variant, that works from the
start.
"""

import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ..hyperparameters import listed
from .first_tests import TESTS

if TYPE_CHECKING:
    from ..registry.registry import Registry

# kind -> the file in templates/: a variant is most often a loss of its own
KINDS = {
    "variant": "loss",
    "prior": "prior",
    "loss": "loss",
    "likelihood": "likelihood",
    "network": "network",
    "dataset": "dataset",
    "metric": "metric",
    "figure": "figure",
}
PLACEHOLDER = "newcomer"  # in the templates; "Newcomer" for classes

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "vaezoo-{dashed}"
version = "0.1.0"
description = "The variant {name} for vaezoo"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["vaezoo"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.vaezoo]
{name} = "vaezoo_{name}"

[tool.setuptools]
py-modules = ["vaezoo_{name}"]
"""

README = """# vaezoo-{dashed}

The variant `{name}` for [vaezoo](https://pypi.org/project/vaezoo/).

```sh
pip install -e '.[test]'
pytest
vaezoo bench --variants vae,{name}
```
"""

TEST = '''"""The contract that every variant of vaezoo keeps."""

from vaezoo.testing import contract

test_contract = contract("{name}")
'''


class NewError(ValueError):
    """A name that cannot be had, or a file that is there already."""


def new_file(
    kind: str, name: str, folder: Path, package: bool = False, registry: "Registry | None" = None
) -> list[Path]:
    """The files written for a new plugin of this kind, a key of `KINDS`: `folder/NAME.py` and its
    test, or, of a variant, `folder/vaezoo-NAME/` with pyproject, test and README where `package`.

    Raises: NewError, also for a name that the registry knows.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise NewError(
            f"{name!r} cannot be the name of a {kind}: lower-case letters, digits and _ make one, "
            "such as my_vae"
        )
    if registry is not None and name in taken(registry, kind):
        raise NewError(f"there is a {kind} called {name!r} already; choose another name")
    texts = _package(name, folder) if package else _files(kind, name, folder)
    there = [path for path in texts if path.exists()]
    if there:
        raise NewError(f"{there[0]} is there already; choose another name or folder")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _files(kind: str, name: str, folder: Path) -> dict[Path, str]:
    """The plugin's file, and its test beside it."""
    text = template(kind, name)
    test = TESTS[kind].replace(PLACEHOLDER, name)
    return {folder / f"{name}.py": text, folder / f"test_{name}.py": test}


def template(kind: str, name: str) -> str:
    """The first file of such a plugin.

    Raises: NewError for a kind that there is not.
    """
    if kind not in KINDS:
        raise NewError(f"there is nothing to write for {kind!r}; there are {listed(KINDS)}")
    text = files("vaezoo.author.templates").joinpath(f"{KINDS[kind]}.py").read_text("utf-8")
    return text.replace(PLACEHOLDER.title(), _title(name)).replace(PLACEHOLDER, name)


def _title(name: str) -> str:
    return name.title().replace("_", "")


def taken(registry: "Registry", kind: str) -> set[str]:
    """The names that a new plugin of this kind cannot have: its file brings a part of that name,
    and often a variant.
    """
    if kind in ("dataset", "metric", "figure"):
        return set(getattr(registry, f"{kind}s"))
    if kind in ("likelihood", "network"):
        return set(registry.parts[kind])
    return set(registry.parts[KINDS[kind]]) | set(registry.variants)


def _package(name: str, folder: Path) -> dict[Path, str]:
    names = {"name": name, "dashed": name.replace("_", "-")}
    root = folder / f"vaezoo-{names['dashed']}"
    return {
        root / "pyproject.toml": PYPROJECT.format(**names),
        root / f"vaezoo_{name}.py": template("variant", name),
        root / "README.md": README.format(**names),
        root / "tests" / f"test_{name}.py": TEST.format(**names),
    }
