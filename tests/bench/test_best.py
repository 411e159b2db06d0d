"""Bold: the rule as a whole, simulated on tables of equals, and cases with one right answer."""

import math

import numpy as np
import pytest
from scipy import special

from vaezoo.bench.report import best
from vaezoo.bench.report.best import best_rows, moderated
from vaezoo.bench.report.null import TABLES, errs

COLUMNS = 600  # simulated columns; two standard errors of a rate of 6 % are 1.9 %


def column(values: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"row {i}": dict(enumerate(row)) for i, row in enumerate(values.tolist())}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_of_equal_rows_one_is_called_worse_in_at_most_6_percent_of_columns(table, monkeypatch):
    monkeypatch.setattr(best, "DRAWS", 1000)
    rate, _ = errs(table, COLUMNS)
    assert rate <= 0.06 + 2 * math.sqrt(0.06 * 0.94 / COLUMNS)


def test_a_row_four_deviations_worse_is_mostly_seen(monkeypatch):
    monkeypatch.setattr(best, "DRAWS", 1000)
    _, power = errs(TABLES[0], 100, worse=4.0)
    assert power > 0.9


def test_a_row_that_is_far_worse_is_called_worse():
    generator = np.random.default_rng(1)
    values = generator.normal(size=(12, 6))
    values[3] += 6.0
    assert "row 3" not in best_rows(column(values), "lower").rows
    assert best_rows(column(values), "higher").rows == {"row 3"}


def test_a_noisy_row_does_not_hide_the_others_differences():
    generator = np.random.default_rng(2)
    values = generator.normal(size=(12, 6))
    values[0] = 100.0 + 50.0 * values[0]
    values[3] += 8.0
    assert "row 3" not in best_rows(column(values), "lower").rows


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


@pytest.mark.parametrize("rows", [7, best.KEPT + 1])
def test_the_pieces_of_the_draws_are_those_of_one_stream(rows: int):
    generator = np.random.default_rng(0)
    normals = generator.normal(size=(best.DRAWS, rows))
    squares = generator.chisquare(2, (best.DRAWS, rows))
    pieces = list(best._draws(best.DRAWS, rows, 2))
    assert np.array_equal(np.concatenate([piece.normals.T for piece in pieces]), normals)
    assert np.array_equal(np.concatenate([piece.squares.T for piece in pieces]), squares / 2)


@pytest.mark.parametrize(("rows", "seeds"), [(2, 2), (9, 3), (40, 6)])
def test_critical_values_are_those_of_the_rule_itself_applied_to_every_draw(rows: int, seeds: int):
    generator = np.random.default_rng(0)
    own = np.exp(3 * np.random.default_rng(1).normal(size=rows))
    means = generator.normal(size=(best.DRAWS, rows)) * np.sqrt(own / seeds)
    seen = own * generator.chisquare(seeds - 1, (best.DRAWS, rows)) / (seeds - 1)
    largest = best.distances(means, moderated(seen, seeds - 1) / seeds).max(1)
    assert best.critical_values([own], seeds) == pytest.approx([np.quantile(largest, 0.95)], 1e-12)


def test_contests_that_are_decided_together_come_out_as_each_alone():
    generator = np.random.default_rng(3)
    shapes = [(12, 6), (5, 3), (12, 6)]
    columns = [column(generator.normal(size=shape)) for shape in shapes]
    together = best.decided([None, *(best.contest(one, "lower") for one in columns)])
    assert together == [best.NO_BEST, *(best_rows(one, "lower") for one in columns)]
