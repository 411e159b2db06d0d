"""Every name that a package hands on is there."""

import importlib
from pathlib import Path

import pytest

import vaezoo

ROOT = Path(__file__).parent.parent / "vaezoo"
STUBS = sorted(ROOT.rglob("__init__.pyi"))


def package_of(stub: Path):
    return importlib.import_module(".".join(stub.relative_to(ROOT.parent).parent.parts))


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.parent.name)
def test_every_name_that_a_package_hands_on_is_there(stub):
    package = package_of(stub)
    assert package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("name", ["no_such_name", "Speck"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=name):
        getattr(vaezoo, name)
