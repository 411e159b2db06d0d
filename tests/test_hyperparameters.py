"""Hyperparameters: text to typed values, ranges, near names."""

from typing import Literal

import pytest

from vaezoo.hyperparameters import (
    Count,
    Fraction,
    HyperparameterError,
    Positive,
    hyperparameters,
    resolve,
)


def variant(
    spec,
    beta: Positive = 4.0,
    k: Count = 8,
    kind: Literal["a", "b"] = "a",
    warm: Fraction = 0.5,
    on: bool = False,
):
    """A variant."""


def needs(spec, path: str):
    """A data set with an option that must be given."""


def test_text_becomes_the_annotated_type_and_the_rest_stays_at_its_default():
    assert resolve(variant, {"beta": "2", "k": "3", "on": "true"}, "variant") == {
        "beta": 2.0, "k": 3, "kind": "a", "warm": 0.5, "on": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bta": 1}, "no hyperparameter 'bta'; did you mean 'beta'"),
        ({"beta": -1}, r"variant\[beta=-1\] is out of range: beta is float > 0"),
        ({"beta": "nan"}, "beta"),
        ({"beta": "much"}, "valid number"),
        ({"k": 2.5}, "k is int ≥ 1"),
        ({"kind": "c"}, r"kind is a \| b"),
        ({"warm": 1.5}, "≤ 1"),
        ({"spec": 1}, "no hyperparameter 'spec'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(given, words):
    with pytest.raises(HyperparameterError, match=words) as caught:
        resolve(variant, given, "variant")
    assert "\n" not in str(caught.value)


def test_an_option_without_a_default_must_be_given():
    with pytest.raises(HyperparameterError, match=r"arrays needs path=… \(str\)"):
        resolve(needs, {}, "arrays")


def test_what_the_builder_is_handed_is_no_hyperparameter():
    assert list(hyperparameters(variant)) == ["beta", "k", "kind", "warm", "on"]
