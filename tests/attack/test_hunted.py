"""What hunts found, each as the smallest case of it."""

import hashlib
import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.attack.hunts.words import must_be_sentence
from tests.bench.conftest import _fill, _plan, _write
from vaezoo.bench.asked import PlanError, must_be_labels, parse_seeds, settings_grid
from vaezoo.bench.manifest import MANIFEST, listed_in, manifest
from vaezoo.bench.records import ControlRecord
from vaezoo.bench.records.parsing import Damaged, parsed_text, parsed_trial
from vaezoo.bench.report.statistics import paired_t
from vaezoo.bench.runner import run
from vaezoo.bench.store import to_json
from vaezoo.bench.suites import SuiteError, load_suite
from vaezoo.bench.trial import key_of
from vaezoo.cli import vaezoo
from vaezoo.data.archives import tensors
from vaezoo.data.asked import Asked
from vaezoo.data.files import BadData, CorruptData
from vaezoo.data.folders import pictures
from vaezoo.data.formats import npy, npz
from vaezoo.data.published import read_published
from vaezoo.data.tables import from_text
from vaezoo.hooks import Column
from vaezoo.hyperparameters import HyperparameterError, in_quotes, resolve
from vaezoo.registry.registry import load_registry
from vaezoo.registry.selection import SelectionError
from vaezoo.registry.soundness import must_have_its_types
from vaezoo.training.settings import split_settings


def test_an_array_whose_header_is_no_python_is_refused():
    file = io.BytesIO()
    np.save(file, np.eye(3))
    content = bytearray(file.getvalue())
    content[25] = ord("(")
    with pytest.raises(CorruptData, match="damaged"):
        npy(bytes(content), "it")


