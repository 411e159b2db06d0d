"""A folder of results is data from strangers: whatever is in it, a report ends with tables or one
sentence, reads and writes nothing outside, and shows no number that does not fit.
"""

import csv
import json
import resource
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.damage import change, damages, facts_of, rekey, stored, trial_of
from vaezoo.bench.price import known_trials
from vaezoo.bench.runner import run
from vaezoo.bench.store import StoreError
from vaezoo.bench.verify import verify as verified
from vaezoo.cli import vaezoo

PATIENCE = 60  # seconds after which a report hangs
TRIALS = 4
MEMORY = 2**30  # bytes that it may take beyond what is taken
DAMAGES = damages()
HARMLESS = {f"{name} is missing" for name in ("elbo.csv", "elbo.md", "elbo.tex", "figures")}
HARMLESS |= {"figures is a folder", "history.csv: huge epochs"}


class Hangs(BaseException):
    """A verb that does not end."""


@contextmanager
def in_time(memory: bool = True):
    def ring(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    limit = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    signal.alarm(PATIENCE)
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
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


def means_of(out: Path) -> list[tuple[int, str]]:
    """n and ELBO of each row, as elbo.csv has them; empty where there is no such file."""
    path = out / "elbo.csv"
    if not path.is_file() or path.is_symlink():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["status"] != "control"]
    return [(int(line["n_seeds"]), line["elbo_mean"]) for line in lines]


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
    whole: Path | None, out: Path, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    outside = content_of(out.parent)
    code = code_of(*words)
    said = "".join(capsys.readouterr())
    assert code in (0, 1, 2), said
    assert "Traceback" not in said
    assert "internal error" not in said
    assert "\x1b" not in said
    assert content_of(out.parent) == outside
    if code == 2 or words[0] != "report":  # one sentence, and no table
        return code, said
    means = means_of(out)
    assert whole is None or {mean for _, mean in means} <= possible(whole)
    if sum(n for n, _ in means) < TRIALS:
        assert "is set aside: " in said
        assert "do not fit: " in (out / "elbo.md").read_text(encoding="utf-8")
    return code, said


# one in seven at every run, all of them where there is time
PARAMETERS = [
    name if i % 7 == 0 else pytest.param(name, marks=pytest.mark.slow)
    for i, name in enumerate(DAMAGES)
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_report_bears_a_damaged_folder_and_verify_names_the_damage(whole, out, capsys, name):
    DAMAGES[name](out)
    code, said = must_bear(whole, out, capsys, "verify", out)
    if name not in HARMLESS:
        assert code in (1, 2)
        assert "all well" not in said
    must_bear(whole, out, capsys, "report", out, "--no-figures")


def test_verify_says_that_all_is_well(whole, capsys):
    assert code_of("verify", whole) == 0
    assert capsys.readouterr().out == "all well: 4 trials\n"


def test_verify_says_each_fault_on_a_line_and_counts_them(out, capsys):
    for damage in ("an ELBO is edited", "history.csv: cut off", "run.json: a list"):
        DAMAGES[damage](out)
    assert code_of("verify", out) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"{len(lines)} faults; 4 trials"
    assert any(line.startswith("run.json: ") for line in lines)


def test_verify_says_what_a_report_cannot_see(out, capsys):
    """A seed that is a copy of another, rows of another protocol, control rows of other data."""
    folder = trial_of(out)
    copy = shutil.copytree(folder, out / "copy")
    rekey(out, "seed", 77)
    copy.rename(folder)
    folder = trial_of(out, 1)
    facts = facts_of(folder)
    stored(folder, facts | {"controls": "controls/other.json"})
    assert code_of("verify", out, "--json") == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert any("to the last digit" in one["fault"] for one in faults)
    assert any("are those of other data" in one["fault"] for one in faults)


def test_a_stale_trial_is_shown_and_not_ranked(out, capsys):
    for _ in range(3):  # most of the trials
        rekey(out, "protocol", 1)
    code = must_bear(None, out, capsys, "report", out, "--no-figures")[0]
    assert code == 0
    text = (out / "elbo.md").read_text(encoding="utf-8")
    assert "stale: protocol 1, and this version's is" in text
    assert "**" not in text
    assert "protocol=1" in text
    assert code_of("verify", out) == 1
    assert "stale: protocol 1" in capsys.readouterr().out


def test_a_folder_of_stale_trials_alone_is_reported(out, capsys):
    for _ in range(4):
        rekey(out, "protocol", 1)
    assert must_bear(None, out, capsys, "report", out)[0] == 0
    assert must_bear(None, out, capsys, "rank", out)[0] in (0, 2)


def test_machines_that_differ_are_said_under_the_table(out, capsys):
    folder = trial_of(out)
    facts = facts_of(folder)
    facts["machine"]["platform"] = "Plan9 mips"
    stored(folder, facts)
    assert must_bear(None, out, capsys, "report", out, "--no-figures")[0] == 0
    assert "were made on 2 machines" in (out / "elbo.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["history.csv: huge epochs", "history.csv is a FIFO", "figures.safetensors: cut off"]
)
def test_figures_bear_damaged_curves_and_arrays(whole, out, capsys, name):
    DAMAGES[name](out)
    must_bear(whole, out, capsys, "report", out)


MENDED = [
    "run.json: a list",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "run.json is a FIFO",
            "trial.json is a FIFO",
            "trial.json is a folder",
            "trial.json: 100,000 objects",
            "MANIFEST.sha256 is a link without end",
            "rows.safetensors has 2 TB",
            "controls/* is a FIFO",
            "controls/* is a link that leads out",
            "an ELBO is edited and the manifest deleted",
            "an ELBO is edited, the manifest fits, its rows do not",
            "two trials are swapped",
            "history.csv is a FIFO",
        )
    ),
]


