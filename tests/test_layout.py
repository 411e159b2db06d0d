"""Imports point downwards, and plugins import nothing but public modules of vaezoo."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The lowest first. A module may import what stands in its own row or lower.
ROWS = (
    ("distributions", "core", "hooks", "hyperparameters", "seeds", "errors", "samplers"),
    ("likelihoods", "networks", "recurrent", "losses", "stepwise", "fivo"),
    ("data", "loading", "mix", "recipes", "selection", "registry"),
    ("evaluation", "training", "checkpoint"),
    ("api", "certificates", "check", "matrix", "scaffold", "testing"),
    ("bench",),
    ("cli", "__main__", "__init__"),
)
PUBLIC = {
    "core", "distributions", "networks", "likelihoods", "recurrent", "losses", "stepwise", "fivo", "samplers", "hooks",
    "hyperparameters",
}  # fmt: skip


def row_of(name: str) -> int:
    found = [i for i, names in enumerate(ROWS) if name in names]
    assert found, f"vaezoo.{name} has no place in the layout: add it to ROWS"
    return found[0]


def imports_of(file: Path, package: str) -> set[str]:
    """Dotted names that a file imports, relative ones resolved; those for types only are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{source}.{alias.name}" for alias in node.names} if source == "vaezoo" else {source}
    return found


def modules() -> list[Path]:
    return sorted((ROOT / "vaezoo").rglob("*.py"))


@pytest.mark.parametrize("file", modules(), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_downwards(file: Path) -> None:
    parts = file.relative_to(ROOT).with_suffix("").parts
    own = parts[1]
    for name in imports_of(file, ".".join(parts[:-1])):
        head, *rest = name.split(".")
        if head == "vaezoo" and rest:
            assert row_of(rest[0]) <= row_of(own), f"{file.name} imports {name}, which stands above it"
        assert head != "vaezoo_plugins", f"{file.name} imports a plugin"


def test_core_imports_nothing_of_ours_but_distributions() -> None:
    ours = {name for name in imports_of(ROOT / "vaezoo/core.py", "vaezoo") if name.startswith("vaezoo")}
    assert ours == {"vaezoo.distributions"}


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").glob("*.py")), ids=lambda f: f.stem)
def test_plugins_import_only_public_modules(file: Path) -> None:
    for name in imports_of(file, "vaezoo_plugins"):
        head, *rest = name.split(".")
        assert head != "vaezoo_plugins", f"{file.name} imports another plugin"
        assert head != "vaezoo" or rest[0] in PUBLIC, f"{file.name} imports {name}, which is not public"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .core import Spec", {"vaezoo.core"}),
        ("from . import core", {"vaezoo.core"}),
        ("import vaezoo.bench.plan", {"vaezoo.bench.plan"}),
        ("if TYPE_CHECKING:\n    from .bench import plan", set()),
        ("def f():\n    from .bench.plan import x", {"vaezoo.bench.plan"}),
    ],
)
def test_the_rule_sees_imports_wherever_they_stand(source: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(source)
    assert imports_of(tmp_path / "a.py", "vaezoo") == expected
