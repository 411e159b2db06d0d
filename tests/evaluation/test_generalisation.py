"""The bound on seen and unseen rows, with a model that has learned some rows by heart."""

from dataclasses import replace

import pytest
import torch

from vaezoo.evaluation.bounds import elbo_of
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.generalisation import generalisation
from vaezoo.training.training import fit

from .conftest import digits, gaussian_vae


def test_the_bounds_are_those_of_each_split_and_equal_splits_have_no_gap():
    data = digits(labelled=False)
    model = gaussian_vae(data.spec)
    with torch.no_grad():
        found = generalisation(Evaluation(model, data))
        same = generalisation(
            Evaluation(model, replace(data, validation=data.test, train=data.test))
        )
        expected = float(elbo_of(model, data.validation, None, 64).mean())
    assert found["elbo_validation"] == pytest.approx(expected, abs=0.2)
    assert abs(same["generalisation_gap"]) < 0.2
    assert abs(same["elbo_train"] - same["elbo_validation"]) < 0.2


def test_rows_learned_by_heart_are_a_gap():
    data = digits(labelled=False)
    few = replace(data, train=data.train[:30])
    model = gaussian_vae(few.spec)
    fit(model, few, epochs=150, batch=30, learning_rate=0.01, patience=150, seed=0)
    with torch.no_grad():
        found = generalisation(Evaluation(model, few))
    assert found["generalisation_gap"] > 1
