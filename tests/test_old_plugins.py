"""Plugins of older pages still load and keep the contract, or the error says what to change.

`old_plugins/` holds the plugin files of README, write-a-part, write-a-variant and
examples/vaezoo-laplace as they stood before the layout of the house, unchanged.
"""

import importlib
from pathlib import Path

import pytest

from vaezoo.author.check import check
from vaezoo.evaluation import evaluate
from vaezoo.registry.guard import RENAMED
from vaezoo.registry.registry import Registry, load_registry

ROOT = Path(__file__).parent.parent
OLD = Path(__file__).parent / "old_plugins"
VARIANTS = ["held", "hinge", "laplace", "learned"]
GONE = [
    ("vaezoo.likelihoods", "HEADS"),
    ("vaezoo.networks", "NETWORKS"),
    ("vaezoo.data.data", "supports"),
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(OLD)


def test_every_old_plugin_loads(registry: Registry):
    assert registry.problems == ()
    shown = [name for name, variant in registry.variants.items() if str(OLD) in variant.plugin.file]
    assert sorted(shown) == VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_an_old_variant_keeps_the_contract(registry: Registry, name: str):
    assert [f for f in check(registry.variants[name], fast=True) if not f.passed] == []


def test_an_old_metric_and_an_old_data_set_work_together(registry: Registry):
    data = registry.datasets["stripes"].load(None, rows=50)
    model = registry.variants["learned"](data.spec)
    found = evaluate(model, data, metrics=[registry.metrics["extreme"]])
    assert found["largest_code"] > 0


@pytest.mark.parametrize(("kind", "name"), [("loss", "hinge"), ("prior", "learned_normal")])
def test_an_old_part_composes(registry: Registry, kind: str, name: str):
    (choice,) = registry.choose_variants(f"mix[{kind}={name}]")
    spec = registry.datasets["stripes"].load(None, rows=50).spec
    model = choice.entry(spec, **choice.values)
    assert type(getattr(model, kind)) is registry.parts[kind][name].build


HOOKED = "from vaezoo.hooks import hookimpl\n"  # without a hook a file is not run


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_name_is_said_with_its_new_one(tmp_path: Path, old: str):
    module, _, name = old.rpartition(".")
    (tmp_path / "older.py").write_text(f"{HOOKED}from {module} import {name}\n")
    (problem,) = load_registry(tmp_path).problems
    assert f"'{name}'" in problem.cause
    assert problem.cause.endswith(f"it is called {RENAMED[old]} now")
    assert hasattr(importlib.import_module(module), RENAMED[old])


@pytest.mark.parametrize(("module", "name"), GONE)
def test_a_name_that_is_gone_is_said_with_where_to_look(tmp_path: Path, module: str, name: str):
    (tmp_path / "older.py").write_text(f"{HOOKED}from {module} import {name}\n")
    (problem,) = load_registry(tmp_path).problems
    assert "is written for another version of vaezoo" in problem.cause
    assert f"'{name}'" in problem.cause
    assert problem.cause.endswith("CHANGELOG.md says what stands in its place")
    assert f"`{module}.{name}`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
