"""`pytest tests/exact --certificates` writes vaezoo/author/certificates.json from the tests that
are marked `certifies`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from . import _certificates as certificates

OUTCOMES: dict[
    certificates.Certificate, bool
] = {}  # a claim on a parametrised test needs all of its cases


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--certificates", action="store_true", help="Write vaezoo/author/certificates.json."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    if (
        report.when == "call" or not report.passed
    ):  # a skip or an error in the set-up proves nothing
        test = item.nodeid.partition("[")[0]
        for found in certificates.certificates_of(item.iter_markers(), test):
            OUTCOMES[found] = OUTCOMES.get(found, True) and report.passed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("certificates", False):
        return
    missing = certificates.marked() - OUTCOMES.keys()
    if missing:
        raise pytest.UsageError(
            f"not written: {len(missing)} marked claims were not run, such as {min(missing).test}"
        )
    certificates.FILE.write_text(certificates.as_json(OUTCOMES), encoding="utf-8")
