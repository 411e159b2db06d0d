"""A new variant keeps the contract before its author has written a line."""

import pytest

from vaezoo.author.check import check
from vaezoo.author.scaffold import NewError, new_variant
from vaezoo.registry.registry import load_registry


def test_a_new_file_keeps_the_contract(tmp_path):
    new_variant("my_vae", tmp_path)
    registry = load_registry(tmp_path)
    assert [p for p in registry.problems if not p.is_note] == []
    broken = [f for f in check(registry.variants["my_vae"], fast=True) if not f.passed]
    assert broken == []


def test_a_new_package_has_all_that_pip_and_pytest_need(tmp_path):
    written = new_variant("my_vae", tmp_path, package=True)
    assert sorted(str(p.relative_to(tmp_path / "vaezoo-my-vae")) for p in written) == [
        "README.md",
        "pyproject.toml",
        "tests/test_my_vae.py",
        "vaezoo_my_vae.py",
    ]
    assert 'my_vae = "vaezoo_my_vae"' in written[0].read_text()


@pytest.mark.parametrize("name", ["My", "2nd", "class", "a-b", ""])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(NewError, match="cannot be a variant's name"):
        new_variant(name, tmp_path)


def test_nothing_is_written_over(tmp_path):
    new_variant("mine", tmp_path)
    with pytest.raises(NewError, match="is there already"):
        new_variant("mine", tmp_path)
