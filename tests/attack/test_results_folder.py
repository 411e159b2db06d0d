"""A folder of results is data from strangers: whatever is in it, a report ends with tables or one
sentence, reads and writes nothing outside, and shows no number that does not fit.
"""

import csv
import json
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.damage import damages
from vaezoo.cli import vaezoo

PATIENCE = 8  # seconds after which a report hangs
TRIALS = 4
MEMORY = 2**30  # bytes that it may take beyond what is taken
DAMAGES = damages()


class Hangs(BaseException):
    """A verb that does not end."""


@contextmanager
def in_time():
    def ring(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    memory = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    signal.alarm(PATIENCE)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, memory[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def code_of(*words: object) -> int:
    """The exit code of a verb, called here."""
    with in_time(), pytest.raises(SystemExit) as ended:
        vaezoo.main([str(word) for word in words])
    return ended.value.code


def content_of(folder: Path) -> dict[str, bytes | str]:
    """Every file below and beside the results, but not theirs."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if (folder / "out") not in (path, *path.parents):
            found[str(path)] = path.read_bytes() if path.is_file() else "folder"
    return found


def means_of(out: Path) -> dict[tuple[str, int], str]:
    """(row, n) -> its ELBO, as elbo.csv has it; empty where there is no such file."""
    path = out / "elbo.csv"
    if not path.is_file() or path.is_symlink():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["status"] != "control"]
    return {(line["variant"], int(line["n_seeds"])): line["elbo_mean"] for line in lines}


def possible(whole: Path) -> set[str]:
    """Every ELBO that a table of some of the trials may have."""
    found = {""}
    by_row: dict[str, list[float]] = {}
    for path in whole.glob("trials/*/trial.json"):
        facts = json.loads(path.read_bytes())
        by_row.setdefault(facts["variant"], []).append(facts["metrics"]["elbo"])
    for numbers in by_row.values():
        found |= {repr(number) for number in numbers}
        found |= {repr(sum(order) / 2) for order in (numbers, numbers[::-1])}
    return found


def must_bear(
    whole: Path, out: Path, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    outside = content_of(out.parent)
    code = code_of(*words)
    said = "".join(capsys.readouterr())
    assert code in (0, 1, 2), said
    assert "Traceback" not in said
    assert "internal error" not in said
    assert "\x1b" not in said
    assert content_of(out.parent) == outside
    if code == 2:  # one sentence, and no table
        return code, said
    means = means_of(out)
    assert set(means.values()) <= possible(whole)
    if sum(n for _, n in means) < TRIALS:
        assert "is set aside: " in said
        assert "do not fit: " in (out / "elbo.md").read_text(encoding="utf-8")
    return code, said


@pytest.mark.parametrize("name", DAMAGES)
def test_a_report_bears_a_damaged_folder(whole, out, capsys, name):
    DAMAGES[name](out)
    must_bear(whole, out, capsys, "report", out, "--no-figures")
