"""`pytest tests/exact --certificates` writes vaezoo/author/certificates.json from the tests that
are marked `certifies`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from . import _certificates as certificates

# a claim on a parametrised test needs all of its cases
OUTCOMES: dict[certificates.Certificate, bool] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--certificates",
        nargs="?",
        choices=("all", "new"),
        const="all",
        help="Write vaezoo/author/certificates.json. "
        "new: run only the tests of claims that it lacks.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--certificates new`, leaves out the tests whose claims the file holds as proven."""
    if config.getoption("certificates", None) == "new":
        OUTCOMES.update(certificates.proven())
        known = [item for item in items if claims_of(item) <= OUTCOMES.keys()]
        config.hook.pytest_deselected(items=known)
        items[:] = [item for item in items if not claims_of(item) <= OUTCOMES.keys()]


def claims_of(item: pytest.Item) -> set[certificates.Certificate]:
    """What a test claims, or one case of it."""
    test = item.nodeid.partition("[")[0]
    return set(certificates.certificates_of(item.iter_markers(), test))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    # a skip or an error in the set-up proves nothing
    if report.when == "call" or not report.passed:
        for found in claims_of(item):
            OUTCOMES[found] = OUTCOMES.get(found, True) and report.passed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("certificates", None):
        return
    if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:  # nothing is new
        session.exitstatus = pytest.ExitCode.OK
    missing = certificates.marked() - OUTCOMES.keys()
    if missing:
        raise pytest.UsageError(
            f"not written: {len(missing)} marked claims were not run, such as {min(missing).test}"
        )
    certificates.FILE.write_text(certificates.as_json(OUTCOMES), encoding="utf-8")