@pytest.mark.parametrize("name", MENDED)
def test_a_run_into_a_damaged_folder_makes_it_whole_again(planned_and_whole, out, capsys, name):
    made, _ = planned_and_whole
    DAMAGES[name](out)
    with in_time(memory=False):
        summary = run(made, out, jobs=1, figures=False)
    said = capsys.readouterr()
    assert summary.exit_code == 0, said
    assert "Traceback" not in said.err
    assert verified(out).faults == ()


def test_a_run_writes_through_no_link_in_the_place_of_trials(planned_and_whole, out):
    DAMAGES["trials is a link to a whole folder outside"](out)
    outside = content_of(out.parent)
    with pytest.raises(StoreError, match="links inside a folder of results are not followed"):
        run(planned_and_whole[0], out, jobs=1, figures=False)
    assert content_of(out.parent) == outside


def test_a_run_writes_through_no_link_in_the_place_of_control_rows(planned_and_whole, out):
    DAMAGES["controls is a link to a whole folder outside"](out)
    outside = content_of(out.parent)
    summary = run(planned_and_whole[0], out, jobs=1, figures=False)
    assert "links inside a folder of results are not followed" in summary.errors[0]
    assert content_of(out.parent) == outside


LINKS = ("trials is a link to a whole folder outside", "figures.safetensors is a link to nothing")


@pytest.mark.parametrize("name", LINKS)
def test_prices_bear_a_damaged_run_beside(out, name, monkeypatch):
    """What trials took is read in every folder of results here."""
    DAMAGES[name](out)
    results = out.parent / "results"
    results.mkdir()
    out.rename(results / "damaged")
    monkeypatch.chdir(out.parent)
    known_trials(out.parent / "new")


def test_a_reason_of_millions_of_letters_is_set_aside(whole, out, capsys):
    change(out, "reasons", {"nll": "x" * 3_000_000})
    must_bear(whole, out, capsys, "report", out, "--no-figures")
    assert must_bear(whole, out, capsys, "report", out, "--no-figures", "--json")[0] == 0


def test_of_thousands_of_odd_files_a_hundred_are_named_and_all_are_counted(whole, out, capsys):
    for i in range(1000):
        (out / "trials" / f"odd-{i}").touch()
    _, said = must_bear(whole, out, capsys, "report", out, "--no-figures")
    assert said.count("is set aside: ") == 100
    assert "and 900 more like these" in said
