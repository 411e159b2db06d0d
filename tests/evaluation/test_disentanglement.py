"""Scores of disentanglement: high on the true factors, near 0 on noise, and blind to the order of
the units.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vaezoo.evaluation import evaluate
from vaezoo.evaluation.baselines import CODE, FACTORS
from vaezoo.evaluation.metrics.disentanglement import (
    controls,
    dci,
    factor_vae_score,
    information,
    mig,
    modularity,
    sap,
    vaezoo_metrics,
)

from .conftest import digits, gaussian_vae

GRID = np.array(np.meshgrid(*[np.arange(4)] * 5, indexing="ij")).reshape(5, -1).T  # (1024, 5)


def scores(codes: np.ndarray) -> dict[str, float]:
    shared, entropy = information(codes, GRID)
    answer = {
        "mig": mig(shared, entropy),
        "sap": sap(codes, GRID),
        "modularity": modularity(shared),
    }
    return answer | dci(codes, GRID, 0) | {"factor_vae_score": factor_vae_score(codes, GRID, 0)}


def test_true_factors_score_one():
    for name, value in scores(GRID * np.array([1.0, -2.0, 0.5, 3.0, 1.0])).items():
        assert value == pytest.approx(1, abs=1e-6), name


def test_noise_scores_next_to_nothing():
    answer = scores(np.random.default_rng(0).standard_normal((1024, 5)))
    assert answer["mig"] < 0.05
    assert answer["sap"] < 0.05
    assert answer["dci_disentanglement"] < 0.1
    assert answer["dci_informativeness"] < 0.35  # chance is 1/4
    assert answer["factor_vae_score"] < 0.4  # chance is 1/5


def test_control_rows_are_the_factors_themselves_and_noise(data):
    factors = torch.tensor(GRID)
    spec = replace(data.spec, n_train=len(GRID))
    x = torch.zeros(len(GRID), *spec.shape)
    rows = controls(replace(data, spec=spec, train=x, labels={}, factors={"train": factors}))
    assert set(rows) == {FACTORS, CODE}
    assert rows[FACTORS] == {name: pytest.approx(1, abs=1e-6) for name in rows[FACTORS]}
    assert max(rows[CODE][name] for name in ("mig", "sap", "dci_disentanglement")) < 0.1
    assert controls(data) == {}


def test_a_rotation_of_two_factors_is_worse_than_the_factors():
    codes = GRID.astype(float)
    codes[:, :2] = codes[:, :2] @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    turned, straight = scores(codes), scores(GRID.astype(float))
    for name in (
        "mig",
        "sap",
        "modularity",
        "dci_disentanglement",
        "dci_completeness",
        "factor_vae_score",
    ):
        assert turned[name] < straight[name] - 0.05, name


def test_the_order_of_the_units_does_not_matter():
    codes = GRID + 0.5 * np.random.default_rng(1).standard_normal(GRID.shape)
    there, back = scores(codes), scores(codes[:, ::-1].copy())
    for name in ("mig", "sap", "modularity", "factor_vae_score"):
        assert there[name] == pytest.approx(back[name], abs=1e-9), name
    # a forest breaks ties by order
    assert there["dci_disentanglement"] == pytest.approx(back["dci_disentanglement"], abs=0.05)


def test_a_dead_unit_changes_no_gap():
    codes = np.hstack([GRID.astype(float), np.zeros((1024, 1))])
    answer = scores(codes)
    assert answer["mig"] == pytest.approx(1)
    assert answer["factor_vae_score"] == pytest.approx(1)


def test_data_without_factors_say_so(data):
    answer = evaluate(gaussian_vae(data.spec), data, metrics=vaezoo_metrics())
    assert not answer
    assert answer.reasons["mig"] == "the data has no known factors"
    told = replace(
        digits(),
        factors={"train": torch.stack([data.labels["train"], data.labels["train"] % 2], 1)},
    )
    assert 0 <= evaluate(gaussian_vae(data.spec), told, metrics=vaezoo_metrics())["mig"] < 0.5
