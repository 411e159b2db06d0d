"""Hunts over what is asked for in words: selectors, seeds, settings, sweeps, suites."""

import json
import math
import tomllib

import pytest
from hypothesis import assume, given, strategies as st

from tests.attack.hunts.words import must_be_sentence, numbers, texts, values
from vaezoo.bench.plan import PlanError, parse_seeds, settings_grid
from vaezoo.bench.suites import Suite, SuiteError, read_suite
from vaezoo.data.published import read_published
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.registry.registry import load_registry
from vaezoo.registry.selection import SelectionError, read_selection, resolved
from vaezoo.training.settings import SettingError, split_settings

REGISTRY = load_registry()
NAMES = sorted(REGISTRY.variants)
TOKENS = st.sampled_from([
    *NAMES, "all", "not:", "not:*gan", "*", "?", "[", "]", "(", ")", "=", ",", "'", '"', "beta=1",
    "beta=1,2", "none", "nan", "inf", "1e999", "-1", "true", "[1,2]", "(1,", "\\", "\n", " ", "\0",
    "\x1b[31m", "é", "posterior=iaf", "prior=vamp", "prior.components=5", "loss=iwae", "mix",
    "likelihood=student_t[df=5]", "latent=3", ":", ".", "0x10", "1_000", "9" * 500, "recurrent",
])  # fmt: skip
VALUED = st.builds(
    lambda name, inside: f"{name}[{inside}]",
    st.sampled_from(["beta", "mix", "vae", "iwae", "vamp", "factor", "info"]),
    st.lists(TOKENS, min_size=1, max_size=4).map("".join),
)
SELECTORS = st.one_of(
    st.lists(TOKENS, max_size=9).map("".join),
    st.lists(VALUED, min_size=1, max_size=3).map(",".join),
    texts,
)


def same(a, b):
    """Whether two choices are of the same thing with the same values."""
    return (a.entry.name, json.dumps(a.values, default=str, sort_keys=True)) == (
        b.entry.name,
        json.dumps(b.values, default=str, sort_keys=True),
    )


@given(SELECTORS)
def test_a_label_of_a_variant_reads_back_as_itself(text):
    try:
        chosen = REGISTRY.choose_variants(text)
    except SelectionError as error:
        must_be_sentence(error)
        return
    for one in chosen[:5]:
        (again,) = REGISTRY.choose_variants(one.label)
        assert same(one, again)
    names = ",".join(one.label for one in chosen)
    assert [one.label for one in REGISTRY.choose_variants(names)] == [o.label for o in chosen]


@given(texts.filter(bool), st.sampled_from(["", "none", "a+b", "x y"]), st.booleans())
def test_a_label_of_a_data_set_reads_back_as_itself(path, drop, is_gappy):
    given_ = {"path": path, "drop": drop, "gaps": str(is_gappy)}
    try:
        one = resolved(REGISTRY.datasets["arrays"], given_)
        (again,) = REGISTRY.choose_datasets(one.label)
    except SelectionError as error:
        must_be_sentence(error)
        return
    assert again.values == one.values


@given(st.lists(TOKENS, max_size=7).map("".join))
def test_what_is_taken_away_is_not_there_and_the_rest_is(text):
    try:
        before = REGISTRY.choose_variants(text)
        after = REGISTRY.choose_variants(f"{text},not:vae")
    except SelectionError as error:
        must_be_sentence(error)
        return
    assert [one.label for one in after] == [o.label for o in before if o.entry.name != "vae"]


COUNTS = st.one_of(
    texts,
    st.integers(-3, 20_000).map(str),
    st.lists(st.integers(-1, 2**70).map(str), max_size=5).map(",".join),
    st.lists(st.integers(-1, 2**70), max_size=5),
)


@given(COUNTS)
def test_seeds_are_distinct_and_say_themselves(text):
    try:
        seeds = parse_seeds(text)
    except PlanError as error:
        must_be_sentence(error)
        return
    assert seeds
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed <= 2**64 for seed in seeds)  # what a record of a trial takes
    assert parse_seeds(",".join(map(str, seeds)) + ",") == seeds
    assert parse_seeds(seeds) == seeds


KEYS = st.sampled_from([
    "epochs", "batch", "learning_rate", "patience", "clip", "adam_epsilon", "pool", "truncate",
    "steps", "schedule", "optimizer", "warmup", "skip", "latent", "hidden", "network",
    "likelihood", "levels", "Epochs", "",
])  # fmt: skip
WORDS = st.one_of(
    values,
    numbers.map(str),
    st.sampled_from(
        ["mlp", "conv", "mlp[layers=2]", "normal", "student_t[df=5]", "cosine", "1e-3"]
    ),
)


