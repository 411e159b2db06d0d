"""`vaezoo.bench(…)`, as one types it in a notebook or a script."""

import os
import subprocess
import sys

import pytest

import vaezoo
from vaezoo.registry.selection import SelectionError

SCRIPT = """
print("once")
import vaezoo
found = vaezoo.bench("vae,beta", "digits", seeds=1, epochs=1, metrics=("cost", "likelihood"),
                     settings={"hidden": 8}, out="run", jobs=1, progress="quiet")
rows = found.tables["elbo"]
print(found.exit_code, rows.loc[rows.n_seeds > 0, "variant"].tolist())
print(rows.elbo_mean[:2].notna().all(), "beta" in found._repr_html_())
"""


def test_a_script_without_a_main_guard_runs_once_and_has_the_tables(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, env=os.environ
    )
    assert done.stdout.splitlines() == ["once", "0 ['vae', 'beta']", "True True"], done.stderr
    assert done.stderr == ""


def test_it_is_the_package_too():
    from vaezoo.bench.plan import make_plan

    assert callable(make_plan)
    assert callable(vaezoo.bench)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"variants": "no_such"}, SelectionError),
        ({"datasets": "no_such"}, SelectionError),
        ({"variants": "beta[beta=-1]"}, SelectionError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(words, error, tmp_path):
    with pytest.raises(error):
        vaezoo.bench(**words, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