def stored(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


TENSORS = {
    "one number in 10^12 places": torch.zeros(1).expand(10**6, 10**6),
    "sparse": torch.sparse_coo_tensor(torch.zeros(2, 1).long(), torch.ones(1), (10**6, 10**6)),
    "complex": torch.zeros(3, 3, dtype=torch.complex64),
    "of eight bits": torch.zeros(3, 3).to(torch.float8_e4m3fn),
    "nowhere": torch.zeros(3, 3, device="meta"),
    "nested": torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(1, 3)]),
    "twins": {1: torch.eye(3), "1": torch.eye(3)},
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_no_data_are_refused_before_they_take_memory(name):
    content = stored(TENSORS[name])
    with pytest.raises(BadData) as refused:
        tensors(content, Asked(), "it")
    must_be_sentence(refused.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_arrays_of_one_name_is_refused():
    array = io.BytesIO()
    np.save(array, np.eye(3))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", array.getvalue())
        archive.writestr("x.npy", array.getvalue())
    with pytest.raises(CorruptData, match="two arrays of one name"):
        npz(file.getvalue(), "it")


def test_a_pipe_among_pictures_is_named_and_not_waited_for(tmp_path):
    (tmp_path / "cats").mkdir()
    os.mkfifo(tmp_path / "cats" / "a.png")
    with pytest.raises(BadData, match=r"a\.png is no file"):
        pictures(tmp_path, Asked())


@pytest.mark.parametrize("path", ["a'b\"c", "x|y \x1b[31m\n=1.npz", "\u202e.csv", "e\u0301", "a b"])
def test_a_label_of_odd_letters_can_be_shown_and_reads_back(path):
    (chosen,) = load_registry().choose_datasets(f"arrays[path={in_quotes(path)}]")
    assert chosen.label.isprintable()
    (again,) = load_registry().choose_datasets(chosen.label)
    assert again.values["path"] == path


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        vaezoo.main(list(words))
    return ended.value.code


def test_a_folder_without_a_name_is_none(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert code_of("bench", "--variants", "vae", "--datasets", "gaussian", "--out", "") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", [f"{2**65},", [2**65], list(range(20_000))])
def test_seeds_that_no_record_takes_are_refused_before_they_are_trained(seeds):
    with pytest.raises(PlanError, match="seeds are at most"):
        parse_seeds(seeds)


def test_a_grid_without_end_is_refused_at_once():
    with pytest.raises(PlanError, match="combinations"):
        settings_grid({name: list(range(1_000)) for name in ("latent", "hidden", "batch")})
    many = ",".join(map(str, range(1, 200)))
    with pytest.raises(SelectionError, match="rows of 'mix'"):
        load_registry().choose_variants(f"mix[a={many},b={many},c={many}]")


@pytest.mark.parametrize("before", ["", "not:", "tag:"])
def test_a_selector_of_a_million_letters_is_refused_at_once(before):
    text = before + "a" * 10**6
    registry = load_registry()
    start = time.process_time()
    with pytest.raises(SelectionError, match="has a name of 1,000,0") as refused:
        registry.choose_variants(text)
    assert time.process_time() - start < 5
    must_be_sentence(refused.value)


def test_a_label_that_no_table_shows_is_refused_before_it_is_trained():
    chosen = load_registry().choose_datasets(f"arrays[path={'x' * 1_000}.npz]")
    with pytest.raises(PlanError, match="letters in tables"):
        must_be_labels(chosen)


SUITES = {
    "no UTF-8": b"title='\xff\xfe'",
    "brackets": b"title='x'\nset={a=" + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "a number without end": b"title='x'\nseeds=" + b"9" * 5_000,
    "a value without end": b"title='x'\nimportance_samples=-" + b"9" * 4_000,
    "no time": b"title='x'\ntimeout=inf",
    "too long": b"#" * 2**21,
}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_that_is_none_is_refused_in_a_sentence(name, tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(SUITES[name])
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    must_be_sentence(refused.value)


def test_a_suite_of_a_windows_editor_is_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbftitle='x'")
    assert load_suite(path).title == "x"
    with pytest.raises(SuiteError, match="there is no suite"):
        load_suite("x" * 300)


@pytest.mark.parametrize("cell", ["-1.0", "nan"])
def test_a_published_number_that_cannot_be_is_refused(cell):
    head = "title='t'\npaper='p'\nprovenance='memory'\nsetting='s'\ncolumn='rmse'\n"
    text = f"{head}printed='square'\n[[rows]]\nname='a'\ncells={{digits={cell}}}"
    with pytest.raises(ValueError, match="published table x: rows"):
        read_published(text, "x")


def test_a_file_that_a_system_leaves_in_a_trial_makes_it_no_damaged_one(tmp_path):
    (tmp_path / "trial.json").write_text("{}")
    (tmp_path / ".nfs0001").write_text("a log that is open still")
    (tmp_path / MANIFEST).write_text(manifest(tmp_path))
    assert listed_in(tmp_path).keys() == {"trial.json"}


@pytest.mark.parametrize("again", ['"columns": null', '"\\u0063olumns": null'])
def test_a_name_that_a_trial_says_twice_is_read_one_way(again):
    text = f'{{\n "columns": [\n  1\n ],\n {again}\n}}'.encode()
    assert parsed_trial(text) == parsed_text(text)


def test_a_column_that_no_trial_can_keep_is_refused_of_a_plugin():
    for more in ({"digits": 10**9}, {"digits": -1}, {"lead": 10**400}, {"low": -1e200}):
        with pytest.raises(TypeError, match=r"its (digits|lead|low) is not from"):
            must_have_its_types(Column("a", "", "", **more))


ODD = """
from vaezoo.hooks import Column, Metric, hookimpl


def much(evaluation):
    "A number whose square is none; another's number; a setting that is a list."
    {more}
    return {{"much": {value}, "bound": 7.0, "../x": 1.0}}


@hookimpl
def vaezoo_metrics():
    return [Metric("much", (Column("much", "", ""),), much)]
"""


def facts_of(out: Path) -> dict:
    (path,) = out.glob("trials/*/trial.json")
    return json.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("value", "more", "status"),
    [
        ("1e150", "pass", "done"),
        ("1.0", "evaluation.settings['draws'] = [1]", "failed"),
        ("1.0", "evaluation.reasons['much'] = 5", "failed"),
    ],
)
def test_a_metric_costs_its_own_columns_or_its_trial_and_never_in_silence(
    tmp_path: Path, value: str, more: str, status: str
):
    plugins = _fill(tmp_path / "plugins")
    (plugins / "much.py").write_text(ODD.format(value=value, more=more))
    plan = _plan(plugins, "good", metrics=("quick", "much"))
    run(plan, tmp_path / "out", jobs=1, figures=False)
    facts = facts_of(tmp_path / "out")
    assert facts["status"] == status
    if status == "done":
        assert "much" not in facts["metrics"]
        assert facts["metrics"]["bound"] < 0
        assert "../x" not in facts["metrics"]
        assert "1e+150" in facts["refused"]["much"]
    else:
        assert "cannot be kept" in facts["reason"]


EVIL = """
class E(Exception):
            def __str__(self): raise self
        raise E
"""


def test_an_error_whose_text_cannot_be_had_is_a_failed_trial(tmp_path: Path):
    plugins = _fill(tmp_path / "plugins")
    _write(plugins, "evil", step=EVIL.strip())
    run(_plan(plugins, "evil"), tmp_path / "out", jobs=1, figures=False)
    facts = facts_of(tmp_path / "out")
    assert facts["status"] == "failed"
    assert "text cannot be had" in facts["reason"]


def test_a_step_that_says_that_the_disk_is_full_ends_no_other_trial(tmp_path: Path):
    plugins = _fill(tmp_path / "plugins")
    _write(plugins, "evil", step="raise OSError(28, 'No space left on device')")
    summary = run(_plan(plugins, "evil,good"), tmp_path / "out", jobs=1, figures=False)
    facts = [json.loads(path.read_bytes()) for path in tmp_path.glob("out/trials/*/trial.json")]
    assert {one["variant"]: one["status"] for one in facts} == {"evil": "failed", "good": "done"}
    assert summary.exit_code == 1
    assert not list(tmp_path.rglob(".probe"))


def test_a_name_of_a_file_that_is_no_text_is_kept_and_read_back():
    said = to_json({"datasets": "arrays[path=x\udcff.csv]", "β": "é"})
    assert json.loads(said.encode()) == {"datasets": "arrays[path=x\udcff.csv]", "β": "é"}
    assert to_json({"β": "é"}) == '{\n "β": "é"\n}\n'


def test_a_record_of_another_hand_says_so_in_a_sentence():
    with pytest.raises(Damaged) as refused:
        parsed_text(b'{"a": NaN}')
    must_be_sentence(refused.value)


@pytest.mark.parametrize("text", ["0,001", "0,1", "7,08"])
def test_one_line_of_one_comma_is_asked_about(text: str):
    with pytest.raises(BadData, match="two numbers, or one with a decimal comma") as asked:
        from_text(text.encode(), Asked(), "it")
    must_be_sentence(asked.value)


@pytest.mark.parametrize("text", ["1,5\n0\n3", "1.5\n0,5\n2,5", "1,000\n2\n3"])
def test_a_first_line_that_is_a_number_elsewhere_is_asked_about(text: str):
    """It was taken for a name, and the first row was lost."""
    with pytest.raises(BadData, match="names or data") as asked:
        from_text(text.encode(), Asked(), "it")
    must_be_sentence(asked.value)
    said = Asked(decimal="comma", header="false", separator="semicolon")
    assert from_text(b"1,5\n0\n3", said, "it").x.tolist() == [[1.5], [0.0], [3.0]]


def test_a_whole_number_that_no_float_holds_is_refused_in_a_sentence():
    with pytest.raises(BadData) as refused:
        from_text(b"a\n" + b"9" * 400 + b"\n1", Asked(), "it")
    must_be_sentence(refused.value)
    with pytest.raises(HyperparameterError, match="whole numbers go to") as out_of_range:
        split_settings({"batch": "1" + "0" * 309})
    must_be_sentence(out_of_range.value)
    assert split_settings({"batch": str(2**53)}) == ({"batch": 2**53}, {})


def test_a_whole_number_in_a_tuple_has_the_same_limit():
    def made(widths: tuple[int, ...] = ()) -> None: ...

    with pytest.raises(HyperparameterError, match="whole numbers go to") as out_of_range:
        resolve(made, {"widths": (1, 2**53 + 1)}, "it")
    must_be_sentence(out_of_range.value)
    assert resolve(made, {"widths": (1, 2**53)}, "it") == {"widths": (1, 2**53)}


def test_a_small_constant_gap_has_the_p_value_of_a_large_one():
    """Below 10⁻¹⁵⁰ the square of a gap was lost beside the floor of a variance."""
    p = [paired_t([2.0**k * 3.0] * 2) for k in (0, -300, -500, -900)]
    assert p == [p[0]] * 4
    assert paired_t([0.0, 1e-200], 0.01) == 1.0


def test_a_name_with_half_a_letter_has_a_key():
    trial = {"data": {"options": {"\ud801": None}}}
    assert len(key_of(trial)) == 64
    assert key_of(trial) != key_of({"data": {"options": {"\ud802": None}}})
    assert key_of({"a": "é"}) == hashlib.sha256('{"a":"é"}'.encode()).hexdigest()


def test_a_reason_that_names_what_a_file_says_is_one_sentence():
    with pytest.raises(Damaged) as refused:
        ControlRecord.from_json({"rows": {}, "measures": {"\n\x1b": None}})
    must_be_sentence(refused.value)


def test_a_column_that_rests_on_a_number_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="rests_on names q, p or px") as refused:
        Column("elbo", "nats", "higher", rests_on=3)  # type: ignore[arg-type]
    must_be_sentence(refused.value)


@pytest.mark.parametrize(
    "odd", [{"table": "../x"}, {"table": "a b"}, {"axis": "\u2028"}, {"unit": "a\nb"}]
)
def test_a_column_that_no_trial_could_keep_is_refused_of_a_plugin(odd: dict[str, str]):
    """Its trials were trained, and then set aside by every report."""
    column = Column(**{"name": "mine", "unit": "", "better": "", **odd})
    with pytest.raises(TypeError) as refused:
        must_have_its_types(column)
    must_be_sentence(refused.value)
