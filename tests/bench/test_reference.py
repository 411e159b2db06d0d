"""Reference rows: what they say, beside whom they stand, and that no one takes them for his own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from vaezoo.bench.records import Damaged
from vaezoo.bench.report import reference
from vaezoo.bench.report.in_full import as_csv
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.report import read_tables, refusals
from vaezoo.bench.store import Store

RESULTS = Path(__file__).parent.parent.parent / "results"
RUNS = sorted(run.parent for run in RESULTS.glob("*/run.json"))


def test_what_comes_with_the_package_is_what_results_hold_seed_by_seed():
    known = {record.key: record for record in reference.references()}
    found = {}
    for folder in RUNS:
        for key in json.loads((folder / "run.json").read_text())["trials"]:
            facts = json.loads((folder / "trials" / key / "trial.json").read_text())
            if facts["status"] == "done":
                found.setdefault(key, facts)  # two runs share a few trials
    assert known.keys() == found.keys(), "`make docs` writes the file anew"
    for key, facts in found.items():
        numbers = {name: value for name, value in facts["metrics"].items() if value is not None}
        mine = known[key]
        assert {name: mine.metrics[name] for name in numbers} == numbers
        assert mine.ingredients.stored == facts["ingredients"]


def test_the_file_is_small_and_what_is_no_such_file_is_said_to_be_none(tmp_path):
    content = Path(reference.__file__).with_name(reference.NAME).read_bytes()
    assert len(content) < 1_000_000
    for damaged in (b"", content[:-9], b"[]", reference.lzma.compress(b"[]")):
        with pytest.raises(Damaged):
            reference.unpacked(damaged)


@pytest.fixture(scope="module")
def known():
    return [r for r in reference.references() if r.dataset == "digits" and r.variant != "mix"]


def as_mine(record, name="mine", **changes):
    """The trial as another variant's."""
    return replace(record, variant=name, key=f"{name}{record.seed}", **changes)


def of(known, variant, seeds):
    return [r for r in known if r.variant == variant and r.seed in seeds]


def test_rows_made_alike_stand_beside_mine_for_the_seeds_that_i_ran(known):
    mine = [as_mine(record) for record in of(known, "vae", {0, 2})]
    found = reference.beside(mine, known)
    assert {record.seed for record in found} == {0, 2}
    assert {record.variant for record in found} == {record.variant for record in known}


def test_a_variant_that_i_ran_has_no_second_row(known):
    found = reference.beside(of(known, "vae", {0}), known)
    assert "vae" not in {record.variant for record in found}


@pytest.mark.parametrize(
    "changed",
    [
        {"budget": {"epochs": 3}},
        {"spec": {"latent": 99}},
        {"importance_samples": 7},
        {"protocol": 1},
        {"data": {"hashes": {"test": "0"}}},
        {"samplers": [{"label": "mixture"}]},
    ],
)
def test_what_was_made_otherwise_has_no_company(known, changed):
    for record in of(known, "vae", {0}):
        stored = record.ingredients.stored
        merged = {k: {**stored[k], **v} if isinstance(v, dict) else v for k, v in changed.items()}
        made_of = type(record.ingredients).from_json({**stored, **merged})
        assert reference.beside([as_mine(record, ingredients=made_of)], known) == []


def test_a_trial_that_is_not_done_has_no_company(known):
    failed = [as_mine(record, status="failed") for record in of(known, "vae", {0})]
    assert reference.beside(failed, known) == []


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory):
    """A run of one variant on the digits, two seeds, that asks for reference rows."""
    out = tmp_path_factory.mktemp("reference") / "run"
    source = Store(RESULTS / "digits")
    run = source.read_json("run.json")
    vae = [r for r in map(source.checked, run["trials"]) if r.variant == "vae" and r.seed < 2]
    for record in vae:
        shutil.copytree(source.trials / record.key, out / "trials" / record.key)
    shutil.copytree(source.out / "controls", out / "controls")
    run["trials"] = [record.key for record in vae]
    run["request"]["reference"] = True
    (out / "run.json").write_text(json.dumps(run))
    return out


def test_reference_rows_are_marked_in_every_form_and_mine_come_first(run_of_one):
    table = read_tables(run_of_one)[0]
    csv = as_csv(table).splitlines()
    assert csv[1].startswith("vae,digits,2,done")
    assert {line.split(",")[3] for line in csv[2:]} == {"reference", "control"}
    lines = [line for line in as_markdown(table).splitlines() if line.startswith("| ")]
    assert lines[1].startswith("| vae |")
    marked = [line.replace("\\[", "[").replace("\\]", "]") for line in lines[2:]]
    assert all("[1]" in line for line in marked if not line.startswith("| ("))
    assert "[1] a reference row" in as_markdown(table).replace("\n", " ")


def test_their_numbers_are_those_of_the_committed_table(run_of_one):
    here = {row.name: row for row in read_tables(run_of_one)[0].rows}
    there = {row.name: row for row in read_tables(RESULTS / "digits", quiet=True)[0].rows}
    for name in ("iwae", "vamp", "planar"):
        whole = there[name].sample("nll")
        assert here[name].sample("nll") == {seed: whole[seed] for seed in (0, 1)}


def test_what_a_reference_row_refuses_is_no_fault_of_this_run(run_of_one):
    assert refusals(read_tables(run_of_one)) == []


def test_without_being_asked_for_there_are_none(run_of_one, tmp_path):
    out = shutil.copytree(run_of_one, tmp_path / "run")
    run = json.loads((out / "run.json").read_text())
    del run["request"]["reference"]
    (out / "run.json").write_text(json.dumps(run))
    assert [row.name for row in read_tables(out)[0].rows] == ["vae"]
