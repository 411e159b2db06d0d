"""Docstrings of our plugins have one shape: a line, the objective, and the paper with its title."""

import ast
import re
from pathlib import Path

import pytest

from vaezoo.registry import load_registry

OURS = {
    n: v
    for n, v in load_registry().variants.items()
    if v.plugin.distribution == "vaezoo" and n != "mix"
}
PLUGINS = sorted((Path(__file__).parent.parent / "plugins").glob("*.py"))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


@pytest.mark.parametrize("file", PLUGINS, ids=lambda file: file.stem)
def test_a_docstring_begins_with_one_line(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        doc = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        first = (doc or "").split("\n\n")[0]
        assert "\n" not in first, first


@pytest.mark.parametrize("name", OURS)
def test_the_second_paragraph_is_the_objective(name):
    objective = OURS[name].doc.split("\n\n")[1]
    assert re.match(r"[-−(Σ]|[A-Z]+ |λ |E_|Encoder|Decoder", objective), objective
    assert not objective.endswith(".") or ":" in objective, objective


@pytest.mark.parametrize("name", OURS)
def test_the_paper_has_its_title_in_quotes_and_a_year(name):
    assert re.search(r"\d{4},.* \"[^\"]{8,}\"|\d{4}, \"[^\"]{8,}\"", OURS[name].paper)
