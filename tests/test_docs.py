"""The pages say what is true: their plugin files load, train and keep the contract; README's commands are CI's."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vaezoo.check import check
from vaezoo.cli import vaezoo
from vaezoo.hooks import Hooks
from vaezoo.registry import load

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FILES = re.compile(r"```python file=(\S+)\n(.*?)```", re.DOTALL)
BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINKS = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def named(pages):
    return pytest.mark.parametrize("page", pages, ids=[str(p.relative_to(ROOT)) for p in pages])


@pytest.fixture
def ideas(tmp_path):
    """A folder with every plugin file that the pages show."""
    for page in PAGES:
        for name, text in FILES.findall(page.read_text()):
            (tmp_path / name).write_text(text)
    return tmp_path


def test_every_plugin_of_the_pages_loads_and_its_variants_keep_the_contract(ideas):
    registry = load(ideas)
    assert [p for p in registry.problems if not p.is_note] == []
    shown = [v for v in registry.variants.values() if str(ideas) in v.plugin.file]
    assert {"learned", "hinge"} <= {v.name for v in shown}
    for variant in shown:
        assert [f for f in check(variant, fast=True) if not f.passed] == [], variant.name


def test_the_pages_metric_and_data_set_work_together(ideas, tmp_path):
    out = tmp_path / "out"
    words = ["bench", "--variants", "vae,hinge", "--datasets", "stripes", "--plugins-dir", str(ideas), "--epochs", "2"]
    result = CliRunner().invoke(vaezoo, [*words, "--seeds", "1", "--out", str(out), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "largest_code" in (out / "representation.csv").read_text()


@named(PAGES)
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    torch.set_num_threads(1)
    for block in BLOCKS.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


@named(PAGES)
def test_links_lead_somewhere(page):
    for target in LINKS.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_hook_has_a_page_that_shows_it():
    text = "".join(page.read_text() for page in PAGES)
    for hook in (name for name in vars(Hooks) if name.startswith("vaezoo_")):
        assert f"def {hook}()" in text, hook


def test_ci_runs_the_readmes_commands():
    readme = (ROOT / "README.md").read_text()
    for mark in ("command: bench", "command: test"):
        assert re.search(rf"<!-- {mark} -->\n```sh\n.+\n```", readme), mark
        assert mark in (ROOT / ".ci" / "run").read_text()


def test_numbers_in_the_readmes_tables_are_those_of_the_results():
    """No number is typed in: every row of a table of results stands in a file under results/."""
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|") and "±" in line]
    tables = {line for path in (ROOT / "results").rglob("*.md") for line in path.read_text().splitlines()}
    assert rows
    assert set(rows) <= tables
