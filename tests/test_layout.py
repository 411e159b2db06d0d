"""Imports point downwards, inside folders too and late ones included, and never run in a circle."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The lowest first. A module may import what stands in its own row or lower.
ROWS = (
    ("distributions", "tags"),
    ("core",),
    ("hyperparameters", "seeds", "samplers", "fitted", "hooks", "row_mean"),
    ("parts", "columns"),
    (
        "likelihoods",
        "laws",
        "in_order",
        "steps",
        "gru",
        "bodies",
        "convolutions",
        "networks",
        "bent",
        "recurrent",
        "losses",
        "codebooks",
        "relaxed",
        "stepwise",
        "paths",
        "markov",
        "fivo",
        "dynamics",
        "leapfrog",
        "hyperboloid",
        "similarity",
        "kalman",
        "views",
        "diffusion",
    ),
    ("data",),
    ("registry",),
    ("training", "evaluation"),
    ("use",),
    ("sklearn",),
    ("author",),
    ("testing", "bench"),
    ("cli", "__main__", "__init__"),
)
# What lies flat may be imported by a stranger, and what three folders hand on.
PUBLIC = {
    "core", "distributions", "networks", "likelihoods", "parts", "steps", "gru", "bodies",
    "convolutions", "recurrent", "losses", "codebooks", "stepwise", "paths", "markov", "fivo",
    "dynamics", "leapfrog", "similarity", "kalman", "row_mean", "columns", "samplers", "fitted",
    "hooks", "laws", "bent", "relaxed", "hyperparameters", "seeds", "tags", "testing", "data",
    "views", "in_order", "hyperboloid", "diffusion",
}  # fmt: skip


def row_of(name: str) -> int:
    found = [i for i, names in enumerate(ROWS) if name in names]
    assert found, f"vaezoo.{name} has no place in the layout: add it to ROWS"
    return found[0]


@cache
def runtime_nodes(tree: ast.Module) -> list[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if node not in for_types]


def source_of(node: ast.ImportFrom, package: str) -> str:
    """The dotted name behind `from`, a relative one resolved."""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def imports_of(file: Path, package: str) -> set[str]:
    """Dotted names that a file imports when it runs."""
    found: set[str] = set()
    for node in runtime_nodes(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = source_of(node, package)
            names = {f"{source}.{alias.name}" for alias in node.names}
            found |= names if source == "vaezoo" else {source}
    return found


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def modules() -> list[Path]:
    return sorted((ROOT / "vaezoo").rglob("*.py"))


@pytest.mark.parametrize("file", modules(), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_downwards(file: Path):
    parts = file.relative_to(ROOT).with_suffix("").parts
    own = parts[1]
    for name in imports_of(file, ".".join(parts[:-1])):
        head, *rest = name.split(".")
        if head == "vaezoo" and rest:
            assert row_of(rest[0]) <= row_of(own), (
                f"{file.name} imports {name}, which stands above it"
            )
        assert head != "vaezoo_plugins", f"{file.name} imports a plugin"


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph() -> dict[str, set[str]]:
    """module -> the modules of ours that it imports, wherever the import stands."""
    known = {module_of(file): file for file in modules()}
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        package = name if file.stem == "__init__" else name.rpartition(".")[0]
        targets = targets_of(tree_of(file), package)
        found[name] = (known.keys() & targets) - {name}
    return found


def targets_of(tree: ast.Module, package: str) -> set[str]:
    """Every dotted name that could be a module: `from a import b` may mean a or a.b."""
    found: set[str] = set()
    for node in runtime_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = source_of(node, package)
            inner = {f"{source}.{alias.name}" for alias in node.names}
            found |= inner if not node.module else inner | {source}
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The circles that a walk along the arrows runs into."""
    found: list[list[str]] = []
    finished: set[str] = set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in finished:
            for other in sorted(arrows[name]):
                walk(other, [*path, name])
            finished.add(name)

    for name in sorted(arrows):
        walk(name, [])
    return found


def test_no_imports_run_in_a_circle():
    assert circles(graph()) == []


def test_a_circle_would_be_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == [["a", "b", "c", "a"]]


def test_core_imports_nothing_of_ours_but_distributions():
    files = (ROOT / "vaezoo/core").glob("*.py")
    names = set().union(*(imports_of(file, "vaezoo.core") for file in files))
    ours = {name.split(".")[1] for name in names if name.startswith("vaezoo")}
    assert ours == {"core", "distributions"}


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").glob("*.py")), ids=lambda f: f.stem)
def test_plugins_import_only_public_modules(file: Path):
    for name in imports_of(file, "vaezoo_plugins"):
        head, *rest = name.split(".")
        assert head != "vaezoo_plugins", f"{file.name} imports another plugin"
        assert head != "vaezoo" or rest[0] in PUBLIC, (
            f"{file.name} imports {name}, which is not public"
        )


@cache
def imported_names() -> dict[str, set[str]]:
    """public module -> the names that our plugins and examples import from it."""
    found: dict[str, set[str]] = {name: set() for name in PUBLIC}
    for file in [*ROOT.glob("plugins/*.py"), *ROOT.glob("examples/*/*.py")]:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vaezoo."):
                module = str(node.module).removeprefix("vaezoo.")
                found[module] |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_all_holds_every_name_that_plugins_import(name: str):
    module = importlib.import_module(f"vaezoo.{name}")
    assert imported_names()[name] <= set(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_plugins_import_names_from_most_public_modules():
    assert sum(map(bool, imported_names().values())) > len(PUBLIC) / 2


def test_the_page_names_every_public_module_and_no_other():
    page = (ROOT / "docs" / "public.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `vaezoo\.(\w+)` \|", page, re.MULTILINE)) == PUBLIC


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
def test_the_rule_sees_imports_wherever_they_stand(source: str, expected: set[str], tmp_path: Path):
    (tmp_path / "a.py").write_text(source)
    assert imports_of(tmp_path / "a.py", "vaezoo") == expected
