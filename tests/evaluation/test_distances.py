"""Distances between feature sets against torchmetrics, closed forms and brute force."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from vaezoo.evaluation import distances, neighbours
from vaezoo.evaluation.distances import (
    copied,
    frechet,
    frechet_of_infinitely_many,
    kernel_distance,
    nearest,
    neighbourhoods,
)


def features(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=g, dtype=torch.float64) / math.sqrt(d)
    return torch.randn(n, d, generator=g, dtype=torch.float64) @ mixing + shift


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (distances, neighbours):
        monkeypatch.setattr(module, "ROWS", 37)  # so that pieces meet in the middle of these sets
    monkeypatch.setattr(distances, "SIDE", 23)


def test_frechet_is_that_of_torchmetrics_and_of_the_matrix_square_root():
    x, y = features(200, 8, 0), features(150, 8, 1, shift=0.3)
    theirs = _compute_fid(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    assert frechet(x, y) == pytest.approx(float(theirs), rel=1e-9)
    root = np.real(linalg.sqrtm((x.T.cov() @ y.T.cov()).numpy()))
    by_definition = (
        (x.mean(0) - y.mean(0)).square().sum()
        + x.T.cov().trace()
        + y.T.cov().trace()
        - 2 * np.trace(root)
    )
    assert frechet(x, y) == pytest.approx(float(by_definition), rel=1e-9)


def test_frechet_holds_where_covariances_are_singular():
    x = features(5, 8, 0)  # rank 4
    assert frechet(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet(x, x + 2) == pytest.approx(8 * 4, rel=1e-6)
    assert frechet(torch.zeros(9, 3).double(), torch.ones(9, 3).double()) == 3


def test_kernel_distance_is_that_of_torchmetrics_but_for_the_paired_cross_terms():
    x, y = features(100, 6, 0), features(100, 6, 1)
    k_xy = (x @ y.T / 6 + 1) ** 3
    theirs = poly_mmd(x, y)  # leaves i = j in the cross term
    paired = -2 * k_xy.diagonal().sum() / (100 * 100)
    cross = 2 * (k_xy.sum() - k_xy.diagonal().sum()) * (1 / (100 * 100) - 1 / (100 * 99))
    expected = float(theirs - paired + cross)
    assert kernel_distance(x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_and_its_error_are_those_of_all_pairs_at_once():
    x, y = features(100, 6, 0), features(100, 6, 1, shift=0.2)
    n = len(x)
    k_xx, k_yy, k_xy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    h = (k_xx + k_yy - k_xy - k_xy.T).fill_diagonal_(0)
    mean = h.sum() / (n * (n - 1))
    without = (h.sum() - 2 * h.sum(1)) / ((n - 1) * (n - 2))
    jackknife = (n - 1) / n * (without - without.mean()).square().sum()
    second_order = 2 * (h.square().sum() / (n * (n - 1)) - mean**2) / (n * (n - 1))
    variance = max(jackknife - second_order, second_order)
    expected = float(mean), float(variance.sqrt())
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-11)


def test_kernel_distance_has_mean_zero_on_one_distribution_and_its_error_is_its_spread(monkeypatch):
    """For as many rows and features as digits has; the jackknife's error is √2 times the spread."""
    monkeypatch.undo()  # many sets, in pieces of the usual size

    def one(seed: int) -> tuple[float, float]:
        x, y = torch.randn(2, 300, 32, generator=torch.Generator().manual_seed(seed)).double()
        return kernel_distance(x, y)

    answers = torch.tensor([one(s) for s in range(500)])
    spread = answers[:, 0].std()
    assert abs(answers[:, 0].mean()) < 4 * spread / math.sqrt(500)  # z = 4
    # a deviation from 500: ± 3 %, and a variance is kept above its second-order part: + 4 %
    assert float(answers[:, 1].mean() / spread) == pytest.approx(1, abs=0.12)


def test_kernel_distances_error_is_right_where_the_distributions_differ():
    def one(seed: int) -> tuple[float, float]:
        x, y = torch.randn(2, 80, 3, generator=torch.Generator().manual_seed(seed)).double()
        return kernel_distance(x, y + 0.8)

    answers = torch.tensor([one(s) for s in range(300)])
    # a deviation from 300: ± 4 %
    assert float(answers[:, 1].mean() / answers[:, 0].std()) == pytest.approx(1, abs=0.2)


