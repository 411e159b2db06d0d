"""Folders of results as one: what fits comes together, what contradicts is named and left out."""

import json
import shutil

import pytest

from tests.attack.damage import (
    DAMAGED_FOR_MERGE,
    damages,
    facts_of,
    rekey,
    sealed,
    stored,
    trial_of,
)
from tests.attack.test_results_folder import code_of


@pytest.fixture
def two(out):
    """The run in two folders: the first three trials, and the last three."""
    a = out.rename(out.with_name("a"))
    b = shutil.copytree(a, a.with_name("b"))
    shutil.rmtree(trial_of(a, 3))
    shutil.rmtree(trial_of(b, 0))
    return a, b


def lines_of(capsys):
    found = capsys.readouterr()
    return found.err.splitlines(), found.out.splitlines()


def test_two_halves_of_a_run_are_the_run(whole, two, tmp_path, capsys):
    both = tmp_path / "both"
    assert code_of("merge", *two, "-o", both) == 0
    said, told = lines_of(capsys)
    assert (said, told) == ([], [f"4 trials of 2 folders in {both}; 0 conflicts, 0 faults"])
    assert code_of("report", both, "--no-figures") == 0
    assert (both / "elbo.csv").read_bytes() == (whole / "elbo.csv").read_bytes()
    plan = json.loads((whole / "run.json").read_text())["trials"]
    assert json.loads((both / "run.json").read_text())["trials"] == plan
    assert code_of("verify", both) == 0


def test_a_conflict_is_named_and_left_out_and_never_averaged(two, tmp_path, capsys):
    folder = trial_of(two[1], 0)  # both have it
    facts = facts_of(folder)
    facts["metrics"]["error"] = 0.5
    stored(folder, facts)
    both = tmp_path / "both"
    assert code_of("merge", *two, "-o", both) == 1
    (said,), (told,) = lines_of(capsys)
    assert said.startswith("vaezoo: conflict, left out: ")
    assert "its error is " in said
    assert "0.5" in said
    assert told.startswith("3 trials of 2 folders in ")
    assert not (both / "trials" / folder.name).exists()
    assert code_of("report", both, "--no-figures") == 0


def test_what_differs_from_run_to_run_is_no_conflict(two, tmp_path):
    """Seconds, the machine, and a trial that failed on one of two machines."""
    folder = trial_of(two[1], 0)
    facts = facts_of(folder)
    facts["metrics"]["train_seconds"] = 99.0
    facts["total_seconds"] = 100.0
    facts["machine"]["platform"] = "another"
    stored(folder, facts)
    folder = trial_of(two[1], 1)
    (folder / "rows.safetensors").unlink()
    stored(folder, facts_of(folder) | {"status": "failed", "reason": "no memory"})
    both = tmp_path / "both"
    assert code_of("merge", *two, "-o", both) == 0
    assert facts_of(both / "trials" / folder.name)["status"] == "done"


def test_another_protocol_is_left_out(two, tmp_path, capsys):
    moved = rekey(two[0], "protocol", 1)
    both = tmp_path / "both"
    assert code_of("merge", *two, "-o", both) == 1
    (said, _) = lines_of(capsys)
    assert any("stale: protocol 1" in line for line in said)
    assert not (both / "trials" / moved.name).exists()


@pytest.mark.parametrize("name", DAMAGED_FOR_MERGE)
def test_a_damaged_trial_does_not_come_along(two, tmp_path, capsys, name):
    shutil.copytree(two[0].parent / "outside", tmp_path / "x" / "outside")
    a = two[0].rename(tmp_path / "x" / "a")
    damaged = trial_of(a).name
    damages()[name](a)
    both = tmp_path / "both"
    assert code_of("merge", a, two[1], "-o", both) == 1
    said, _ = lines_of(capsys)
    assert said
    assert not (both / "trials" / damaged).exists()
    assert code_of("verify", both) == 0, capsys.readouterr().out


def test_control_rows_that_differ_are_a_conflict(two, tmp_path, capsys):
    (path,) = (two[0] / "controls").iterdir()
    facts = json.loads(path.read_text())
    row = next(iter(facts["rows"]))
    facts["rows"][row] = {name: number + 1 for name, number in facts["rows"][row].items()}
    path.write_text(json.dumps(facts))
    assert code_of("merge", *two, "-o", tmp_path / "both") == 1
    (said, _) = lines_of(capsys)
    assert any("another one than elsewhere" in line for line in said)
    assert not (tmp_path / "both" / "controls").exists()


def test_published_folders_merge_too(two, tmp_path):
    for folder in two:
        for path in folder.glob("trials/*/*"):
            if path.name not in ("trial.json", "rows.safetensors"):
                path.unlink()
    assert code_of("merge", *two, "-o", tmp_path / "both") == 0
    assert code_of("verify", tmp_path / "both") == 0


def test_a_folder_that_holds_results_is_not_written_into(two, capsys):
    before = sorted(two[1].rglob("*"))
    assert code_of("merge", two[0], "-o", two[1]) == 2
    assert "holds results already" in capsys.readouterr().err
    assert sorted(two[1].rglob("*")) == before


def test_what_nobody_can_read_is_one_sentence(two, tmp_path):
    for i in range(3):
        (trial_of(two[0], i) / "trial.json").write_text("{")
        sealed(trial_of(two[0], i))
    assert code_of("merge", two[0], "-o", tmp_path / "both") == 1
    assert not (tmp_path / "both").exists()
