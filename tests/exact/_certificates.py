"""Which test proves what of which variant: the marker `certifies`, and the file that `vaezoo show`
reads.

    @pytest.mark.certifies("iwae", claim="the bound rises with k and tends to log p(x)")

stands on a test, or on a case of a parametrised one. `make docs` runs the tests whose claims
are new, `make certificates` all of them. What is written depends on the tests alone, so that a
second run gives the same bytes.
"""

import importlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FILE = HERE.parent.parent / "vaezoo" / "author" / "certificates.json"


class Certificate(NamedTuple):
    """A claim on a variant, and the test that proves it."""

    variant: str
    claim: str
    # "tests/exact/test_kl.py::test_name", all cases of a parametrised test under one name
    test: str


def certificates_of(marks: Iterable[Any], test: str) -> Iterator[Certificate]:
    """What the marks on a test say."""
    for mark in marks:
        if mark.name == "certifies":
            yield from (Certificate(variant, mark.kwargs["claim"], test) for variant in mark.args)


def marked() -> set[Certificate]:
    """Everything that the marks in this folder claim."""
    found: set[Certificate] = set()
    for file in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.exact.{file.stem}")
        for name, test in vars(module).items():
            if name.startswith("test_") and isinstance(test, FunctionType):
                found.update(certificates_of(_marks(test), f"tests/exact/{file.name}::{name}"))
    return found


def _marks(test: FunctionType) -> Iterator[Any]:
    """The marks of a test and of its cases."""
    for mark in getattr(test, "pytestmark", []):
        yield mark
        if mark.name == "parametrize":
            yield from (inner for case in mark.args[1] for inner in getattr(case, "marks", ()))


def as_json(outcomes: dict[Certificate, bool]) -> str:
    """variant -> its claims in the order of their tests, each with whether its test passed."""
    table: dict[str, list[dict[str, Any]]] = {}
    for (variant, claim, test), passed in sorted(
        outcomes.items(), key=lambda item: (item[0].variant, item[0].test, item[0])
    ):
        table.setdefault(variant, []).append({"claim": claim, "test": test, "passed": passed})
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def written() -> dict[str, list[dict[str, Any]]]:
    """What the file says."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def proven() -> dict[Certificate, bool]:
    """What the file holds as proven and the marks still claim."""
    held = {
        Certificate(variant, claim["claim"], claim["test"]): True
        for variant, claims in written().items()
        for claim in claims
        if claim["passed"]
    }
    still = marked()
    return {certificate: passed for certificate, passed in held.items() if certificate in still}
