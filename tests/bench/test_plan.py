"""Plans: what is checked before training, and what a key depends on."""

from dataclasses import replace

import pytest

from vaezoo.bench.estimate import estimate
from vaezoo.bench.plan import PlanError, Request, parse_seeds
from vaezoo.bench.report.typeset import grid_text
from vaezoo.bench.suites import SuiteError, load_suite, read_suite, suites
from vaezoo.bench.trial import Trial
from vaezoo.bench.workers.probe import Processes
from vaezoo.data.data import identity_of
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.training.budget import LATER, Budget
from vaezoo.training.settings import split_settings

TRIAL = Trial(
    variant="good",
    name="good",
    hyperparameters={"weight": 1.0},
    plugin={"distribution": "", "version": "", "module": "good", "source_hash": "a"},
    dataset="tiny",
    data={"name": "tiny", "hashes": {"train": "1", "validation": "2", "test": "3"}},
    spec={"shape": [1, 4, 4], "likelihood": "bernoulli"},
    seed=0,
    budget={"epochs": 2},
)

CHANGES = {
    "hyperparameters": {"weight": 2.0},
    "plugin": TRIAL.plugin | {"source_hash": "b"},
    "data": {"name": "tiny", "hashes": {"train": "1", "validation": "2", "test": "4"}},
    "spec": {"shape": [1, 4, 4], "likelihood": "normal"},
    "seed": 1,
    "budget": {"epochs": 3},
    "device": "cuda",
    "precision": "float64",
    "threads": 2,
    "stacking": 4,
    "importance_samples": 5,
    "samplers": (
        {
            "name": "mixture",
            "label": "mixture",
            "hyperparameters": {"components": 10},
            "source_hash": "a",
        },
    ),
    "name": "other",
}


@pytest.mark.parametrize("field", CHANGES)
def test_key_changes_with_every_ingredient(field):
    assert replace(TRIAL, **{field: CHANGES[field]}).key != TRIAL.key


def test_key_changes_with_the_protocol(monkeypatch):
    before = TRIAL.key
    monkeypatch.setattr("vaezoo.bench.trial.PROTOCOL", 999)
    assert replace(TRIAL).key != before


def test_a_field_of_the_budget_that_came_later_is_in_no_key_until_it_is_used():
    before = replace(TRIAL, budget={"epochs": 2, "batch": 128})
    assert replace(TRIAL, budget={"epochs": 2, "batch": 128} | LATER).key == before.key
    used = {"steps": 1, "schedule": "cosine", "optimizer": "adamax", "warmup": 100, "skip": 9.0}
    assert used.keys() == LATER.keys()
    for name, value in used.items():
        assert replace(before, budget=before.budget | LATER | {name: value}).key != before.key
    assert all(value == getattr(Budget(), name) for name, value in LATER.items())


def test_key_does_not_depend_on_labels():
    assert replace(TRIAL, variant="good[weight=1.0]", dataset="tiny2").key == TRIAL.key


def test_adding_a_variant_changes_no_other_key(plan, write_variant):
    before = {trial.title: trial.key for trial in plan("good,other", "2").trials}
    write_variant("newcomer")
    after = {trial.title: trial.key for trial in plan("good,newcomer,other", "2").trials}
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()


def test_changing_a_plugins_source_changes_its_key_and_no_other(plan, write_variant):
    before = [trial.key for trial in plan("good,other").trials]
    write_variant("good", step="x = 1")
    after = [trial.key for trial in plan("good,other").trials]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_settings_reach_budget_and_spec_with_their_types(plan):
    trial = plan(sets={"epochs": "7", "latent": "3", "learning_rate": "0.01"}).trials[0]
    assert trial.budget["epochs"] == 7
    assert trial.budget["learning_rate"] == 0.01
    assert trial.budget["batch"] == 32  # the data set's own
    assert trial.spec["latent"] == 3


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"epoch": "3"}, "did you mean 'epochs'"),
        ({"epochs": "0"}, "epochs is int"),
        ({"epochs": "many"}, "epochs=many"),
        ({"likelihood": "bernouli"}, "likelihood"),
        ({"latent": "-1"}, "latent is int"),
    ],
)
def test_bad_settings_are_one_sentence(sets, words):
    with pytest.raises(HyperparameterError, match=words):
        split_settings(sets)


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), ("0,5", (0, 5)), ("7,", (7,)), ([4, 2], (4, 2))]
)
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-1,2", "1,1", "two"])
def test_bad_seeds_are_refused(text):
    with pytest.raises(PlanError):
        parse_seeds(text)


