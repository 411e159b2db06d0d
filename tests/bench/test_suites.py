"""The suites that come with vaezoo: each is read, and all that it names is there; one is planned as
the benchmark would.
"""

import pytest

from vaezoo.bench.plan import Request, make_plan, parse_seeds, settings_grid
from vaezoo.bench.suites import suites
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.registry import registry
from vaezoo.training.settings import split_settings

SUITES = suites()


def test_the_suites_are_those_that_the_handbook_names():
    assert set(SUITES) == {
        "burda",
        "debd",
        "miwae",
        "samplers",
        "sphere",
        "quick",
        "digits",
        "mnist",
        "fashion",
        "freyfaces",
        "sprites",
        "views",
        "music",
        "jsb",
        "little_data",
        "dimension",
        "mode_collapse",
        "few_labels",
        "missing",
    }


@pytest.mark.parametrize("name", list(SUITES))
def test_all_that_a_suite_names_is_there(name):
    arguments, known = SUITES[name].arguments, registry.load_registry()
    assert known.choose_variants(arguments["variants"])
    assert known.choose_datasets(arguments["datasets"])
    assert all(metric in known.metrics for metric in arguments["metrics"])
    assert parse_seeds(arguments["seeds"])
    assert [split_settings(one) for one in settings_grid(arguments["sets"])]


def test_quick_is_planned():
    plan = make_plan(registry.load_registry(), Request(**SUITES["quick"].arguments))
    assert [(t.variant, t.dataset, t.budget["epochs"]) for t in plan.trials] == [
        ("vae", "digits", 5),
        ("beta", "digits", 5),
        ("iwae", "digits", 5),
    ]


def test_a_list_of_values_makes_a_row_for_each():
    asked = Request("vae", "digits", "2", {"latent": [1, 4], "epochs": 3})
    plan = make_plan(registry.load_registry(), asked)
    assert [(t.spec["latent"], t.seed, t.budget["epochs"]) for t in plan.trials] == [
        (1, 0, 3),
        (1, 1, 3),
        (4, 0, 3),
        (4, 1, 3),
    ]
    assert plan.request["set"] == {"latent": [1, 4], "epochs": 3}


def test_two_lists_make_every_pair():
    assert settings_grid({"a": [1, 2], "b": 5, "c": [3, 4]}) == [
        {"a": 1, "b": 5, "c": 3},
        {"a": 1, "b": 5, "c": 4},
        {"a": 2, "b": 5, "c": 3},
        {"a": 2, "b": 5, "c": 4},
    ]


def test_every_value_of_a_list_is_checked():
    with pytest.raises(HyperparameterError, match="latent"):
        make_plan(registry.load_registry(), Request("vae", "digits", "1", {"latent": [4, 0]}))
