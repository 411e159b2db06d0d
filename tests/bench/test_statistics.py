"""Statistics beside scipy, and the rule for bold."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vaezoo.bench.report import statistics as S

VALUES = [-91.2, -90.7, -92.4, -90.1, -91.9]


def test_interval_is_students():
    found = S.interval(VALUES)
    low, high = stats.t.interval(0.95, 4, np.mean(VALUES), stats.sem(VALUES))
    assert (found.mean - found.ci95, found.mean + found.ci95) == pytest.approx(
        (low, high), rel=1e-12
    )
    assert found.std == pytest.approx(np.std(VALUES, ddof=1), rel=1e-12)


def test_interval_of_one_value_has_no_width():
    found = S.interval([3.0])
    assert found.mean == 3.0
    assert math.isnan(found.ci95)


def test_interval_covers_the_mean_95_times_in_100_with_three_seeds():
    draws = np.random.default_rng(0).normal(size=(4000, 3))
    found = [S.interval(row.tolist()) for row in draws]
    covered = np.mean([abs(i.mean) <= i.ci95 for i in found])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)  # z = 4


@pytest.mark.parametrize("n", [3, 6, 9])
def test_permutation_test_is_scipys(n):
    d = np.random.default_rng(n).normal(0.7, 1, n)
    expected = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert S.paired_permutation(d) == pytest.approx(expected, rel=1e-12)


def test_permutation_test_with_many_seeds_is_close_to_the_t_test():
    d = np.random.default_rng(1).normal(0.4, 1, 40)
    assert S.paired_permutation(d) == pytest.approx(S.paired_t(d), abs=0.01)


def test_smallest_p_is_reached_where_every_seed_agrees():
    assert S.paired_permutation([1.0, 2.0, 3.0, 4.0]) == S.smallest_p(4) == 0.125


def test_holm_is_that_of_the_paper():
    # Holm 1979, by hand
    assert S.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_paired_t_of_equal_samples_is_one():
    assert S.paired_t([0.0, 0.0, 0.0]) == 1.0


def test_difference_with_few_seeds_says_underpowered_instead_of_no_difference():
    near = dict(enumerate([1.0, 1.2, 0.9]))
    assert S.difference(near, dict(enumerate([1.1, 1.0, 1.0]))).verdict == "underpowered"
    many = {s: float(v) for s, v in enumerate(np.random.default_rng(0).normal(size=12))}
    same = {s: float(v) for s, v in enumerate(np.random.default_rng(1).normal(size=12))}
    assert S.difference(many, same).verdict == "no difference found"


def test_friedman_and_ranks_are_scipys():
    table = np.array([[9, 8, 7, 6], [5, 9, 4, 3], [2, 1, 8, 1]], float)
    scores = {f"v{i}": {f"d{j}": table[i, j] for j in range(4)} for i in range(3)}
    expected = stats.friedmanchisquare(*table)
    assert S.friedman(scores) == pytest.approx((expected.statistic, expected.pvalue))
    assert S.mean_ranks(scores, "higher") == {"v0": 1.5, "v1": 2.0, "v2": 2.5}
    assert sum(S.mean_ranks(scores, "lower").values()) == pytest.approx(6)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_difference_has_demsars_quantiles(k, q):
    assert S.critical_difference(k, 14) == pytest.approx(
        q * math.sqrt(k * (k + 1) / (6 * 14)), rel=1e-3
    )


def test_exact_enumeration_is_all_sign_patterns():
    d = [0.5, -0.2, 1.1]
    sums = [
        sum(s * x for s, x in zip(signs, d, strict=True))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    assert S.paired_permutation(d) == np.mean([abs(s) >= abs(sum(d)) - 1e-12 for s in sums])
