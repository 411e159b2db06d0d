"""Every tutorial runs from top to bottom, as a page and so as the notebook that is made of it."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from docs.fill.notebooks import TUTORIALS, cells_of, notebook
from vaezoo.cli import vaezoo

PAGES = sorted(TUTORIALS.glob("*.md"))
named = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
ASKED_FOR = {
    "first-table", "own-variant", "a-papers-table",
    "as-scikit-learn", "best-for-a-table", "fill-the-gaps", "outliers-in-a-series",
    "pictures-in-a-folder",
}  # fmt: skip


def test_all_tutorials_are_there_and_say_what_can_go_wrong():
    assert {page.stem for page in PAGES} >= ASKED_FOR
    for page in PAGES:
        assert "\n## What can go wrong\n" in page.read_text(encoding="utf-8"), page.name


@named
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    names: dict[str, object] = {}
    for kind, text in cells_of(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(text, page.name, "exec"), names)
        for line in text.replace("\\\n", "").splitlines() if kind == "sh" else ():
            result = CliRunner().invoke(vaezoo, shlex.split(line)[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"


@named
def test_its_notebook_is_the_page(page: Path):
    text = page.read_text(encoding="utf-8")
    stored = page.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert stored == notebook(text), "run python -m docs.fill"
    facts = json.loads(stored)
    assert (facts["nbformat"], facts["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in facts["cells"]}) == len(facts["cells"])
    code = ["".join(cell["source"]) for cell in facts["cells"] if cell["cell_type"] == "code"]
    assert len(code) == len(re.findall(r"^```(?:python|sh)$", text, re.MULTILINE))
