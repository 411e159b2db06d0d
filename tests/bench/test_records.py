"""Files that do not fit are set aside with one line, and everything else is reported."""

import gc
import json
import math
import weakref
from copy import deepcopy

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from safetensors.numpy import save_file

from tests.bench.conftest import recorded
from vaezoo.bench.manifest import MANIFEST, manifest
from vaezoo.bench.records import ControlRecord, Damaged, HistoryRecord, Record, parsed_trial
from vaezoo.bench.report import drawing
from vaezoo.bench.report.catalogue import catalogue_of
from vaezoo.bench.report.figures.material import Material
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.report import ReportError, read_rows, read_tables, report
from vaezoo.bench.shown import trial_facts
from vaezoo.bench.store import Store
from vaezoo.hooks import Figure

WHOLE = {
    "variant": "vae",
    "dataset": "digits",
    "status": "done",
    "ingredients": {
        "name": "vae",
        "seed": 0,
        "plugin": {"distribution": "", "version": "", "module": "vae", "source_hash": ""},
        "spec": {"likelihood": "bernoulli"},
        "budget": {},
        "hyperparameters": {},
        "data": {"name": "digits", "hashes": {"train": "a"}},
        "samplers": [{"label": "prior"}, {"label": "flow"}],
    },
    "metrics": {"elbo": -20.0, "nll": None},
    "reasons": {"nll": "no density"},
    "settings": {"K": 100},
    "samplers": {"flow": {"metrics": {"fid": 1.0}, "reasons": {}}},
    "best_epoch": 3,
    "controls": "controls/a.json",
    "columns": [{"name": "elbo", "unit": "nats", "better": "higher", "table": "elbo"}],
    "tables": [{"name": "elbo", "title": "ELBO"}],
}

# where in trial.json -> what somebody wrote there
FORGED = [
    ("key", "0" * 64),
    ("key", "../../../etc"),
    ("variant", 3),
    ("variant", ""),
    ("variant", "two\nlines"),
    ("dataset", None),
    ("status", "splendid"),
    ("status", ["done"]),
    ("reason", {}),
    ("controls", "../../secret.json"),
    ("controls", "controls/../../secret.json"),
    ("metrics", None),
    ("metrics", []),
    ("metrics.elbo", "-20"),
    ("metrics.elbo", True),
    ("metrics.elbo", float("nan")),
    ("metrics.elbo", float("inf")),
    ("metrics.elbo", 10**400),
    ("metrics.a/b", 1.0),
    ("reasons.nll", 5),
    ("settings.K", [1]),
    ("samplers", {}),
    ("samplers.flow", 1),
    ("best_epoch", "3"),
    ("epochs", "3"),
    ("machine", 3),
    ("evaluation_seconds", []),
    ("samplers.flow.seconds", {"samples": "fast"}),
    ("columns", {}),
    ("columns", [{"name": "../elbo", "unit": "", "better": "", "table": "elbo"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "table": "../elbo"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "sideways"}]),
    ("columns", [{"name": "elbo", "unit": "", "better": "", "digits": 10**9}]),
    ("tables", [{"name": "/tmp/elbo"}]),
    ("ingredients", []),
    ("ingredients.seed", 1),
    ("ingredients.seed", "0"),
    ("ingredients.seed", -1),
    ("ingredients.name", "../vae"),
    ("ingredients.plugin", None),
    ("ingredients.spec.likelihood", 7),
    ("ingredients.samplers", [3]),
    ("ingredients.data", "digits"),
]
TEXTS = ["", "{", "[]", "null", "3", '"done"', "[" * 100_000, '{"key": NaN}', '{"key": 1e999}']


def _write(out, name, text):
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def out(tmp_path):
    """A run with one whole trial."""
    whole = recorded(WHOLE)
    _write(tmp_path, f"trials/{whole.key}/trial.json", json.dumps(whole.to_json()))
    return tmp_path


def _must_be_set_aside(out, capsys, name):
    (table,) = (one for one in read_tables(out) if one.name == "elbo")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"{name} is set aside: " in lines[0]
    assert [len(row.done) for row in table.rows] == [1]
    assert "-20.00" in as_markdown(table)
    assert "Files that are set aside because they do not fit: 1" in as_markdown(table)