def test_neighbourhoods_are_those_of_brute_force():
    x, y, k = features(90, 3, 0), features(80, 3, 1), 5

    def reach(rows: Tensor) -> list[float]:
        return [sorted(float((a - b).norm()) for b in rows)[k] for a in rows]

    real, fake = reach(x), reach(y)
    inside = [[float((a - b).norm()) <= real[i] for i, a in enumerate(x)] for b in y]
    inside_fake = [[float((a - b).norm()) <= fake[j] for j, b in enumerate(y)] for a in x]
    answer = neighbourhoods(x, y, k)
    covered = sum(map(any, zip(*inside, strict=True))) / 90
    placed = sum(map(any, zip(*inside_fake, strict=True))) / 80
    assert answer["precision"] == pytest.approx(min(sum(map(any, inside)) / 80, placed))
    assert answer["recall"] == pytest.approx(min(sum(map(any, inside_fake)) / 90, covered))
    assert answer["density"] == pytest.approx(sum(map(sum, inside)) / (k * 80))
    assert answer["coverage"] == pytest.approx(covered)
    assert 0 < answer["precision"] < 1
    assert 0 < answer["coverage"] < 1


@pytest.mark.parametrize("column", ["precision", "recall"])
def test_neither_precision_nor_recall_is_1_where_one_set_lies_around_the_other(column):
    """In 32 dimensions each ball of the wider set reaches past the narrower one, and holds it: by
    those balls alone every row would be in its place.
    """
    narrow, wide = torch.randn(2, 200, 32, generator=torch.Generator().manual_seed(3)).double()
    wide = 1.5 * wide
    real, fake = (narrow, wide) if column == "recall" else (wide, narrow)
    assert float((torch.cdist(narrow, wide) <= distances.radii(wide)).any(1).double().mean()) > 0.99
    assert neighbourhoods(real, fake)[column] < 0.2
    assert neighbourhoods(real[:100], real[100:])[column] > 0.7


def test_far_samples_have_neither_precision_nor_coverage():
    x = features(50, 4, 0)
    assert neighbourhoods(x, x + 100) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_distance_at_infinitely_many_rows_has_no_bias(shift):
    """Two sets of N(0, I) and N(shift, I) in 16 dimensions: the true distance is 16 shift²."""
    d, n, runs = 16, 300, 40
    g = torch.Generator().manual_seed(7)
    plain = []
    found = []
    for _ in range(runs):
        x, y = torch.randn(2, n, d, generator=g, dtype=torch.float64)
        plain.append(frechet(x, y + shift))
        found.append(frechet_of_infinitely_many(x, y + shift, g))
    error = np.std(found) / math.sqrt(runs)
    assert abs(np.mean(found) - d * shift**2) < 4 * error + 0.01
    assert np.mean(plain) - d * shift**2 > 0.2  # what the extrapolation takes off


def test_copies_of_training_rows_are_caught_and_fresh_rows_are_not():
    rows = torch.randn(1200, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    train, test, fresh = rows.split(400)
    of_test = nearest(test, train)
    assert copied(nearest(train[:100], train), of_test) == 1
    of_fresh = copied(nearest(fresh, train), of_test)
    assert abs(of_fresh - 0.5) < 4 * math.sqrt(1 / 12 * (2 / 400))
    assert copied(nearest(100 + fresh, train), of_test) == 0
    assert copied(of_test, of_test) == 0.5


def _direct(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


SETS = {
    "apart": (features(150, 6, 0), features(130, 6, 1)),
    "copies": (features(90, 6, 0)[:30].repeat(4, 1), features(90, 6, 0)),
    "far from the origin": (features(100, 6, 0, 1e6), features(100, 6, 1, 1e6)),
    "of few values": (features(120, 3, 0).round(), features(110, 3, 1).round()),
    "all one": (torch.ones(60, 4).double(), torch.ones(50, 4).double()),
    "few": (features(7, 4, 0), features(6, 4, 1)),
}


@pytest.mark.parametrize("case", SETS)
def test_neighbours_by_a_product_are_those_by_differences_to_the_bit(case):
    x, y = SETS[case]
    for k in (0, 1, 5):
        expected = _direct(x, y).topk(k + 1, largest=False).values[:, -1]
        assert torch.equal(neighbours.kth_nearest(x, y, k), expected)

    of_y = _direct(y, y).topk(6, largest=False).values[:, -1]
    of_x = _direct(x, x).topk(6, largest=False).values[:, -1]
    found = neighbours.are_within(x, y, of_y, of_x[:, None])
    assert torch.equal(found[0], _direct(x, y) <= of_y)
    assert torch.equal(found[1], _direct(x, y) <= of_x[:, None])
