"""Hunts over what lies in a folder of results: it was written by anyone."""

import csv
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, strategies as st
from safetensors.numpy import save as stored_arrays

from tests.attack.hunts.words import (
    edited,
    must_be_sentence,
    mutated,
    numbers,
    texts,
    values,
)
from tests.bench.test_tables import trial
from vaezoo.bench.manifest import MANIFEST, listed_in, manifest
from vaezoo.bench.records import (
    ControlRecord,
    Damaged,
    HistoryRecord,
    ProgressRecord,
    Record,
    RowRecord,
    RunRecord,
    arrays_of,
    parsed_trial,
)
from vaezoo.bench.records.parsing import parsed_text
from vaezoo.bench.report.in_full import as_csv
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.report.tables import tables_of
from vaezoo.bench.store import to_json
from vaezoo.core import Spec
from vaezoo.data import sealed
from vaezoo.registry.registry import load_registry
from vaezoo.training import checkpoint, header

FOLDER = Path(tempfile.mkdtemp(prefix="hunt-"))
TRIAL = json.loads(to_json(trial("vae", 0, -20.5) | {"key": ""}))
COLUMN = {"name": "elbo", "unit": "nats", "better": "higher", "table": "elbo"}
TRIAL["columns"] = [COLUMN]
TRIAL["tables"] = [{"name": "elbo"}]


def keyed(facts):
    """The facts with the key of their ingredients, as a careful forger writes it."""
    try:
        from vaezoo.bench.records import Ingredients

        return facts | {"key": Ingredients.from_json(facts["ingredients"]).key}
    except (Damaged, KeyError, TypeError, ValueError, AttributeError):
        return facts


@given(edited(TRIAL).map(keyed))
def test_a_trial_is_refused_or_says_what_it_said_and_stands_in_a_table(facts):
    text = to_json(facts).encode("utf-8", "surrogatepass")
    try:
        record = Record.from_json(parsed_trial(text))
    except Damaged as error:
        must_be_sentence(error)
        return
    again = Record.from_json(parsed_trial(to_json(record.to_json()).encode()))
    assert to_json(again.to_json()) == to_json(record.to_json())
    for table in tables_of(rows_of([record])):
        lines = list(csv.reader(io.StringIO(as_csv(table))))
        assert {len(line) for line in lines} == {len(lines[0])}
        assert "\x1b" not in as_markdown(table)


PARTS = st.sampled_from([
    '\n "columns": [\n {"a": 1}\n ]', '\n "columns": null', '\n "machine": {\n "a": []\n }',
    '\n "\\u0063olumns": null', '"reasons": {}', '\n "reasons": {\n }', '\n "measures": [\n 1\n ]',
    "1", "{", "}", "[", "]", ",", "NaN", "1e999", "-0", '"a": 1', '"columns": 3', "null", " ",
])  # fmt: skip


@given(
    st.one_of(
        st.lists(PARTS, max_size=5).map(lambda parts: f"{{{','.join(parts)}\n}}"),
        st.lists(PARTS, max_size=7).map("".join),
        values.map(lambda value: json.dumps(value, indent=1)),
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_a_trial_in_pieces_is_what_it_is_as_a_whole(content):
    def read(call):
        try:
            return json.dumps(call(content), sort_keys=True)
        except Damaged as error:
            must_be_sentence(error)
            return "damaged"

    assert read(parsed_trial) == read(parsed_text)


RUN = {
    "trials": ["0" * 64], "timestamps": {"first_started": "2026-01-31T12:00:00Z"}, "protocol": 3,
    "command": "vaezoo bench", "request": {"variants": "vae", "set": {"latent": [1, 2]}},
    "columns": {"elbo": COLUMN}, "versions": {"torch": "2.6"}, "machine": {"torch": "2.6"},
    "sweeps": {"latent": [4]},
}  # fmt: skip


@given(edited(RUN))
def test_a_run_is_refused_or_says_what_it_said(facts):
    try:
        run = RunRecord.from_json(facts)
    except Damaged as error:
        must_be_sentence(error)
        return
    again = RunRecord.from_json(json.loads(json.dumps(run.to_json())))
    assert to_json(again.to_json()) == to_json(run.to_json())
    assert all(isinstance(key, str) for key in run.trials)
    assert all(isinstance(each, list) for each in run.sweeps.values())


PROGRESS = {"epoch": 3, "loss": 1.5, "stage": "evaluation"}
CONTROLS = {
    "rows": {"mean": {"mse": 0.5}, "noise": {}}, "dataset": "digits", "measures": {"m": "0" * 64},
}  # fmt: skip


@given(edited(PROGRESS), edited(CONTROLS))
def test_progress_and_control_rows_are_refused_or_say_what_they_said(progress, controls):
    for kind, facts in ((ProgressRecord, progress), (ControlRecord, controls)):
        try:
            found = kind.from_json(facts)
        except Damaged as error:
            must_be_sentence(error)
            continue
        again = kind.from_json(json.loads(to_json(found.to_json())))
        assert to_json(again.to_json()) == to_json(found.to_json())


TERMS = st.from_regex(r"[a-z_]{1,9}", fullmatch=True).filter(lambda name: name != "epoch")
EPOCHS = st.lists(
    st.dictionaries(TERMS, st.floats(allow_infinity=False, allow_nan=False), max_size=4), max_size=5
)


@given(EPOCHS)
def test_a_learning_curve_is_read_as_it_was_written(epochs):
    rows = [{"epoch": i, **terms} for i, terms in enumerate(epochs, 1)]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["epoch"]
    path = FOLDER / "history.csv"
    text = ",".join(names) + "\n" + "".join(HistoryRecord.line(names, row) for row in rows)
    path.write_text(text, encoding="utf-8")
    assert HistoryRecord.parsed(path.read_bytes()).rows == rows


@given(
    st.one_of(
        st.binary(max_size=99),
        st.lists(texts, max_size=5).map(lambda lines: "\n".join(["epoch,a", *lines]).encode(
            "utf-8", "surrogatepass"
        )),
        st.lists(st.lists(numbers.map(str), max_size=3).map(",".join), max_size=4).map(
            lambda lines: "\n".join(["epoch,a", *lines]).encode()
        ),
    )
)  # fmt: skip
def test_a_learning_curve_of_anyone_is_numbers_or_refused(content):
    path = FOLDER / "strange.csv"
    path.write_bytes(content)
    try:
        found = HistoryRecord.parsed(path.read_bytes())
    except Damaged as error:
        must_be_sentence(error)
        return
    for row in found.rows:
        assert 0 <= row["epoch"] <= 2**53
        assert all(type(value) is float for value in row.values())


FILES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9_. ~+-]{0,20}", fullmatch=True).filter(
        lambda name: name.strip(". ")
    ),
    st.binary(max_size=30),
    min_size=1,
    max_size=4,
)