@given(st.dictionaries(KEYS, WORDS, max_size=4))
def test_settings_that_were_checked_are_in_range_and_stay_as_they_are(sets):
    try:
        budget, size = split_settings(sets)
    except (HyperparameterError, SettingError) as error:
        must_be_sentence(error)
        return
    both = budget | size
    assert both.keys() == sets.keys()
    assert split_settings(both) == (budget, size)
    for name, value in both.items():
        assert isinstance(value, str) or math.isfinite(value), name
        json.dumps(value, allow_nan=False)


@given(
    st.dictionaries(KEYS, st.one_of(scalar := numbers, st.lists(scalar, max_size=4)), max_size=4)
)
def test_a_grid_has_every_combination_once_in_order(sets):
    lists = {key: value if isinstance(value, list) else [value] for key, value in sets.items()}
    rows = settings_grid(sets)
    assert len(rows) == math.prod(map(len, lists.values()))
    assert all(row.keys() == sets.keys() for row in rows)
    for key, each in lists.items():
        found = [row[key] for row in rows]
        assert [repr(v) for v in dict.fromkeys(map(repr, found))] == [
            repr(v) for v in dict.fromkeys(map(repr, each if rows else []))
        ]


SWEPT = st.lists(
    st.sampled_from(["1", "2", "4.0", "0.5", "1e1", "'8'", '"3"']), min_size=1, max_size=5
)


@given(SWEPT, st.sampled_from(["beta", "beta,beta", "not:vae,beta"]))
def test_a_sweep_makes_a_row_for_each_value(given_, pattern):
    text = f"beta[beta={','.join(given_)}]"
    (item,) = read_selection(text, "variant")
    assert item.sweeps == {"beta": tuple(given_)}
    rows = REGISTRY.choose_variants(text)
    wanted = dict.fromkeys(float(value.strip("'\"")) for value in given_)
    assert [row.values["beta"] for row in rows] == list(wanted)


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode()).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        pairs = (f"{toml(str(key))} = {toml(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    return "0" if value is None else str(value)


FIELDS = st.sampled_from([*Suite.model_fields, "evil", "self", "model_config"])
PLAIN = st.one_of(values, st.lists(texts, max_size=3), st.sampled_from(["digits", 3, "0,1", 60.0]))
SUITES = st.dictionaries(FIELDS, PLAIN, max_size=5).map(
    lambda facts: "\n".join(f"{key} = {toml(value)}" for key, value in facts.items())
)


@given(st.one_of(SUITES, SUITES.map(lambda text: f"title = 'x'\n{text}"), texts))
def test_a_suite_says_what_its_file_says(text):
    try:
        suite = read_suite(text, "hunt")
    except SuiteError as error:
        must_be_sentence(error)
        return
    stored = tomllib.loads(text)
    assert stored.keys() <= Suite.model_fields.keys()
    again = suite.model_dump(exclude_unset=True)
    assert Suite(**again) == suite or "nan" in text
    assert suite.arguments["sets"] == suite.set
    assert suite.timeout is None or suite.timeout > 0


ROW = {"name": "a", "ours": "vae", "cells": {"digits": 3.0}, "spread": {"digits": 0.1}}
TABLE = {
    "title": "t", "paper": "p", "provenance": "memory", "setting": "s", "column": "nll",
    "printed": "number", "runs": 2, "suites": ["digits"], "claims": [["a", "b"]], "rows": [ROW],
}  # fmt: skip
PUBLISHED = st.builds(
    lambda key, value, printed, cell: (
        TABLE
        | {"printed": printed, "rows": [ROW | {"cells": {"digits": cell}}]}
        | ({key: value} if key else {})
    ),
    st.sampled_from(["", *TABLE, "evil"]),
    PLAIN,
    st.sampled_from(["number", "square", "negative", "percent wrong"]),
    st.floats(),
)


@given(PUBLISHED)
def test_a_published_number_is_ours_and_printed_again_as_it_was(facts):
    text = "\n".join(f"{key} = {toml(value)}" for key, value in facts.items())
    try:
        table = read_published(text, "hunt.toml")
    except ValueError as error:
        must_be_sentence(error)
        return
    for row in table.rows:
        for value in row.cells.values():
            assume(abs(value) < 1e150)
            ours = table.as_ours(value)
            assert math.isfinite(ours)
            slack = 1e-9 * max(100.0, abs(value))
            assert table.as_printed(ours) == pytest.approx(value, abs=slack)