@pytest.mark.parametrize(("where", "value"), FORGED, ids=lambda one: str(one)[:30])
def test_a_forged_trial_is_set_aside_and_the_rest_reported(out, capsys, where, value):
    facts = deepcopy(recorded(WHOLE).to_json())
    *path, last = where.split(".")
    place = facts
    for step in path:
        place = place[step]
    place[last] = value
    name = f"trials/{'f' * 64}/trial.json"
    _write(out, name, json.dumps(facts))
    _must_be_set_aside(out, capsys, name)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:12])
def test_what_is_no_record_is_set_aside(out, capsys, text):
    name = f"trials/{'f' * 64}/trial.json"
    _write(out, name, text)
    _must_be_set_aside(out, capsys, name)


@pytest.mark.parametrize("text", [*TEXTS[:6], '{"trials": 3}', '{"trials": [[]]}'])
def test_a_damaged_run_json_costs_the_order_alone(out, capsys, text):
    _write(out, "run.json", text)
    _must_be_set_aside(out, capsys, "run.json")


@pytest.mark.parametrize("text", ["[]", '{"rows": 3}', '{"rows": {"a": {"elbo": "x"}}}'])
def test_damaged_control_rows_are_left_out(out, capsys, text):
    _write(out, "controls/a.json", text)
    _must_be_set_aside(out, capsys, "controls/a.json")


def test_whole_trial_under_another_key_is_set_aside(out, capsys):
    name = f"trials/{'e' * 64}/trial.json"
    _write(out, name, json.dumps(recorded(WHOLE).to_json()))
    _must_be_set_aside(out, capsys, name)


def test_a_folder_with_nothing_whole_is_one_sentence(tmp_path):
    _write(tmp_path, "trials/a/trial.json", "{")
    with pytest.raises(ReportError, match="1 files are set aside"):
        report(tmp_path, figures=False)


def test_the_key_is_that_of_the_ingredients():
    facts = recorded(WHOLE).to_json()
    assert Record.from_json(facts).to_json() == facts
    facts["ingredients"] = facts["ingredients"] | {"seed": 5}
    with pytest.raises(Damaged, match="key is not the hash"):
        Record.from_json(facts)


def _material(out):
    rows = read_rows(out)
    return rows, Material(rows, Store(out), catalogue_of(rows))


def test_learning_curves_are_read_back_as_written(tmp_path):
    epochs = [
        {"epoch": 1.0, "seconds": 0.5, "train_loss": 1e-17, "validation_loss": math.nan},
        {"epoch": 2.0, "seconds": 0.5, "train_loss": 3.25},
    ]
    names = list(epochs[0])
    lines = [HistoryRecord.line(names, row) for row in epochs]
    (tmp_path / "history.csv").write_text(",".join(names) + "\n" + "".join(lines))
    found = HistoryRecord.parsed((tmp_path / "history.csv").read_bytes())
    assert found.column("train_loss") == [(1.0, 1e-17), (2.0, 3.25)]
    assert [epoch for epoch, _ in found.column("validation_loss")] == [1.0]


@pytest.mark.parametrize("text", ["epoch,loss\n1,a\n", "epoch,loss\n1,2,3\n", "loss\n1\n"])
def test_a_damaged_history_costs_its_curve_and_is_said(out, capsys, text):
    rows, material = _material(out)
    folder = out / "trials" / rows[0].done[0].key
    (folder / "history.csv").write_text(text)
    (folder / MANIFEST).write_text(manifest(folder))
    assert material.curves(rows[0]) == []
    said = capsys.readouterr().err
    assert "history.csv is set aside: " in said
    assert MANIFEST not in said


def test_damaged_arrays_cost_their_figures_and_are_said(out, capsys):
    rows, material = _material(out)
    folder = out / "trials" / rows[0].done[0].key
    (folder / "figures.safetensors").write_bytes(b"short")
    (folder / MANIFEST).write_text(manifest(folder))
    assert material.arrays("samples") == []
    said = capsys.readouterr().err
    assert "figures.safetensors is set aside: it is no whole" in said


