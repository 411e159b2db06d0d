"""What `list` and `show` keep between two commands is never older than what it was made from."""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from vaezoo.cli import remembered as module, vaezoo
from vaezoo.cli.remembered import remembered

PLUGIN = '''"""A plugin."""
from vaezoo.core import Unsupported
from vaezoo.hooks import hookimpl


def other(spec):
    """{line}"""
    raise Unsupported("it is only listed")


@hookimpl
def vaezoo_variants():
    return [other]
'''


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own; and this process begins after all that the test writes."""
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "STARTED", time.time_ns() + 10**12)
    return tmp_path / "cache"


class Counted:
    """Gives how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, registry: object) -> int:
        self.calls += 1
        return self.calls


def listed(folder: Path) -> str:
    words = ["list", "variants", "-q", "other", "--plugins-dir", str(folder)]
    return CliRunner().invoke(vaezoo, words, catch_exceptions=False).stdout


def test_an_edited_plugin_shows_its_new_line(tmp_path: Path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    for line in ("The first line.", "Another line."):
        (plugins / "other.py").write_text(PLUGIN.format(line=line))
        assert line in listed(plugins)  # made
        assert line in listed(plugins)  # kept
    (plugins / "other.py").unlink()
    assert listed(plugins) == "none\n"


def test_an_answer_is_made_once_and_again_when_a_module_of_the_user_s_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    helper = tmp_path / "a_helper_of_plugins.py"
    helper.write_text("words = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(helper.stem)
    make = Counted()
    assert [remembered("count", None, make) for _ in range(3)] == [1, 1, 1]
    helper.write_text("words = 2")
    assert [remembered("count", None, make) for _ in range(2)] == [2, 2]
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "19")
    assert remembered("count", None, make) == 3


def test_what_changed_after_the_start_of_the_process_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "STARTED", 0)
    make = Counted()
    assert [remembered("count", None, make) for _ in range(2)] == [1, 2]


def test_where_a_plugin_has_a_problem_nothing_is_kept(tmp_path: Path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    broken = "import a_package_that_nobody_has\nfrom vaezoo.hooks import hookimpl\n"
    (plugins / "broken.py").write_text(broken)
    make = Counted()
    assert [remembered("count", plugins, make) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"roots": [], "digest": "old", "answer": 9}'])
def test_a_damaged_or_old_file_is_made_again(cache: Path, damage: str):
    make = Counted()
    remembered("count", None, make)
    (kept,) = (cache / "described").iterdir()
    kept.write_text(damage)
    assert [remembered("count", None, make) for _ in range(2)] == [2, 2]


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "file"))
    make = Counted()
    assert [remembered("count", None, make) for _ in range(2)] == [1, 2]
    assert (tmp_path / "file").read_text() == ""


def test_what_is_kept_is_read_without_torch():
    """A second process with the same search path prints the same and imports neither torch nor a
    plugin.
    """
    words = ["list", "variants", "--json"]
    first = CliRunner().invoke(vaezoo, words, catch_exceptions=False).stdout
    program = f"""
import sys
sys.path[:] = {sys.path!r}
from vaezoo.cli import vaezoo
try:
    vaezoo({words!r})
finally:
    heavy = {{"torch", "numpy", "scipy", "pandas", "sklearn", "vaezoo_plugins"}}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    second = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True
    )
    assert second.stderr == "[]\n"
    assert second.stdout == first
    assert json.loads(first)
