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


def test_paired_t_is_scipys_where_numbers_vary():
    d = np.random.default_rng(2).normal(0.7, 1, 5)
    assert S.paired_t(d, 0.01) == pytest.approx(stats.ttest_1samp(d, 0.0).pvalue, rel=1e-12)


@pytest.mark.parametrize("gap", [0.3, -0.3, 1e-9, 1e12])
@pytest.mark.parametrize("resolution", [0.0, 0.01])
def test_a_constant_gap_is_no_certainty(gap, resolution):
    """Three numbers that happen to differ by the same."""
    assert 0 < S.paired_t([gap] * 3, resolution) <= 1
    assert S.difference(dict.fromkeys(range(3), gap), dict.fromkeys(range(3), 0.0), 0.01).p > 0


def test_the_variance_of_a_constant_gap_is_that_of_two_rounded_numbers():
    """One active unit more in each of three seeds: s² = 2/12, t = 1 / √(s²/3), by hand."""
    t = 1 / math.sqrt(2 / 12 / 3)
    assert S.paired_t([1.0, 1.0, 1.0], 1.0) == pytest.approx(2 * stats.t.sf(t, 2), rel=1e-12)


def test_gaps_that_no_column_shows_are_no_difference():
    a = {s: 20.0 + s for s in range(8)}
    b = {s: 20.0 + s + 1e-6 for s in range(8)}
    assert S.difference(a, b, 0.01).test == "permutation"
    assert S.difference(a, b, 0.01).p == 1.0
    assert S.difference(a, b).p == S.smallest_p(8)


def test_ranks_that_all_tie_differ_by_nothing():
    scores = {f"v{i}": {"d0": 1.0, "d1": 2.0} for i in range(3)}
    assert S.friedman(scores) == (0.0, 1.0)


def test_difference_with_few_seeds_says_underpowered_instead_of_no_difference():
    near = dict(enumerate([1.0, 1.2, 0.9]))
    found = S.difference(near, dict(enumerate([1.1, 1.0, 1.0])))
    assert S.verdict(found.p, found.n) == "underpowered"
    many = {s: float(v) for s, v in enumerate(np.random.default_rng(0).normal(size=12))}
    same = {s: float(v) for s, v in enumerate(np.random.default_rng(1).normal(size=12))}
    found = S.difference(many, same)
    assert S.verdict(found.p, found.n) == "no difference found"


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
