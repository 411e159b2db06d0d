"""Errors over the missing entries alone, and the two control rows."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.metrics import root_mean_squared_error

import vaezoo
from vaezoo.cli import vaezoo as command_line
from vaezoo.core import Spec
from vaezoo.evaluation import controls, evaluate
from vaezoo.evaluation.metrics.imputation import error, impute, vaezoo_metrics
from vaezoo.training import checkpoint

from .conftest import digits, gaussian_vae


@pytest.fixture(scope="module")
def holes():
    return vaezoo.dataset("holes[missing=0.3]")


def test_error_is_that_of_the_missing_entries_alone():
    truth = torch.arange(12.0).reshape(3, 4)
    truth[2, 3] = math.nan  # padding is not judged
    x = truth.clone()
    x[0, 1] = x[1, 2] = math.nan
    filled = torch.where(x.isnan(), 5.0, x) + torch.where(x.isnan(), 0.0, 100.0)
    assert error(filled, x, truth) == pytest.approx(root_mean_squared_error([1, 6], [5, 5]))


def test_impute_keeps_what_is_there_and_leaves_no_gap(holes):
    model = gaussian_vae(holes.spec)
    torch.manual_seed(0)
    filled = impute(model, holes.test, None, 5, entries=2**12)  # in small pieces
    assert filled.shape == holes.test.shape
    assert not filled.isnan().any()
    seen = ~holes.test.isnan()
    assert torch.equal(filled[seen], holes.test[seen])


def test_weights_are_those_of_the_observed_entries(holes):
    model, x = gaussian_vae(holes.spec), holes.test[:3]
    with torch.no_grad():
        torch.manual_seed(0)
        trace = model.infer(x, None, 7)
        w = trace.log_w.double().exp()
        expected = (w[..., None, None, None] * trace.px.mean).sum(0) / w.sum(0)[:, None, None, None]
        torch.manual_seed(0)
        found = impute(model, x, None, 7)
    torch.testing.assert_close(found[x.isnan()].double(), expected[x.isnan()], rtol=1e-4, atol=1e-6)


def test_a_trained_model_is_better_than_both_controls(holes, cache):
    rows = {name: row["imputation_rmse"] for name, row in controls(holes, vaezoo_metrics()).items()}
    assert set(rows) == {"means of the entries", "5 nearest neighbours"}
    assert rows["5 nearest neighbours"] < rows["means of the entries"]
    means = holes.train.nanmean(0).expand_as(holes.test)
    gone = holes.test.isnan()
    by_hand = (means - holes.truth["test"])[gone].square().mean().sqrt().item()
    assert rows["means of the entries"] == pytest.approx(by_hand, abs=1e-5)
    model = vaezoo.variants()["missing"](holes.spec)
    vaezoo.fit(model, holes, epochs=25)
    answer = evaluate(model, holes, metrics=vaezoo_metrics())
    assert answer["imputation_rmse"] < min(rows.values())


def test_where_no_truth_is_known_there_is_a_reason():
    answer = evaluate(gaussian_vae(digits().spec), digits(), metrics=vaezoo_metrics())
    assert answer.reasons == {"imputation_rmse": "nothing is missing whose truth is known"}


def test_sequences_are_judged_within_their_length():
    data = vaezoo.dataset("holes[of=lgssm[rows=200]]")
    answer = evaluate(gaussian_vae(data.spec), data, metrics=vaezoo_metrics())
    assert math.isfinite(answer["imputation_rmse"])


def test_gaps_are_filled_from_as_many_draws_as_were_asked_for(holes):
    model = vaezoo.variants()["missing"](holes.spec)
    few, hundred, many = (
        evaluate(model, holes, metrics=vaezoo_metrics(), importance_samples=k)
        for k in (1, 100, None)
    )
    assert few["imputation_rmse"] != hundred["imputation_rmse"]
    assert hundred["imputation_rmse"] == many["imputation_rmse"]


def run(*args: object):
    return CliRunner().invoke(command_line, [str(arg) for arg in args])


def test_command_fills_a_file_and_says_what_is_wrong_in_one_sentence(holes, tmp_path):
    checkpoint.save(vaezoo.variants()["missing"](holes.spec), tmp_path / "m.safetensors")
    checkpoint.save(vaezoo.variants()["missing"](digits().spec), tmp_path / "whole.safetensors")
    np.save(tmp_path / "x.npy", holes.test[:20].numpy())
    np.save(tmp_path / "other.npy", np.zeros((3, 5)))
    for name in ("y.npy", "y.npz"):
        result = run(
            "impute", tmp_path / "m.safetensors", tmp_path / "x.npy", "-o", tmp_path / name, "-k", 3
        )
        assert result.exit_code == 0, result.output
        assert f"{int(holes.test[:20].isnan().sum())} of 1280 entries were filled" in result.output
    filled, again = np.load(tmp_path / "y.npy"), np.load(tmp_path / "y.npz")["x"]
    assert np.array_equal(filled, again)  # the same seed
    assert not np.isnan(filled).any()
    for model, file, words in (
        ("m", "other", "rows of shape"),
        ("whole", "x", "complete data"),
        ("m", "none", "no file"),
    ):
        result = run(
            "impute",
            tmp_path / f"{model}.safetensors",
            tmp_path / f"{file}.npy",
            "-o",
            tmp_path / "z.npz",
        )
        assert result.exit_code == 2
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_command_leaves_the_padding_of_sequences(tmp_path):
    spec = Spec((6, 2), "normal", latent=2, hidden=8, network="rnn", has_gaps=True)
    checkpoint.save(vaezoo.variants()["missing"](spec), tmp_path / "m.safetensors")
    x = np.zeros((2, 6, 2), np.float32)
    x[0, 4:], x[1, 2, 1] = np.nan, np.nan
    np.save(tmp_path / "x.npy", x)
    result = run("impute", tmp_path / "m.safetensors", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    filled = np.load(tmp_path / "y.npy")
    assert np.isnan(filled[0, 4:]).all()
    assert np.isnan(filled).sum() == 4
    assert "1 of 24 entries were filled" in result.output


def test_a_long_table_is_filled_as_a_long_table(tmp_path):
    draw = np.random.default_rng(0)
    lines = []
    for machine in range(12):
        for step in range(5 + machine % 3):
            lines.append((f"m{machine:02d}", step, draw.normal(20, 5), draw.normal(1000, 30)))
    table = pd.DataFrame(lines, columns=["machine", "time", "temp", "pressure"])
    gone = draw.random(len(table)) < 0.2
    table.loc[gone, "temp"] = math.nan
    file = tmp_path / "long.csv"
    table.to_csv(file, index=False)

    data = vaezoo.dataset(f"arrays[path={file},id=machine,gaps=true]")
    model = vaezoo.variants()["storn"](data.spec)
    vaezoo.fit(model, data, epochs=1)
    checkpoint.save(model, tmp_path / "m.safetensors")
    result = run("impute", tmp_path / "m.safetensors", file, "-o", tmp_path / "full.csv")
    assert result.exit_code == 0, result.output
    full = pd.read_csv(tmp_path / "full.csv")
    made = ("reconstruct", tmp_path / "m.safetensors", "-d", file, "-o", tmp_path / "again.csv")
    assert run(*made).exit_code == 0
    again = pd.read_csv(tmp_path / "again.csv")
    assert len(again) == len(table)  # no step after the end of a sequence
    assert not again.isna().any().any()
    assert [*full.columns] == ["row", "step", "temp", "pressure"]
    assert full["row"].tolist() == table["machine"].tolist()
    assert full["step"].tolist() == table["time"].tolist()
    assert not full.isna().any().any()
    there = ~gone
    assert np.allclose(full["temp"][there], table["temp"][there])
    assert np.allclose(full["pressure"], table["pressure"])
