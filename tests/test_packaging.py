"""What pip installs: the wheel holds plugins and suites, and a stranger's package is benched beside
ours.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HERE = [path for path in sys.path if path.endswith("site-packages")]


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """vaezoo's wheel, built from a copy of the tree so that nothing is left in it."""
    copy, out = tmp_path_factory.mktemp("tree") / "vaezoo", tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(
        ".git",
        ".venv",
        ".cluster",
        "*.egg-info",
        "results",
        "runs",
        "build",
        "__pycache__",
        ".*_cache",
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(copy))
    return next(out.glob("vaezoo-*.whl"))


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    """A virtual environment with vaezoo's wheel and the example package; the other libraries are
    those that are here.
    """
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    example = tmp_path_factory.mktemp("example") / "vaezoo-laplace"
    shutil.copytree(ROOT / "examples" / "vaezoo-laplace", example)
    pip(
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(wheel),
        str(example),
    )
    (site / "libraries.pth").write_text("\n".join(HERE))
    return folder


def vaezoo(clean: Path, *words: str) -> str:
    command = [str(clean / "bin" / "python"), "-m", "vaezoo", *words]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=clean,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_module_plugin_and_suite(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for source, package in (
        ("vaezoo", "vaezoo"),
        ("plugins", "vaezoo_plugins"),
        ("benchmarks/suites", "vaezoo_suites"),
    ):
        for path in (ROOT / source).rglob("*"):
            if path.suffix in (".py", ".toml", ".json", ".xz"):
                assert f"{package}/{path.relative_to(ROOT / source)}" in names
    assert not any(name.startswith(("tests/", "plugins/")) for name in names)


def test_the_wheel_is_what_runs_there(clean):
    code = "import vaezoo as a, vaezoo_plugins as b; print(a.__file__, b.__file__)"
    command = [str(clean / "bin" / "python"), "-c", code]
    where = subprocess.run(command, capture_output=True, text=True, cwd=clean).stdout.split()
    assert all(path.startswith(str(clean)) for path in where)


def test_a_foreign_package_is_benched_beside_ours(clean, tmp_path):
    words = [
        "--variants",
        "vae,laplace,mix[prior=laplace,loss=iwae]",
        "--epochs",
        "2",
        "--seeds",
        "1",
        "--metrics",
        "likelihood",
        "--no-figures",
        "--out",
        str(tmp_path),
    ]
    vaezoo(clean, "bench", *words)
    table = (tmp_path / "elbo.csv").read_text()
    for row in ("vae,", "laplace,", "mix[prior=laplace"):
        assert row in table
    assert ",done," in table
    trials = [json.loads(path.read_text()) for path in tmp_path.glob("trials/*/trial.json")]
    plugins = [trial["ingredients"]["plugin"] for trial in trials]
    assert ("vaezoo-laplace", "0.1.0") in [(p["distribution"], p["version"]) for p in plugins]
