"""Scores of tables of mixed columns, against values that can be said beforehand."""

import numpy as np
import pandas as pd
import pytest
import torch

import vaezoo
from vaezoo.core import Unsupported
from vaezoo.data.columns import Column
from vaezoo.data.reader import Reader
from vaezoo.evaluation import controls, evaluate
from vaezoo.evaluation.metrics.columns import filled_cells, vaezoo_metrics
from vaezoo.evaluation.of_columns import (
    closeness,
    differences,
    errors,
    hidden,
    nearest,
    predicted,
)
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded
from vaezoo.training import fit

from .conftest import digits, gaussian_vae

COLUMNS = (
    Column("a", "number", mean=10.0, deviation=2.0),
    Column("b", "amount", mean=1.0, deviation=0.5),
    Column("c", "category", ("x", "y", "z")),
    Column("d", "yesno", ("no", "yes")),
)
READER = Reader(names=tuple("abcd"), columns=COLUMNS)


def rows(values: list[list[float]]) -> torch.Tensor:
    return READER.read(torch.tensor(values, dtype=torch.float64))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A number, a count and two columns of words that follow one z, with gaps."""
    g = np.random.default_rng(0)
    z = g.normal(size=300)
    frame = pd.DataFrame(
        {
            "a": np.round(z + 0.1 * g.normal(size=300), 3),
            "b": np.round(-2 * z + 0.1 * g.normal(size=300), 3),
            "c": np.array(["low", "medium", "high"])[np.digitize(z, [-0.6, 0.6])],
            "d": np.where(z > 0, "yes", "no"),
        }
    )
    path = tmp_path_factory.mktemp("own") / "table.csv"
    frame.mask(g.random(frame.shape) < 0.1).dropna(how="all").to_csv(path, index=False)
    return load_registry().datasets["table"].load(None, path=str(path))


def test_errors_are_of_the_hidden_cells_alone():
    truth = rows([[10, 2, 0, 0], [14, 2, 1, 1], [10, 4, 2, 0], [14, 4, 2, 1]])
    seen = truth.clone()
    seen[0, 0] = torch.nan  # a of the first row
    seen[1, 0] = torch.nan
    seen[2, 2:5] = torch.nan  # c of the third and the fourth
    seen[3, 2:5] = torch.nan
    filled = rows([[11, 9, 1, 1], [11, 9, 0, 0], [0, 9, 2, 1], [0, 9, 0, 0]])
    found = errors(READER, truth, filled, seen, truth)
    # a is off by 1 and 3, its deviation over the rows is 2; one of two words is wrong
    assert found == {"a": pytest.approx((10 / 2) ** 0.5 / 2, rel=1e-6), "c": 0.5}


def test_hidden_cells_are_whole_columns_and_leave_no_row_empty(table):
    chosen = torch.arange(len(table.test))
    seen = hidden(table, table.reader, "test", chosen)
    assert torch.equal(seen.isnan(), hidden(table, table.reader, "test", chosen).isnan())
    assert not seen.isnan().all(1).any()
    lost = seen.isnan() & ~table.test.isnan()
    for _, at in table.reader.entries():
        assert (lost[:, at].all(1) == lost[:, at].any(1)).all()
    assert 0.1 < lost[:, 0].float().mean() < 0.35
    few = hidden(table, table.reader, "test", chosen[3:9])  # the same cells of the same rows
    assert torch.equal(few.isnan(), seen[3:9].isnan())


def test_equal_tables_do_not_differ_and_others_do_as_much_as_said():
    a = rows([[10, 1, 0, 0], [11, 2, 0, 1], [12, 3, 1, 1], [13, 4, 2, 1]])
    assert differences(READER, a, a) == dict.fromkeys("abcd", 0.0)
    b = rows([[30, 1, 1, 0], [31, 2, 1, 1], [12, 3, 1, 0], [13, 4, 2, 0]])
    found = differences(READER, a, b)
    assert found["a"] == pytest.approx(0.5)
    assert found["b"] == pytest.approx(0.0)
    assert found["c"] == pytest.approx(0.5)  # x 2 of 4 -> 0, y 1 -> 3
    assert found["d"] == pytest.approx(0.5)


def test_the_nearest_row_is_found_over_the_entries_that_both_have():
    train = torch.tensor([[0.0, 0.0, 1.0], [3.0, 4.0, 2.0], [torch.nan, torch.nan, 9.0]])
    gap = torch.nan
    x = torch.tensor([[3.0, 3.0, 2.0], [gap, 4.0, 2.0], [0.0, -1.0, 9.0], [gap, gap, 9.0]])
    found = nearest(x, train)  # the last row shares one entry of three with any
    torch.testing.assert_close(found[:3], torch.tensor([1.0, 0.0, 65**0.5]).double())
    assert found[3].isnan()


def test_copies_are_nearer_than_new_rows():
    torch.manual_seed(0)
    train = torch.randn(300, 4)
    test = torch.randn(100, 4)
    copies = closeness(train[:100], test, train)
    assert copies == {"train_distance": 0.0, "too_near": 1.0}
    same = closeness(test, test, train)
    assert same == {"train_distance": 1.0, "too_near": pytest.approx(0.05)}
    new = closeness(torch.randn(100, 4), test, train)
    assert 0.8 < new["train_distance"] < 1.25
    assert new["too_near"] < 0.2


def test_what_depends_is_predicted_and_what_does_not_is_not(table):
    good = predicted(table.reader, table.train, table.test)
    assert good["a"] > 0.8
    assert good["d"] > 0.8
    shuffled = table.train.clone()
    g = torch.Generator().manual_seed(0)
    for _, at in table.reader.entries():
        shuffled[:, at] = shuffled[torch.randperm(len(shuffled), generator=g)][:, at]
    bad = predicted(table.reader, shuffled, table.test)
    assert bad["a"] < 0.2
    assert bad["b"] < 0.2
    # columns of a test row follow one z: a forest of noise may be right or wrong of them at once
    assert bad["c"] + bad["d"] < good["c"] + good["d"] - 0.3


def test_a_trained_model_is_beside_its_controls(table):
    metrics = vaezoo_metrics()
    with seeded("weights", 0):
        model = load_registry().variants["missing"](table.spec)
    fit(model, table, epochs=40, learning_rate=3e-3)
    found = evaluate(model, table, metrics=metrics)
    assert set(found) == {column.name for metric in metrics for column in metric.columns}
    beside = controls(table, metrics)
    means = beside["means of the entries"]
    assert found["cell_rmse"] < means["cell_rmse"]
    assert found["cell_wrong"] < means["cell_wrong"]
    assert {"5 nearest neighbours", "one column from the others in turn"} <= beside.keys()
    lines = vaezoo.cells_by_column(model, table)  # the metric is their mean
    assert list(lines.index) == ["a", "b", "c", "d"]
    assert list(lines.measure) == ["rmse", "rmse", "wrong", "wrong"]
    of_numbers = lines[lines.measure == "rmse"]
    assert of_numbers["model"].mean() == pytest.approx(found["cell_rmse"])
    assert of_numbers["means of the entries"].mean() == pytest.approx(means["cell_rmse"])
    real = beside["training rows"]
    alone = beside["independent pixels"]
    assert real["tstr_r2"] > found["tstr_r2"] > alone["tstr_r2"]
    assert real["tstr_accuracy"] > alone["tstr_accuracy"]
    assert "too_near" not in real
    assert found["train_distance"] > 0.2


def test_other_data_has_no_such_scores():
    data = digits()
    model = gaussian_vae(data.spec)
    found = evaluate(model, data, metrics=vaezoo_metrics())
    assert not found
    assert found.reasons["cell_rmse"] == "the data is no table of mixed columns"
    assert controls(data, vaezoo_metrics()) == {} or not any(
        "cell_rmse" in row for row in controls(data, vaezoo_metrics()).values()
    )


def test_a_table_without_gaps_says_how_to_have_its_cells_filled(tmp_path):
    path = tmp_path / "x.csv"
    g = np.random.default_rng(0)
    pd.DataFrame({"a": g.normal(size=40), "b": ["u", "v"] * 20}).to_csv(path, index=False)
    known = load_registry().datasets["table"]
    data = known.load(None, path=str(path))

    class Asked:
        pass

    asked = Asked()
    asked.data = data
    with pytest.raises(Unsupported, match=r"table\[gaps=true\]"):
        filled_cells(asked)
    assert known.load(None, path=str(path), gaps=True).spec.has_gaps
