"""A part of a split is drawn, with each class's share, wherever a metric looks at few rows."""

from dataclasses import replace
from unittest import mock

import pytest
import torch

from vaezoo.data.data import Data
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.measuring import measure
from vaezoo.evaluation.metrics import imputation, outliers, representation, sequence
from vaezoo.evaluation.subset import some_rows

from .conftest import digits, gaussian_vae


def by_label(data: Data) -> Data:
    """The same rows in files that are sorted by label."""
    orders = {name: y.argsort(stable=True) for name, y in data.labels.items()}
    x = {name: data.split(name)[order] for name, order in orders.items()}
    labels = {name: data.labels[name][order] for name, order in orders.items()}
    return replace(data, **x, labels=labels)


def test_a_part_has_each_class_with_its_share_and_fewer_are_part_of_more():
    data = by_label(digits())
    rows = some_rows(data, "train", 130)
    counts = data.labels["train"][rows].bincount(minlength=10)
    whole = data.labels["train"].bincount(minlength=10) / 10
    assert ((counts - whole).abs() <= 1).all()
    assert set(some_rows(data, "train", 50).tolist()) <= set(rows.tolist())
    assert torch.equal(some_rows(data, "test", 10**6), torch.arange(len(data.test)))


def test_rows_without_labels_are_drawn_too_and_only_of_those_allowed():
    data = digits(labelled=False)
    rows = some_rows(data, "train", 100)
    assert 400 < rows.double().mean() < 900
    among = torch.arange(0, 1300, 2)
    assert (some_rows(data, "train", 100, among) % 2 == 0).all()


def test_probes_of_a_file_sorted_by_label_see_every_class():
    """45,000 sorted rows gave them one class: here 40 of 1,300, of which the first are all 0."""
    data = by_label(digits())
    evaluation = Evaluation(gaussian_vae(data.spec), data)
    codes = evaluation.codes("train", 40)
    assert data.labels["train"][codes.rows].unique().tolist() == list(range(10))
    x = data.train[codes.rows]
    expected = Evaluation(evaluation.model, replace(data, train=x)).part(40, "train").x
    torch.testing.assert_close(expected, x)


@pytest.mark.parametrize(
    ("module", "limit", "metric"),
    [
        (outliers, "ROWS", "outliers"),
        (representation, "ROWS", "aggregate"),
        (imputation, "ROWS", "imputation"),
        (sequence, "MOST", "judges"),
        (sequence, "ROWS", "prediction"),
    ],
)
def test_no_metric_takes_the_first_rows_of_a_file(module, limit, metric, monkeypatch):
    monkeypatch.setattr(module, limit, 20)
    seen = []

    class Watched(Evaluation):
        def part(self, most, *args, **named):
            found = super().part(most, *args, **named)
            seen.append((most, found.rows))
            return found

    data = by_label(digits(labelled=True))
    if module is sequence:
        spec = replace(data.spec, shape=(8, 8), network="rnn", has_gaps=True)
        parts = {name: data.split(name).squeeze(1) for name in ("train", "validation", "test")}
        data = replace(data, spec=spec, **parts)
    if module is imputation:
        holes = data.test.clone()
        holes[..., 0] = torch.nan
        truth = {"test": data.test}
        data = replace(data, test=holes, truth=truth, spec=replace(data.spec, has_gaps=True))
    found = [m for m in module.vaezoo_metrics() if m.name == metric]
    with mock.patch.object(outliers, "WEIGHT_SETS", 1):
        measure(Watched(gaussian_vae(data.spec), data), found)
    drawn = [rows for most, rows in seen if most == 20]
    assert drawn
    assert all(len(rows) == 20 and rows.max() > 150 for rows in drawn)
