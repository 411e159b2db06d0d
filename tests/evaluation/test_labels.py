"""Accuracy of models that classify, and a reason for the others."""

import pytest
import torch
from sklearn.metrics import accuracy_score
from vaezoo_plugins.semi_supervised import m2

from vaezoo.evaluation import evaluate
from vaezoo.evaluation.metrics.classification import vaezoo_metrics

from .conftest import digits


def test_accuracy_is_the_share_of_labels_that_are_most_probable(data):
    torch.manual_seed(0)
    model = m2(data.spec).eval()
    with torch.no_grad():
        expected = accuracy_score(data.labels["test"], model.classify(data.test).argmax(1))
    assert evaluate(model, data, metrics=vaezoo_metrics())["accuracy"] == pytest.approx(
        expected, abs=1e-12
    )


def test_others_say_why_not(data, model):
    assert evaluate(model, data, metrics=vaezoo_metrics()).reasons == {"accuracy": "no classifier"}
    unlabelled = digits(labelled=False)
    assert evaluate(model, unlabelled, metrics=vaezoo_metrics()).reasons == {
        "accuracy": "the data has no labels"
    }
