"""Hunts over numbers: what statistics, distances and the bold rule may not depend on; picks of a
table; keys of trials.
"""

import csv
import io
import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, strategies as st

from tests.attack.hunts.words import must_be_sentence, scalars, texts
from tests.bench.test_pick import picked, trials
from vaezoo.bench.report.best import best_rows
from vaezoo.bench.report.exports import as_csv, as_html, as_markdown, as_tex
from vaezoo.bench.report.report import ReportError
from vaezoo.bench.report.statistics import (
    difference,
    friedman,
    holm,
    interval,
    mean_ranks,
    paired_permutation,
    paired_t,
)
from vaezoo.bench.trial import NOT_IN_KEY, Trial, canonical
from vaezoo.evaluation.distances import copied, frechet, kernel_distance, nearest, neighbourhoods
from vaezoo.evaluation.tails import pareto_k
from vaezoo.registry.registry import load_registry
from vaezoo.registry.selection import SelectionError
from vaezoo.training.budget import Budget

# of what is smaller, powers of two of differences are rounded
VALUES = st.one_of(
    st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-250),
    st.integers(-50, 50).map(float),
    st.sampled_from([0.0, -0.0, 1e-200, 7.1]),
)
SAMPLES = st.integers(2, 4).flatmap(
    lambda seeds: st.dictionaries(
        st.sampled_from("abcdef"),
        st.lists(VALUES, min_size=1, max_size=seeds).map(lambda v: dict(enumerate(v))),
        max_size=5,
    )
)
POWERS = st.integers(-8, 8).map(lambda k: 2.0**k)  # by which doubles are scaled without rounding


@given(SAMPLES, POWERS, st.sampled_from([0.0, 0.01, 1.0]))
def test_what_is_bold_depends_on_no_unit_no_sign_and_no_name(samples, scale, resolution):
    bold = best_rows(samples, "lower", resolution).rows
    assert bold <= samples.keys()
    scaled = {k: {s: scale * v for s, v in one.items()} for k, one in samples.items()}
    assert best_rows(scaled, "lower", scale * resolution).rows == bold
    turned = {k: {s: -v for s, v in one.items()} for k, one in samples.items()}
    assert best_rows(turned, "higher", resolution).rows == bold
    renamed = {f"{k}!": one for k, one in samples.items()}
    assert best_rows(renamed, "lower", resolution).rows == {f"{k}!" for k in bold}
    whole = [k for k in samples if len(samples[k]) == max(map(len, samples.values()))]
    if bold:
        means = {k: sum(samples[k].values()) / len(samples[k]) for k in whole}
        best = min(means.values())
        slack = 1e-9 * max(map(abs, means.values()))
        assert any(means[k] <= best + slack for k in bold)
        # who is as good as a bold row by more than its own spread is bold too
        assert all(len(samples[k]) == len(samples[whole[0]]) for k in bold)


@given(st.lists(VALUES, max_size=6), POWERS, st.randoms(use_true_random=False))
def test_an_interval_moves_with_its_values(values, scale, random):
    found = interval(values)
    assert found.n == len(values)
    if not values:
        return
    slack = 1e-9 * max(map(abs, values)) + 1e-300
    assert min(values) - slack <= found.mean <= max(values) + slack
    scaled = interval([scale * value for value in values])
    assert scaled.mean == scale * found.mean
    assert scaled.ci95 == pytest.approx(scale * found.ci95, nan_ok=True)
    shuffled = random.sample(values, len(values))
    assert interval(shuffled).mean == found.mean
    assert interval(shuffled).std == pytest.approx(found.std, nan_ok=True)
    assert math.isnan(found.std) == (len(values) == 1)
    assert not found.std < 0


PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=7)


