"""Every variant has a certificate, every certificate a test, and the file says what the marks on
the tests say.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.exact import _certificates as certificates
from vaezoo.author.certificates import claims_of, density_of
from vaezoo.cli import vaezoo
from vaezoo.registry import registry

VARIANTS = {name: v for name, v in registry.load_registry().variants.items() if name != "mix"}


def test_the_file_is_up_to_date_with_the_marks_on_the_tests():
    """Where it is not: `make docs`."""
    said = {
        (variant, c["claim"], c["test"])
        for variant, claims in certificates.written().items()
        for c in claims
    }
    assert said == set(certificates.marked())


def test_the_file_holds_no_claim_whose_test_failed():
    assert [
        c["test"] for claims in certificates.written().values() for c in claims if not c["passed"]
    ] == []


def test_the_file_is_written_in_one_order():
    outcomes = {
        certificates.Certificate(v, c["claim"], c["test"]): c["passed"]
        for v, cs in certificates.written().items()
        for c in cs
    }
    backwards = dict(reversed(outcomes.items()))
    assert (
        certificates.as_json(outcomes)
        == certificates.as_json(backwards)
        == certificates.FILE.read_text(encoding="utf-8")
    )


def test_only_new_claims_are_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    table = certificates.written()
    table["vae"].append({"claim": "no mark says so", "test": "tests/exact/a.py::b", "passed": True})
    table["iwae"][0] |= {"passed": False}
    monkeypatch.setattr(certificates, "FILE", tmp_path / "certificates.json")
    certificates.FILE.write_text(json.dumps(table), encoding="utf-8")
    failed = certificates.Certificate("iwae", table["iwae"][0]["claim"], table["iwae"][0]["test"])
    assert certificates.marked() - certificates.proven().keys() == {failed}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_has_a_claim_of_its_own(name: str):
    claims = claims_of(VARIANTS[name])
    assert claims, f"{name}: no test in tests/exact/ is marked certifies({name!r}, claim=...)"
    assert len({claim["claim"] for claim in claims}) == len(claims)


def test_no_claim_is_on_something_that_is_no_variant():
    assert certificates.written().keys() <= VARIANTS.keys()


def test_show_says_what_is_proven_and_whether_there_is_a_density():
    shown = CliRunner().invoke(vaezoo, ["show", "iwae"]).output
    assert "has a density: yes\n" in shown
    assert "tests/exact/test_importance.py::test_iwae_bound_rises_with_k" in shown
    assert (
        "has a density: no (deterministic encoder)"
        in CliRunner().invoke(vaezoo, ["show", "ae"]).output
    )


@pytest.mark.parametrize("name", ["cb", "sigma", "vrnn", "cvae"])
def test_the_question_for_a_density_finds_data_that_the_variant_takes(name: str):
    assert density_of(VARIANTS[name]) == "yes"
