"""Bold: the rule as a whole, simulated on tables of equals, and cases with one right answer."""

import math

import numpy as np
import pytest
from scipy import special

from vaezoo.bench.report import best
from vaezoo.bench.report.best import best_rows, moderated

COLUMNS = 600  # simulated tables; three standard errors of a rate of 5 % are 2.7 %

# Standard deviations over seeds of `nll` on digits span a factor of sixty.
WIDE = np.geomspace(0.013, 0.86, 65)
TABLES = {
    "10 rows of 5 seeds": (np.ones(10), 5),
    "12 rows of 3 seeds": (np.ones(12), 3),
    "78 rows of 3 seeds": (np.ones(78), 3),
    "65 rows of 3 seeds with digits' spread": (WIDE, 3),
    "65 rows of 6 seeds with digits' spread": (WIDE, 6),
    "10 rows of 5 seeds, one with 8 times the spread": (np.r_[np.ones(9), 8.0], 5),
    "12 rows of 3 seeds, one with 8 times the spread": (np.r_[np.ones(11), 8.0], 3),
    "78 rows of 3 seeds, one with 8 times the spread": (np.r_[np.ones(77), 8.0], 3),
    "3 rows of 6 seeds": (np.ones(3), 6),
    "2 rows of 3 seeds": (np.ones(2), 3),
}


def column(values: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"row {i}": dict(enumerate(row)) for i, row in enumerate(values.tolist())}


@pytest.mark.parametrize("name", TABLES)
def test_of_equal_rows_one_is_called_worse_in_at_most_6_percent_of_columns(name, monkeypatch):
    monkeypatch.setattr(best, "DRAWS", 1000)
    spread, seeds = TABLES[name]
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(COLUMNS):
        values = generator.normal(size=(len(spread), seeds)) * spread[:, None]
        found = best_rows(column(values), "lower")
        wrong += len(found.rows) < len(spread)
    error = math.sqrt(0.06 * 0.94 / COLUMNS)
    assert wrong / COLUMNS <= 0.06 + 2 * error


def test_a_row_that_is_far_worse_is_called_worse():
    generator = np.random.default_rng(1)
    values = generator.normal(size=(12, 6))
    values[3] += 6.0
    assert "row 3" not in best_rows(column(values), "lower").rows
    assert best_rows(column(values), "higher").rows == {"row 3"}


def test_a_noisy_row_does_not_hide_the_others_differences():
    generator = np.random.default_rng(2)
    values = generator.normal(size=(12, 6))
    values[0] *= 50.0
    values[3] += 8.0
    found = best_rows(column(values), "lower")
    assert "row 3" not in found.rows or "row 0" in found.rows


def test_a_constant_gap_is_no_certainty():
    """Three seeds that all differ by less than the column shows say nothing."""
    a = {0: 1.0, 1: 1.0, 2: 1.0}
    b = {0: 1.001, 1: 1.001, 2: 1.001}
    assert best_rows({"a": a, "b": b}, "lower", resolution=0.01).rows == {"a", "b"}


@pytest.mark.parametrize(
    "samples",
    [
        {"alone": {0: 1.0, 1: 1.1, 2: 0.9}},
        {"a": {0: 1.0}, "b": {0: 2.0}},
        {"a": {}, "b": {}},
        {"a": {0: 1.0, 1: 1.0, 2: 1.1}, "survivor": {1: 0.0}},
        {},
    ],
)
def test_without_two_whole_rows_nothing_is_bold(samples):
    found = best_rows(samples, "lower")
    assert found.rows == frozenset()
    assert found.rule == "none"


def test_a_row_that_lost_a_seed_is_not_bold_and_changes_no_rule():
    whole = {"a": {0: 1.0, 1: 1.2, 2: 0.9}, "b": {0: 1.1, 1: 1.0, 2: 1.2}}
    found = best_rows(whole | {"short": {0: -5.0, 1: -5.1}}, "lower")
    assert found == best_rows(whole, "lower")


def test_equal_rows_are_equally_bold():
    a = {0: 1.0, 1: 1.2, 2: 0.9}
    assert best_rows({"a": a, "b": dict(a), "c": dict(a)}, "lower").rows == {"a", "b", "c"}


@pytest.mark.parametrize("df", [2, 5])
def test_moderation_finds_the_common_variance_and_its_weight(df):
    """Variances drawn from s₀² d₀/χ²_d₀ are shrunk as Smyth's posterior says, in the median."""
    generator = np.random.default_rng(3)
    prior_df, prior_s2 = 6.0, 2.0
    true = prior_s2 * prior_df / generator.chisquare(prior_df, 20_000)
    seen = true * generator.chisquare(df, 20_000) / df
    posterior = (prior_df * prior_s2 + df * seen) / (prior_df + df)
    found = moderated(seen, df)
    assert np.allclose(found, np.maximum(posterior, seen), rtol=0.05)


def test_the_inverse_of_trigamma_is_one():
    x = np.geomspace(1e-3, 1e5, 50)
    assert np.allclose(best._inverse_trigamma(special.polygamma(1, x)), x, rtol=1e-4)