@given(PAIRS, POWERS, st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_difference_is_the_other_one_turned(pairs, scale, among, random):
    a = {i: one for i, (one, _) in enumerate(pairs)}
    b = {i: other for i, (_, other) in enumerate(pairs)}
    there = difference(a, b, 0.01, among)
    back = difference(b, a, 0.01, among)
    assert (there.mean, there.p, there.test) == (-back.mean, back.p, back.test)
    assert 0 < there.p <= 1 or there.largest > 1e9
    gaps = [one - other for one, other in pairs]
    for test in (paired_permutation, paired_t):
        p = test(gaps)
        assert 0 <= p <= 1
        assert test([-gap for gap in gaps]) == p
        assert test([scale * gap for gap in gaps]) == pytest.approx(p, abs=1e-9)
        assert test(random.sample(gaps, len(gaps))) == pytest.approx(p, abs=1e-9)
    assert difference(a, a).mean == 0
    assert not difference(a, a).is_tested


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms(use_true_random=False))
def test_adjusted_p_values_are_no_smaller_and_keep_their_order(p, random):
    found = holm(p)
    assert all(one <= other <= 1 for one, other in zip(p, found, strict=True))
    order = random.sample(range(len(p)), len(p))
    assert sorted(holm([p[i] for i in order])) == sorted(found)
    ranked = [found[i] for i in sorted(range(len(p)), key=p.__getitem__)]
    assert ranked == sorted(ranked)


SCORES = st.integers(1, 4).flatmap(
    lambda n: st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(VALUES, min_size=n, max_size=n).map(lambda v: dict(enumerate(map(float, v)))),
        min_size=1,
        max_size=5,
    )
)


@given(SCORES, POWERS)
def test_ranks_add_up_and_depend_on_the_order_alone(scores, scale):
    ranks = mean_ranks(scores, "lower")
    n = len(scores)
    assert sum(ranks.values()) == pytest.approx(n * (n + 1) / 2)
    higher = mean_ranks(scores, "higher")
    assert all(ranks[k] + higher[k] == pytest.approx(n + 1) for k in scores)
    moved = {k: {d: scale * v for d, v in one.items()} for k, one in scores.items()}
    assert mean_ranks(moved, "lower") == ranks
    statistic, p = friedman(scores)
    assert math.isnan(p) or (0 <= p <= 1 and statistic >= -1e-9)


def features(rows, seed, scale, kind):
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    made = {
        "normal": x,
        "equal": torch.ones_like(x),
        "twins": x[:1].repeat(rows, 1),
        "grid": x.round(),
        "far": x + 1e6,
    }
    return scale * made[kind]


KINDS = st.sampled_from(["normal", "equal", "twins", "grid", "far"])
SETS = st.builds(
    features, st.integers(7, 12), st.integers(0, 99), st.sampled_from([1e-6, 1.0, 1e3]), KINDS
)


@given(SETS, SETS)
def test_distances_of_any_two_sets_are_numbers_in_their_range(x, y):
    size = float(torch.cat([x, y]).square().sum()) + 1e-300
    there = frechet(x, y)
    assert 0 <= there < math.inf
    assert frechet(y, x) == pytest.approx(there, abs=1e-6 * size)
    assert frechet(x, x) <= 1e-6 * size
    estimate, error = kernel_distance(x, y)
    assert math.isfinite(estimate)
    assert math.isfinite(error)
    for name, value in neighbourhoods(x, y, 3).items():
        assert 0 <= value <= (1 if name != "density" else len(x) / 3 + 1), name
    assert 0 <= copied(nearest(x, y), nearest(y, x)) <= 1
    assert nearest(x, x).max() == 0


@given(
    st.integers(2, 30),
    st.sampled_from([1e-9, 1.0, 50.0, 1e4]),
    st.sampled_from(["normal", "equal", "two", "one far"]),
    st.integers(0, 99),
)
def test_a_tail_has_a_shape_or_none_and_none_that_is_infinite(n, scale, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64) * scale
    x = {"normal": x, "equal": x.mul(0), "two": x.sign(), "one far": x.mul(0)}[kind]
    if kind == "one far":
        x[0] += 700
    kept = x.sort(0, descending=True).values
    found = pareto_k(kept)
    assert found.shape == (2,)
    assert not found.isinf().any()
    assert torch.allclose(pareto_k(kept + 3.0), found, atol=1e-6, equal_nan=True)


TRIALS = trials()
ASKED = st.one_of(
    texts,
    st.lists(
        st.sampled_from([
            "vae", "beta", "cvae", "*vae", "tag:static", "tag:flow", "not:vae", "not:cvae", "all",
            "beta[beta=4]", "[", "*", "?", "", "not:", "beta[beta=nan]", "{", "vae ",
        ]),
        max_size=4,
    ).map(",".join),
)  # fmt: skip
COLUMNS = st.one_of(
    st.lists(
        st.sampled_from(["nll", "fid", "elbo", "n*", "*", "at_limit", "", "parameters", "["]),
        max_size=3,
    ).map(",".join),
    texts,
)