def test_one_trial_under_two_labels_is_planned_once(plan):
    assert len(plan("good,good[weight=1.0]").trials) == 1


def test_unsupported_is_planned_as_skipped_and_a_crashing_builder_is_not(plan, write_variant):
    write_variant("cannot", build="raise Unsupported('needs a sequence')")
    write_variant("crashes", build="os._exit(3)")
    made = plan("cannot,crashes,good", probe=Processes())
    assert [trial.skip for trial in made.trials] == ["needs a sequence", "", ""]
    text = grid_text(estimate(made, {}, (), jobs=1))
    assert "2 trials to train, 1 skipped" in text
    assert "skipped: needs a sequence" in text


def test_unknown_metric_is_refused(plan, plugins):
    from vaezoo.bench.plan import make_plan
    from vaezoo.registry import registry

    with pytest.raises(PlanError, match="'quick'"):
        make_plan(registry.load_registry(plugins), Request("good", "tiny", metrics=("quik",)))


def test_suite_is_checked():
    assert (
        read_suite('title = "t"\nvariants = ["a", "b"]\nseeds = 2', "s").arguments["variants"]
        == "a,b"
    )
    with pytest.raises(SuiteError, match="unknown key 'variant'; did you mean 'variants'"):
        read_suite('title = "t"\nvariant = "a"', "s")
    with pytest.raises(SuiteError, match="not TOML"):
        read_suite("title", "s")
    with pytest.raises(SuiteError, match="title"):
        read_suite("", "s")


def test_suite_by_path_and_by_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\nset = {epochs = 3}\n')
    assert load_suite(path).arguments["sets"] == {"epochs": 3}
    with pytest.raises(SuiteError, match="no suite"):
        load_suite("no_such_suite")
    for name, suite in suites().items():
        assert suite.title, name


def test_k_and_samplers_reach_the_trial_and_the_record(plan):
    made = plan(importance_samples=7, samplers="mixture[components=3],prior")
    assert made.trials[0].importance_samples == 7
    assert [one["label"] for one in made.trials[0].samplers] == ["prior", "mixture[components=3]"]
    assert made.request["importance_samples"] == 7
    asked = read_suite(
        'title = "t"\nsampler = ["prior", "flow"]\nimportance_samples = 9', "s"
    ).arguments
    assert (asked["samplers"], asked["importance_samples"]) == ("prior,flow", 9)


def test_k_is_the_same_without_asking_in_a_plan_and_in_evaluate(plan):
    from vaezoo.evaluation.metrics.likelihood import DRAWS

    assert plan().trials[0].importance_samples == DRAWS


def test_precision_reaches_the_trial_and_its_key(plan):
    (usual,) = plan().trials
    (coarse,) = plan(precision="bf16").trials
    assert (usual.precision, coarse.precision) == ("float32", "bf16")
    assert usual.key != coarse.key


def test_a_variant_that_cannot_run_in_bf16_is_skipped_with_the_reason(plan):
    (usual,) = plan(variants="vae", sets={"network": "rnn"}).trials
    (coarse,) = plan(variants="vae", sets={"network": "rnn"}, precision="bf16").trials
    assert usual.skip == ""
    assert coarse.skip.startswith("vae has a recurrence")


def test_an_option_that_came_later_is_in_no_key_unless_it_is_set():
    assert identity_of({"rows": 5, "draw": 0, "path": "x"}) == {"rows": 5}
    assert identity_of({"rows": 5, "draw": 2}) == {"rows": 5, "draw": 2}