@given(FILES)
def test_a_manifest_lists_what_is_there(files):
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        text = manifest(folder)
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        shown = {file for file in files if not file.startswith(".") and file != MANIFEST}
        if not shown:
            return
        assert listed_in(folder).keys() == shown
        assert manifest(folder) == text


HASHES = manifest(Path(__file__).parent).encode()


@given(st.one_of(mutated(HASHES), texts.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_a_manifest_of_anyone_names_files_beside_it_or_is_refused(content):
    (FOLDER / MANIFEST).write_bytes(content)
    try:
        found = listed_in(FOLDER)
    except Damaged as error:
        must_be_sentence(error)
        return
    finally:
        (FOLDER / MANIFEST).unlink()
    for name in found:
        assert "/" not in name
        assert "\\" not in name
        assert name.strip(".")
        assert name.isprintable()


ROWS = stored_arrays({"elbo": np.float32([1, 2, 3]), "nll": np.float32([4, 5, 6])})


@given(mutated(ROWS))
def test_numbers_of_rows_are_those_of_the_trial_or_refused(content):
    path = FOLDER / "rows.safetensors"
    path.write_bytes(content)
    try:
        found = RowRecord.parsed(content, {"elbo": 2.0, "nll": 5.0}).of_rows
    except Damaged as error:
        must_be_sentence(error)
        return
    for name, each in found.items():
        assert abs(float(each.astype(float).mean()) - {"elbo": 2.0, "nll": 5.0}[name]) < 1e-5
    assert arrays_of(content).keys() == found.keys()


MODEL = load_registry().variants["ae"](Spec((3,), "normal", n_train=8, latent=1, hidden=2))
CHECKPOINT = checkpoint.save(MODEL, FOLDER / "m.safetensors").read_bytes()
with open(FOLDER / "m.safetensors", "rb") as file:
    size = int.from_bytes(file.read(8), "little")
    ABOUT = json.loads(json.loads(file.read(size))["__metadata__"]["vaezoo"])
ABOUT["reader"] = {"mean": [1.0], "deviation": [2.0], "names": ["a", "b", "c"], "table": {}}


@given(st.one_of(edited(ABOUT), values), st.booleans())
def test_a_header_is_refused_or_describes_a_model_that_can_be(facts, as_text):
    text = json.dumps(facts)
    try:
        about = header.read(text)
        spec = header.spec_of(about.recipe.spec)
        reader = header.reader_of(about.reader or {})
        reader.must_suit(spec, "it")
    except ValueError as error:  # HeaderError, BadData
        must_be_sentence(error)
        return
    assert header.read(json.dumps(about.model_dump())) == about
    assert all(0 < size < header.LARGEST for size in spec.shape)
    assert all(value > 0 for value in reader.deviation)


@given(mutated(CHECKPOINT))
def test_a_damaged_checkpoint_is_refused_or_the_same_model(content):
    path = FOLDER / "damaged.safetensors"
    path.write_bytes(content)
    try:
        found = checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        must_be_sentence(error)
        return
    known = MODEL.state_dict()
    assert all(torch.equal(tensor, known[name]) for name, tensor in found.state_dict().items())


STATE = {"model.a": torch.arange(4.0), "adam.0.m": torch.zeros(2)}
sealed.write(FOLDER / "state", STATE, json.dumps({"identity": {"key": "k"}, "facts": {}}))
SEALED = (FOLDER / "state").read_bytes()


@given(mutated(SEALED))
def test_a_damaged_state_of_a_training_counts_as_none(content):
    path = FOLDER / "damaged-state"
    path.write_bytes(content)
    found = sealed.read(path)
    if found is not None:
        tensors, about = found
        assert json.loads(about)["identity"] == {"key": "k"}
        assert all(torch.equal(tensors[name], STATE[name]) for name in STATE)
