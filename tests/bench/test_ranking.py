"""Variants ranked over data sets, from the trials of their folders."""

import json

import numpy as np
import pytest
from scipy import stats

from tests.bench.test_compare import call, on, run_of
from vaezoo.bench.report.figures.ranks import _bars, diagram
from vaezoo.bench.report.interquartile import interquartile, interquartile_means
from vaezoo.bench.report.ranking import Ranking


def test_variants_are_ranked_over_the_data_sets_of_several_runs(tmp_path):
    """a before b before c on each of four data sets: χ² = 12 · 8 / (3 · 4) = 8 with 2 degrees."""
    scores = {"a": 1.0, "b": 2.0, "c": 3.0}
    runs = []
    for i in range(4):
        trials = [on(f"set{i}", name, 0, nll + i) for name, nll in scores.items()]
        trials += [on(f"set{i}", "partly", 0, 0.0)] if i == 0 else []
        runs.append(run_of(tmp_path / f"run{i}", trials))
    found = json.loads(call("rank", *runs, "--column", "nll", "--json").stdout)
    assert found["ranks"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert found["datasets"] == ["set0", "set1", "set2", "set3"]
    assert found["left_out"] == {"partly": "no number on set1, set2, set3"}
    assert found["groups"] == [["a", "b"], ["b", "c"]]  # 2 apart, and 1.66 is the distance
    assert found["statistic"] == pytest.approx(8.0)
    assert found["p"] == pytest.approx(0.0183156, rel=1e-5)  # exp(-4)
    # Demšar 2006, table 5a: q = 2.343 for three classifiers
    assert found["critical_difference"] == pytest.approx(2.343 * (12 / 24) ** 0.5, rel=1e-3)
    text = call("rank", *runs, "--column", "nll").stdout
    assert text.index("\na ") < text.index("\nb ") < text.index("\nc ")
    assert "Left out: partly (no number on set1, set2, set3)" in text


def test_higher_is_better_where_the_column_says_so(tmp_path):
    """elbo is -nll here: the same ranks, and the column that is ranked by when none is named."""
    trials = [on("digits", name, 0, nll) for name, nll in (("good", 1.0), ("bad", 2.0))]
    found = json.loads(call("rank", run_of(tmp_path / "run", trials), "--json").stdout)
    assert (found["column"], found["ranks"]) == ("elbo", {"good": 1.0, "bad": 2.0})
    assert (found["statistic"], found["p"]) == (None, None)  # two variants, one data set


def test_a_column_without_a_better_direction_cannot_be_ranked_by(tmp_path):
    run = run_of(tmp_path / "run", [on("digits", "vae", 0, 1.0)])
    result = call("rank", run, "--column", "kl")
    assert result.exit_code == 2
    assert "'kl' is no column with a better direction; there are elbo, nll" in result.stderr


def ranked(ranks, p=0.01, apart=1.0):
    """A ranking with these mean ranks."""
    return Ranking("nll", ("d0", "d1"), ranks, 9.0, p, apart, {})


def test_groups_are_the_longest_runs_within_the_critical_difference():
    """By hand: 1.0–1.9 and 1.9–2.8 overlap, 5.0 is alone, and 1.2–1.9 is part of the first."""
    ranks = {"a": 1.0, "b": 1.2, "c": 1.9, "d": 2.8, "e": 5.0}
    assert ranked(ranks).groups == [("a", "b", "c"), ("c", "d")]
    assert ranked(ranks, apart=0.1).groups == []
    assert ranked(ranks, apart=4.0).groups == [("a", "b", "c", "d", "e")]


def test_without_friedmans_rejection_all_are_one_group():
    assert ranked({"a": 1.0, "b": 2.0, "c": 3.0}, p=0.2, apart=0.5).groups == [("a", "b", "c")]


def test_bars_that_overlap_lie_above_each_other():
    ranks = {"a": 1.0, "b": 1.5, "c": 2.4, "d": 3.3, "e": 4.2, "f": 4.3}
    found = ranked(ranks)
    bars = [(1.0, 1.5, 0), (1.5, 2.4, 1), (2.4, 3.3, 0), (3.3, 4.3, 1)]
    assert _bars(found) == bars


def test_the_diagram_names_every_variant_and_draws_every_group():
    found = ranked({"a": 1.0, "b": 1.2, "c": 1.9, "d": 2.8, "e": 5.0})
    (ax,) = diagram(found).axes
    words = [text.get_text() for text in ax.texts]
    assert "a  1.00" in words
    assert "5.00  e" in words
    thick = [line for line in ax.lines if line.get_linewidth() == 2.5]
    assert [tuple(line.get_xdata()) for line in thick] == [(1.0, 1.9), (1.9, 2.8)]


def two_data_sets(tmp_path):
    """Three variants on two data sets of two seeds, b and c alike."""
    scores = {"a": (1.0, 1.2), "b": (2.0, 2.2), "c": (3.0, 3.2)}
    trials = []
    for dataset in ("d0", "d1"):
        for name, values in scores.items():
            trials += [on(dataset, name, seed, nll) for seed, nll in enumerate(values)]
    return run_of(tmp_path / "run", trials)


@pytest.mark.parametrize(
    ("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_diagram_is_written_as_a_file_of_its_ending(tmp_path, ending, magic):
    out = tmp_path / f"ranks.{ending}"
    assert call("rank", two_data_sets(tmp_path), "-o", out).exit_code == 0
    assert out.read_bytes().startswith(magic)


def test_a_diagram_needs_a_picture_file_three_variants_and_two_data_sets(tmp_path):
    run = two_data_sets(tmp_path)
    result = call("rank", run, "-o", tmp_path / "ranks.gif")
    assert (result.exit_code, "ends with .png, .svg, .pdf" in result.stderr) == (2, True)
    few = run_of(tmp_path / "few", [on("d0", name, 0, 1.0) for name in "abc"])
    result = call("rank", few, "-o", tmp_path / "ranks.png")
    assert (result.exit_code, "fewer than three variants" in result.stderr) == (2, True)


def test_a_report_draws_the_diagram_of_a_run_of_several_data_sets(tmp_path):
    run = two_data_sets(tmp_path)
    assert call("report", run).exit_code == 0
    assert (run / "figures" / "critical-difference-elbo.png").is_file()


def test_rows_that_are_compared_with_no_other_are_not_ranked(tmp_path):
    trials = []
    for dataset in ("d0", "d1"):
        for name in ("a", "b", "c", "short", "told", "small"):
            for seed in range(2 - (name == "short" and dataset == "d1")):
                one = on(dataset, name, seed, 1.0 + ord(name[0]))
                one["settings"] = {"likelihood_is": "given the label"} if name == "told" else {}
                one["ingredients"]["budget"] = {"epochs": 3} if name == "small" else {}
                trials.append(one)
    found = json.loads(call("rank", run_of(tmp_path / "run", trials), "--json").stdout)
    assert list(found["ranks"]) == ["a", "b", "c"]
    assert found["left_out"]["short"] == "fewer seeds than the table's 2: not compared, on d1"
    assert found["left_out"]["told"].startswith("likelihood is given the label: not compared")
    assert found["left_out"]["small"].startswith("epochs 3, not 100: not compared")


def test_numbers_that_the_column_shows_as_equal_share_a_rank(tmp_path):
    trials = [on("d0", name, 0, nll) for name, nll in (("a", 1.001), ("b", 1.002), ("c", 2.0))]
    found = json.loads(call("rank", run_of(tmp_path / "run", trials), "--json").stdout)
    assert found["ranks"] == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_the_interquartile_mean_is_the_trimmed_mean_of_all_runs():
    strata = [np.random.default_rng(i).normal(i, 1 + i, 6) for i in range(4)]
    found = interquartile(strata)
    assert found.mean == stats.trim_mean(np.concatenate(strata), 0.25)
    assert found.runs == 24
    assert found.low < found.mean < found.high
    assert interquartile(strata) == found, "the generator is seeded"
    assert np.isnan(interquartile([np.array([1.0]), np.array([2.0, 3.0])]).low)


def test_scores_are_normalised_by_the_median_and_the_quartiles_of_each_data_set():
    """Means 1, 2, 3, 4, 5 of unlike scales, by hand: the median is 3, the quartiles 2 and 4."""
    scores = {}
    for i, name in enumerate("abcde", 1):
        scores[name] = {"near": {0: i, 1: i}, "far": {0: 100.0 * i - 0.5, 1: 100.0 * i + 0.5}}
    found = interquartile_means(scores, "higher", 0.01)
    assert [one.mean for one in found.values()] == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0])
    lower = interquartile_means(scores, "lower", 0.01)
    assert lower["a"].mean == pytest.approx(1.0)


def test_equal_variants_are_told_apart_by_no_more_than_the_column_shows():
    scores = {name: {"d0": {0: 1.0, 1: 1.0}, "d1": {0: 2.0, 1: 2.0}} for name in "abc"}
    assert {one.mean for one in interquartile_means(scores, "lower", 0.01).values()} == {0.0}


def test_the_interval_covers_the_interquartile_mean_of_many_runs():
    """Five data sets of six seeds, 300 times: 95 % nominally; a bootstrap of so few has 92 to 94 %.
    With six of six draws in place of five it would be 90 %.
    """
    generator = np.random.default_rng(0)
    centres = generator.normal(size=5)
    spreads = 0.3 * np.exp(generator.normal(size=5) / 2)
    many = centres[:, None] + spreads[:, None] * generator.normal(size=(5, 20_000))
    true = stats.trim_mean(many.ravel(), 0.25)
    covered = 0
    for _ in range(300):
        runs = centres[:, None] + spreads[:, None] * generator.normal(size=(5, 6))
        found = interquartile(list(runs), draws=400)
        covered += found.low <= true <= found.high
    assert 0.91 <= covered / 300 <= 0.98