@given(ASKED, COLUMNS, st.one_of(st.sampled_from(["", "nll", "fid", "elbo", "status"]), texts))
def test_a_pick_has_the_rows_that_were_asked_for_in_every_form(rows, columns, sort):
    try:
        found = picked(rows, columns, sort, TRIALS)
    except (ReportError, SelectionError) as error:
        must_be_sentence(error)
        return
    whole = picked("", columns, "", TRIALS)
    for one in found:
        cells = {row.name: line[1:] for row, line in zip(one.rows, one.grid.body, strict=True)}
        (other,) = (each for each in whole if each.dataset == one.dataset)
        known = {row.name: line[1:] for row, line in zip(other.rows, other.grid.body, strict=True)}
        plain = {name: [cell.partition(" [")[0] for cell in line] for name, line in cells.items()}
        assert plain == {name: [cell.partition(" [")[0] for cell in known[name]] for name in plain}
        if sort in ("nll", "fid"):
            means = [row.interval(sort).mean for row in one.rows]
            assert means == sorted(means)
    lines = list(csv.reader(io.StringIO(as_csv(found))))
    assert len(lines) == 1 + sum(len(one.rows) for one in found)
    for form in (as_markdown, as_tex, as_html):
        assert all(row.variant in form(found) for one in found for row in one.rows)


FACTS = {
    "variant": "vae", "name": "vae", "hyperparameters": {"beta": 4.0, "k": [1, 2]},
    "plugin": {"module": "m", "source_hash": "0"}, "dataset": "digits",
    "data": {"name": "digits", "options": {}, "hashes": {"train": "0" * 64}},
    "spec": {"likelihood": "bernoulli", "latent": 2}, "seed": 3, "budget": {"epochs": 5},
}  # fmt: skip
REGISTRY = load_registry()


def turned(value, random):
    """The same JSON, its objects in another order."""
    if isinstance(value, dict):
        keys = random.sample(list(value), len(value))
        return {key: turned(value[key], random) for key in keys}
    return [turned(one, random) for one in value] if isinstance(value, list) else value


# what a choice of hyperparameters can be: letters that are whole, numbers that JSON has
WHOLE = scalars.filter(lambda value: not isinstance(value, float) or math.isfinite(value)).map(
    lambda value: value.replace("\ud800", "") if isinstance(value, str) else value
)
SOME = st.dictionaries(
    texts.map(lambda text: text.replace("\ud800", "")),
    st.one_of(WHOLE, st.lists(WHOLE, max_size=2)),
    max_size=3,
)


@given(SOME, SOME, st.randoms(use_true_random=False), st.integers(0, 99))
def test_the_same_content_has_the_same_key_and_other_content_another(
    hyperparameters, options, random, seed
):
    facts = FACTS | {"hyperparameters": hyperparameters, "seed": seed}
    one = Trial.from_json(facts | {"metrics": [], "samplers": []})
    again = Trial.from_json(json.loads(json.dumps(turned(asdict(one), random))))
    assert canonical(again.ingredients) == canonical(one.ingredients)
    key = one.key
    assert again.key == key
    for name in NOT_IN_KEY:
        other = replace(one, **{name: options if name == "options" else getattr(one, name)})
        assert other.key == key
    usual = {name: value for name, value in asdict(Budget()).items() if name not in one.budget}
    later = {name: usual[name] for name in ("steps", "schedule", "optimizer", "warmup", "skip")}
    assert replace(one, budget=one.budget | later).key == key
    if canonical(options) != canonical(hyperparameters):
        assert replace(one, hyperparameters=options).key != key
    assert replace(one, seed=seed + 1).key != key


NUMBER = st.floats(1e-3, 1e3)


@given(NUMBER, st.sampled_from([repr, "{:.20g}".format, "{:e}".format, "'{!r}'".format]))
def test_a_number_has_one_key_however_it_is_written(value, write):
    text = write(value)
    (one,) = REGISTRY.choose_variants(f"beta[beta={text}]")
    (other,) = REGISTRY.choose_variants(f"beta[beta={float(text.strip(chr(39)))!r}]")
    assert canonical(dict(one.values)) == canonical(dict(other.values))
    assert one.label == other.label
