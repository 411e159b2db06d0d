"""A new file works before its author has written a line."""

import os
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from vaezoo.author.check import check
from vaezoo.author.scaffold import KINDS, NewError, new_file, template
from vaezoo.bench.plan import Request, make_plan
from vaezoo.bench.runner import run
from vaezoo.bench.store import Store
from vaezoo.bench.workers.probe import InProcess
from vaezoo.bench.workers.processes import Places
from vaezoo.cli import vaezoo
from vaezoo.core import Spec
from vaezoo.likelihoods import head
from vaezoo.networks import Read, Write
from vaezoo.registry.registry import load_registry

NAME = "my_own"


def registry_with(kind, folder):
    new_file(kind, NAME, folder, registry=load_registry())
    registry = load_registry(folder)
    assert [p for p in registry.problems if not p.is_note] == []
    return registry


@pytest.mark.parametrize("kind", ["variant", "prior"])
def test_a_new_variant_keeps_the_contract(kind, tmp_path):
    registry = registry_with(kind, tmp_path)
    broken = [f for f in check(registry.variants[NAME], fast=True) if not f.passed]
    assert broken == []
    assert NAME in registry.parts["prior" if kind == "prior" else "loss"]


def test_a_new_likelihood_is_a_density_and_a_new_network_learns(tmp_path):
    registry = registry_with("likelihood", tmp_path / "a")
    assert NAME in registry.parts["likelihood"]
    px = head(Spec((3,), NAME)).each(torch.zeros(1, 1, 3, dtype=torch.double))
    x = torch.linspace(-40, 40, 80_001, dtype=torch.double)[:, None, None, None]
    total = torch.trapezoid(px.log_prob(x).exp()[:, 0, 0, 0], x[:, 0, 0, 0])
    assert float(total) == pytest.approx(1, abs=1e-6)

    registry = registry_with("network", tmp_path / "b")
    assert NAME in registry.parts["network"]
    spec = Spec((1, 4, 4), network=NAME, hidden=8, latent=2)
    assert Read(spec, 5)(torch.rand(6, 1, 4, 4)).shape == (6, 5)
    assert Write(spec)(torch.rand(2, 6, 2)).mean.shape == (2, 6, 1, 4, 4)


def test_a_new_data_set_a_metric_and_a_figure_make_a_table(tmp_path):
    folder = tmp_path / "plugins"
    for kind in ("dataset", "metric", "figure"):
        new_file(kind, f"my_{kind}", folder, registry=load_registry())
    asked = Request("vae", "my_dataset", "1", {"epochs": 1}, metrics=("my_metric",))
    places = Places(str(folder), (), True)
    plan = make_plan(load_registry(folder), asked, source=places, probe=InProcess())
    summary = run(plan, tmp_path / "out", jobs=1)
    assert (summary.exit_code, summary.errors) == (0, [])
    (record,) = Store(tmp_path / "out").records()[0]
    assert record.metrics["my_metric"] > 0
    assert "my_metric" in (tmp_path / "out" / "representation.csv").read_text()
    assert list((tmp_path / "out" / "figures").glob("my_figure*.png"))


def outcome_of(kind, folder):
    """Writes a new plugin of this kind, and runs the test that came with it."""
    new_file(kind, f"my_{kind}", folder, registry=load_registry())
    env = {**os.environ, "VAEZOO_CACHE": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "."]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_the_tests_that_come_with_small_parts_pass_side_by_side(tmp_path):
    for kind in ("network", "likelihood", "dataset", "metric"):
        new_file(kind, f"my_{kind}", tmp_path)
    done = outcome_of("figure", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["variant", "prior", "loss"])
def test_the_test_that_comes_with_a_variant_passes(kind, tmp_path):
    done = outcome_of(kind, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["network", "likelihood", "metric", "figure"])
def test_check_says_what_a_file_of_another_kind_brings(kind, tmp_path):
    file, _ = new_file(kind, f"my_{kind}", tmp_path)
    result = CliRunner().invoke(vaezoo, ["check", str(file)])
    assert result.exit_code == 0, result.output
    assert f"brings the {kind} my_{kind};" in result.output


def test_a_new_package_has_all_that_pip_and_pytest_need(tmp_path):
    written = new_file("variant", "my_vae", tmp_path, package=True)
    assert sorted(str(p.relative_to(tmp_path / "vaezoo-my-vae")) for p in written) == [
        "README.md",
        "pyproject.toml",
        "tests/test_my_vae.py",
        "vaezoo_my_vae.py",
    ]
    assert 'my_vae = "vaezoo_my_vae"' in written[0].read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_template_s_own_name_is_left(kind):
    assert "newcomer" not in template(kind, "fresh").lower()
    assert "fresh" in template(kind, "fresh")


@pytest.mark.parametrize("name", ["My", "2nd", "class", "a-b", ""])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(NewError, match="cannot be the name of a variant"):
        new_file("variant", name, tmp_path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("variant", "beta"),
        ("loss", "iwae"),
        ("prior", "vamp"),
        ("likelihood", "poisson"),
        ("network", "conv"),
        ("dataset", "digits"),
        ("metric", "likelihood"),
        ("figure", "samples"),
    ],
)
def test_a_name_that_is_taken_is_refused(tmp_path, kind, name):
    with pytest.raises(NewError, match=f"there is a {kind} called '{name}' already"):
        new_file(kind, name, tmp_path, registry=load_registry())
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path):
    new_file("variant", "mine", tmp_path)
    with pytest.raises(NewError, match="is there already"):
        new_file("metric", "mine", tmp_path)
