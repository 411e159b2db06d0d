"""A run of four trials that attacks copy and damage."""

import shutil
from pathlib import Path

import pytest

from tests.attack.damage import SECRET
from tests.bench.conftest import _fill, _plan, plan, plugins, write_variant  # noqa: F401  (fixtures)
from vaezoo.bench.plan import Plan
from vaezoo.bench.runner import run


@pytest.fixture(scope="session")
def planned_and_whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """The plan of the run, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    loose = _fill(folder / "plugins")
    made = _plan(loose, "good,other", "2", metrics=("likelihood", "quick"))
    run(made, folder / "out", jobs=1, figures=False)
    return made, folder / "out"


@pytest.fixture
def whole(planned_and_whole: tuple[Plan, Path]) -> Path:
    """Two variants × two seeds, the numbers of their test rows among what they have. Nobody may
    change it.
    """
    return planned_and_whole[1]


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run, and beside it a folder that nobody may touch."""
    secret = tmp_path / SECRET
    secret.mkdir()
    (secret / "secret.json").write_text('{"rows": {"secret": {"elbo": 7.654321}}}')
    return Path(shutil.copytree(whole, tmp_path / "out"))