def test_nothing_is_drawn_that_the_manifest_does_not_name_so(out, capsys):
    """Better pictures, and a curve that ends before it rises, are whole files too."""
    rows, material = _material(out)
    mine = out / "trials" / rows[0].done[0].key
    (mine / "history.csv").write_text("epoch,validation_loss\n1,3.0\n2,4.0\n")
    (mine / MANIFEST).write_text(manifest(mine))
    assert len(material.curves(rows[0])) == 1
    save_file({"samples": np.zeros((4, 1, 8, 8), np.float32)}, mine / "figures.safetensors")
    assert material.arrays("samples") == []
    (mine / "history.csv").write_text("epoch,validation_loss\n1,3.0\n")
    assert material.curves(rows[0]) == []
    assert "cannot be read: it is not what MANIFEST.sha256 says" in str(trial_facts(mine)["curve"])
    said = capsys.readouterr().err
    assert f"figures.safetensors is set aside: {MANIFEST} does not name it" in said
    assert f"history.csv is set aside: it is not what {MANIFEST} says" in said


def test_control_rows_are_made_for_what_lacks_them_or_has_them_by_other_code():
    before = ControlRecord({"floor": {"fid": 1.0, "nll": 2.0}}, "digits", {"a": "1", "b": "1"})
    asked = {"a": "1", "b": "2", "c": "1", "d": "1"}
    assert before.lacks(asked, {"a", "b", "c"}) == {"b": "2", "c": "1"}
    after = before.with_newer({"floor": {"nll": 3.0}, "noise": {"mse": 4.0}}, asked, "digits")
    assert after.rows == {"floor": {"fid": 1.0, "nll": 3.0}, "noise": {"mse": 4.0}}
    assert after.lacks(asked, set("abcd")) == {}
    assert ControlRecord.from_json(after.to_json()) == after


def test_what_two_trials_say_alike_is_held_once():
    facts = json.dumps(recorded(WHOLE).to_json())
    a, b = (Record.from_json(json.loads(facts)) for _ in range(2))
    assert a == b
    for name in ("columns", "tables", "reasons", "settings", "machine"):
        assert getattr(a, name) is getattr(b, name)
    assert a.ingredients.stored["data"] is b.ingredients.stored["data"]
    assert a.metrics is not b.metrics


def test_a_trial_reads_as_its_json_however_it_is_written():
    facts = {
        "columns": [{"name": "elbo", "digits": 2}, {"name": "nll"}],
        "evaluation_seconds": {"budget": {"batch": 1}, "spec": 2.0},
        "ingredients": {"budget": {"batch": 2}, "data": {"spec": {"a": [1]}}, "seed": 3},
        "key": '\n "columns": [\n',
        "machine": {},
        "measures": {"likelihood": "\n }"},
        "reasons": {"columns": "no", "kl": '"tables": ['},
        "settings": {"columns": ["a"]},
        "tables": [],
    }
    for indent in (0, 1, 2, None):
        content = json.dumps(facts, indent=indent, sort_keys=True).encode()
        assert parsed_trial(content) == facts
    del facts["evaluation_seconds"]["budget"]  # which stands where that of the ingredients would
    once, again = (parsed_trial(json.dumps(facts, indent=1).encode()) for _ in range(2))
    assert once["columns"] is again["columns"]  # held once
    assert once["ingredients"]["budget"] is again["ingredients"]["budget"]


@pytest.mark.parametrize("bad", ["[\n  NaN\n ]", "[\n  1\n ]x", "{\n  1\n }", "[\n  1"])
def test_a_trial_with_a_broken_part_is_damaged(bad):
    with pytest.raises(Damaged):
        parsed_trial(f'{{\n "columns": {bad},\n "key": "a"\n}}'.encode())


def test_pages_are_drawn_one_by_one_and_let_go(out):
    """A run of a thousand trials has a hundred pages; all at once took gigabytes."""
    alive = []
    most = []

    def draw(material):
        for _ in range(5):
            gc.collect()
            most.append(sum(ref() is not None for ref in alive))
            canvas = Canvas()
            alive.append(weakref.ref(canvas))
            yield canvas

    names = drawing.draw_all(read_rows(out), Store(out), [Figure("many", draw, of="run")])
    assert names == {"many", *(f"many-{i}" for i in range(2, 6))}
    assert max(most) <= 1


def test_what_figures_leave_is_collected_while_a_report_draws(out, monkeypatch):
    seen = []

    def draw_all(*_):
        seen.append((gc.isenabled(), gc.get_freeze_count() > 0))
        return set()

    monkeypatch.setattr(drawing, "draw_all", draw_all)
    report(out)
    assert seen == [(True, True)]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
