"""Numbers of test rows: kept with the trial, measured again where they are lost, and paired."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vaezoo.bench.manifest import manifest
from vaezoo.bench.records import ROWS, Damaged, RowRecord
from vaezoo.bench.report.report import ReportError, read_rows
from vaezoo.bench.runner import run
from vaezoo.bench.store import Store
from vaezoo.row_mean import RowMean


def test_a_mean_knows_its_rows():
    found = RowMean(torch.tensor([1.0, 2.0, 6.0]))
    assert found == 3.0
    assert found.of_rows.tolist() == [1.0, 2.0, 6.0]


def test_the_spread_of_a_ratio_is_that_of_the_delta_method():
    """Of v = 2w + noise the ratio's error is the noise's, however much the weights vary; exact for
    v proportional to w.
    """
    generator = np.random.default_rng(0)
    weights = generator.integers(1, 50, (400, 2000)).astype(float)
    values = 2 * weights + generator.normal(size=weights.shape)
    found = [
        RowMean(torch.tensor(v), torch.tensor(w)) for v, w in zip(values, weights, strict=True)
    ]
    se = np.array([one.of_rows.std() / 2000**0.5 for one in found])
    # 400 repetitions know their own spread to 1/√800 = 3.5 %, z = 4
    assert np.std(found) / se.mean() == pytest.approx(1, abs=0.15)
    assert all(float(one.of_rows.mean()) == pytest.approx(one, rel=1e-12) for one in found[:9])
    exact = RowMean(2 * torch.tensor(weights[0]), torch.tensor(weights[0]))
    assert exact.of_rows == pytest.approx(2.0, abs=1e-12)


def rows_of(out):
    store = Store(out)
    return [(record, store.rows(record).of_rows) for record in store.records()[0]]


def test_the_mean_of_stored_rows_is_the_number_of_the_trial(measured):
    _, out = measured
    for record, rows in rows_of(out):
        assert set(rows) == {"elbo", "nll", "reconstruction_nll", "pareto_k"}
        for column, each in rows.items():
            assert (each.shape, each.dtype) == ((32,), np.float32)
            assert each.astype(float).mean() == pytest.approx(record.metrics[column], rel=1e-7)


def _measured_by_other_code(file):
    """As a trial that an older version of the likelihood measured, before it kept rows."""
    facts = json.loads((file.parent / "trial.json").read_text())
    facts["measures"]["likelihood"] = "0" * 64
    (file.parent / "trial.json").write_text(json.dumps(facts))
    file.unlink()
    (file.parent / "MANIFEST.sha256").write_text(manifest(file.parent))


def _half(file):
    file.write_bytes(file.read_bytes()[:-40])


def _of_another_trial(file):
    save_file({"nll": np.ones(32, np.float32)}, file)
    (file.parent / "MANIFEST.sha256").write_text(manifest(file.parent))


LOST = [(_half, "not what MANIFEST"), (_of_another_trial, "not the trial's")]
LOST += [(Path.unlink, "missing"), (_measured_by_other_code, "")]


@pytest.mark.parametrize(("lose", "why"), LOST)
def test_rows_that_are_lost_are_measured_again_without_training(measured, tmp_path, lose, why):
    made, whole = measured
    out = shutil.copytree(whole, tmp_path / "out")
    folder = out / "trials" / made.trials[0].key
    lose(folder / ROWS)
    before = Store(out).checked(made.trials[0].key)
    if why:
        with pytest.raises(Damaged, match=why):
            Store(out).rows(before)
    weights = (folder / "model.safetensors").stat().st_mtime_ns

    again = run(made, out, jobs=1, figures=False)
    assert (again.reused, again.unmeasured, again.exit_code) == (0, 0, 0)
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    assert (folder / ROWS).read_bytes() == (whole / folder.relative_to(out) / ROWS).read_bytes()
    assert Store(out).checked(before.key).metrics == before.metrics


def test_rows_of_metrics_that_are_not_measured_again_stay():
    before = RowRecord({"a": np.ones(2), "b": np.zeros(2), "c": np.ones(2)})
    after = before.with_newer({"b": np.ones(3)}, {"b", "c"}).of_rows
    assert {name: len(each) for name, each in after.items()} == {"a": 2, "b": 3}


@pytest.mark.parametrize("text", [b"nonsense\n", b"\xff\xfe", b"  \n", b"0" * 64 + b"  \n"])
def test_a_manifest_that_is_none_costs_its_trial_alone(measured, tmp_path, text, capsys):
    """The report goes on, says which file it was, and the next run makes the trial anew."""
    made, whole = measured
    out = shutil.copytree(whole, tmp_path / "out")
    key = made.trials[0].key
    (out / "trials" / key / "MANIFEST.sha256").write_bytes(text)
    with pytest.raises(Damaged):
        Store(out).checked(key)
    assert not Store(out).is_whole(key)
    with pytest.raises(ReportError, match="no trials"):
        read_rows(out)
    assert f"{key} is set aside" in capsys.readouterr().err.replace("/trial.json", "")
    assert run(made, out, jobs=1, figures=False).counts == {"done": 1}
