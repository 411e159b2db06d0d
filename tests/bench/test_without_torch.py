"""A report reads trials and writes text: it needs neither torch nor a plugin."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from vaezoo.bench.report import catalogue
from vaezoo.bench.report.known import Known
from vaezoo.registry.registry import load_registry

RESULTS = Path(__file__).parents[2] / "results"


def test_what_our_metrics_say_is_kept_as_they_say_it():
    kept = catalogue.OURS.read_text(encoding="utf-8")
    assert kept == catalogue.written_by_ours(), "metrics.json is stale: run `make docs`"


def test_what_is_known_of_plugins_is_the_same_after_it_was_kept():
    known = Known.of(load_registry())
    assert Known.from_json(json.loads(json.dumps(known.to_json()))) == known
    assert known.variants["mix"].source_hash is None  # its files depend on its parts


def test_a_second_report_loads_neither_torch_nor_plugins_and_writes_the_same(tmp_path):
    out = tmp_path / "miwae"
    shutil.copytree(RESULTS / "miwae", out)
    # in processes of their own, that have one search path: what is imported here would be kept
    program = f"""
import sys
sys.path[:] = {sys.path!r}
from vaezoo.cli import vaezoo
try:
    vaezoo(["report", "--no-figures", {str(out)!r}])
finally:
    loaded = {{"torch", "pandas", "sklearn", "vaezoo_plugins"}} & set(sys.modules)
    assert not loaded or sys.argv[1] == "first", loaded
"""

    def run(which: str) -> bytes:
        subprocess.run([sys.executable, "-c", program, which], check=True, capture_output=True)
        return (out / "report.html").read_bytes()

    assert run("first") == run("second")
