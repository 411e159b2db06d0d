"""The pages say what is true: their plugin files load, train and keep the contract; README's
commands are CI's.
"""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from docs.fill.blocks import pattern
from docs.fill.results import (
    RESULTS,
    SHOWN,
    SUITE,
    TABLES,
    cells_of,
    line_of,
    lines_of,
    with_columns,
)
from vaezoo.author.check import check
from vaezoo.bench.store import FINAL
from vaezoo.cli import vaezoo
from vaezoo.hooks import Hooks
from vaezoo.registry.registry import load_registry

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FILES = re.compile(r"```python file=(\S+)\n(.*?)```", re.DOTALL)
BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)
CODE = re.compile(r"```.*?```", re.DOTALL)
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
    registry = load_registry(ideas)
    assert [p for p in registry.problems if not p.is_note] == []
    shown = [v for v in registry.variants.values() if str(ideas) in v.plugin.file]
    assert {"learned", "hinge"} <= {v.name for v in shown}
    for variant in shown:
        assert [f for f in check(variant, fast=True) if not f.passed] == [], variant.name


def bench(out, *words):
    """The folder that `vaezoo bench` wrote."""
    given = ["bench", *words, "--epochs", "2", "--seeds", "1", "--out", str(out), "--jobs", "1"]
    result = CliRunner().invoke(vaezoo, given)
    assert result.exit_code == 0, result.output
    return out


def numbers(out):
    """The largest code of each row of a run."""
    with (out / "representation.csv").open(encoding="utf-8") as file:
        return [float(row["largest_code_mean"]) for row in csv.DictReader(file)]


def test_the_pages_data_set_metric_network_figure_and_executor_work_together(ideas, tmp_path):
    """The executor gives the numbers of `local`, and neither leaves an unfinished trial."""
    words = (
        "--variants hinge --datasets stripes --set network=shallow "
        "--metrics likelihood,extreme,cost --plugins-dir"
    )
    given = [*words.split(), str(ideas)]
    out = bench(tmp_path / "out", *given, "--executor", "fresh", "--log", "lines")
    local = bench(tmp_path / "local", *given, "--no-figures")
    assert numbers(out) == numbers(local)
    for folder in (out, local):
        assert len(list(folder.glob("trials/*/trial.json"))) == 1
        assert not list(folder.glob("trials/.*"))
    (lines,) = (out / "lines").iterdir()
    assert [line.partition(":")[0] for line in lines.read_text().splitlines()] == ["1", "2", "done"]
    assert (out / "figures" / "costs-stripes.png").is_file()
    (trial,) = (out / "trials").glob("*/trial.json")
    assert json.loads(trial.read_text())["ingredients"]["spec"]["network"] == "shallow"


def test_the_pages_likelihood_is_used_with_its_option(ideas, tmp_path):
    words = "--variants vae --datasets gaussian --metrics likelihood --no-figures --set"
    said = "likelihood=laplace[scale=0.5]"
    out = bench(tmp_path / "out", *words.split(), said, "--plugins-dir", str(ideas))
    assert "laplace[scale=0.5]" in (out / "elbo.csv").read_text()


# what runs with its commands, see test_tutorials.py
TUTORIALS = set((ROOT / "docs" / "tutorials").glob("*.md"))


@named([page for page in PAGES if page not in TUTORIALS])
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    torch.set_num_threads(1)
    for block in BLOCKS.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


@named(PAGES)
def test_links_lead_somewhere(page):
    for target in LINKS.findall(CODE.sub("", page.read_text())):
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


def rows_with_numbers(page):
    """Rows of results, but for the board and for tables of which some columns were copied:
    test_pages.py holds these as a whole.
    """
    text = page.read_text()
    for written in ("table", "across", "board"):
        text = pattern(written).sub("", text)
    return [line for line in text.splitlines() if line.startswith("|") and "±" in line]


def lines_of_results():
    """Every row of results/digits, whole and in the columns that pages show."""
    lines = set()
    for path in (ROOT / "results").rglob("*.md"):
        lines.update(path.read_text().splitlines())
    for name in TABLES:
        table = [line for line in lines_of(RESULTS / SUITE / name) if line.startswith("|")]
        lines.update(map(line_of, with_columns([cells_of(line) for line in table], list(SHOWN))))
    return lines


def test_numbers_in_the_readmes_tables_are_those_of_the_results():
    """No number is typed in: every row of a table of results stands in a file under results/."""
    rows = rows_with_numbers(ROOT / "README.md")
    assert rows
    assert set(rows) <= lines_of_results()


@named(PAGES)
def test_numbers_in_the_tables_of_the_pages_are_those_of_the_results(page):
    assert set(rows_with_numbers(page)) <= lines_of_results()


def verbs(group=vaezoo, before=()):
    """(words of the verb, its command)."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, (*before, name))
        else:
            yield (*before, name), command


def test_every_verb_has_an_example_and_every_option_is_mentioned():
    text = (ROOT / "docs" / "command-line.md").read_text()
    for words, command in verbs():
        assert re.search(rf"^vaezoo {' '.join(words)}\b", text, re.MULTILINE), words
        for option in (o for p in command.params for o in p.opts if o.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), f"{words}: {option}"


def test_the_examples_of_the_command_line_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    text = (ROOT / "docs" / "command-line.md").read_text()
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.replace("\\\n", "").splitlines()
    ]
    assert len(lines) > 12
    for line in lines:
        result = CliRunner().invoke(vaezoo, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_the_page_of_own_data_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    text = (ROOT / "docs" / "your-data.md").read_text()
    for kind, block in re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL):
        if kind == "python":
            exec(compile(block, "your-data.md", "exec"), {})
            continue
        for line in block.replace("\\\n", "").splitlines():
            result = CliRunner().invoke(vaezoo, shlex.split(line)[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"
    codes, scores, full = (
        [line.split(",") for line in Path(f"{name}.csv").read_text().splitlines()]
        for name in ("codes", "scores", "full")
    )
    assert codes[0] == ["label", "z0_0", "z0_1"]
    assert scores[0] == ["label", "log_p", "share_below", "is_outlier"]
    assert sum(row[-1] == "True" for row in scores) == 9
    assert len(codes) == len(scores) == len(full) == 179
    assert not any("" in row for row in full)


def test_the_protocols_page_names_every_key_of_a_trial_and_every_status(tmp_path):
    out, page = tmp_path / "out", (ROOT / "docs" / "protocol.md").read_text()
    words = (
        "bench --variants vae --seeds 1 --epochs 1 --metrics likelihood "
        "--importance-samples 2 --jobs 1 --no-figures"
    )
    result = CliRunner().invoke(vaezoo, [*words.split(), "--out", str(out)])
    assert result.exit_code == 0, result.output
    (file,) = out.glob("trials/*/trial.json")
    record = json.loads(file.read_text())
    for key in [*record, *record["ingredients"], *FINAL, "failed", "timeout", "oom", "cancelled"]:
        assert f"`{key}`" in page, key
    for name in (path.name for path in file.parent.iterdir()):
        assert name in page, name
    head = (out / "elbo.csv").read_text().splitlines()[0].split(",")
    assert "`variant, dataset, n_seeds, status, likelihood, settings`" in page
    assert head[:6] == ["variant", "dataset", "n_seeds", "status", "likelihood", "settings"]
    assert head[-4:] == ["parameters", "train_seconds", "at_limit", "reason"]
