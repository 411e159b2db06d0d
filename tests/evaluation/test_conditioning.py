"""Which models read the label, in inference and in samples; and that none is told a test row's."""

import math
from dataclasses import replace

import pytest
import torch
from vaezoo_plugins.conditional import cvae
from vaezoo_plugins.semi_supervised import m2

from vaezoo.core import Spec
from vaezoo.evaluation import evaluate
from vaezoo.evaluation.conditioning import infers_by_label, samples_by_label
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics import outliers, reconstruction
from vaezoo.registry import registry
from vaezoo.seeds import seeded


@pytest.mark.parametrize(
    ("name", "infers", "samples"),
    [("cvae", True, True), ("m2", False, True), ("vae", False, False), ("vrnn", False, False)],
)
def test_who_reads_the_label(name, infers, samples):
    spec = Spec((1, 8, 8), n_train=100, classes=3, latent=2, hidden=8)
    with seeded("weights"):
        model = registry.load_registry().variants[name](spec).eval()
        x = torch.bernoulli(torch.full((6, 1, 8, 8), 0.4))
    with torch.no_grad():
        assert infers_by_label(model, x, torch.eye(3).repeat(2, 1)) == infers
        assert samples_by_label(model, 3) == samples


def test_nothing_can_be_told_where_there_is_one_class():
    spec = Spec((1, 8, 8), classes=1, latent=2, hidden=8)
    assert not samples_by_label(registry.load_registry().variants["cvae"](spec), 1)


def told_otherwise(data):
    """The same data, every test row with the label 0."""
    return replace(data, labels=data.labels | {"test": torch.zeros_like(data.labels["test"])})


@pytest.mark.parametrize("variant", [cvae, m2])
def test_samples_do_not_depend_on_the_labels_of_test_rows(variant, data):
    torch.manual_seed(0)
    model = variant(data.spec).eval()
    with torch.no_grad():
        drawn = [Evaluation(model, one).samples for one in (data, told_otherwise(data))]
    assert torch.equal(*drawn)


def test_labels_of_samples_have_the_frequencies_of_the_training_split(data):
    """Three in four training rows are of class 7, and no test row is."""
    labels = data.labels | {"train": torch.full_like(data.labels["train"], 7)}
    labels["train"][: len(data.train) // 4] = 2
    evaluation = Evaluation(cvae(data.spec), told_otherwise(replace(data, labels=labels)))
    drawn = evaluation.labels_for(4000, "test")
    share = drawn.mean(0)
    error = math.sqrt(0.25 * 0.75 / 4000)
    assert drawn.shape == (4000, 10)
    assert drawn.sum(1).eq(1).all()
    assert share[[2, 7]].sum() == 1
    assert abs(share[2] - 325 / 1300) < 4 * error
    assert torch.equal(drawn, evaluation.labels_for(4000, "test"))
    assert not torch.equal(drawn, evaluation.labels_for(4000, "other"))


def test_who_is_told_the_label_is_not_asked_for_outliers(data):
    torch.manual_seed(0)
    answer = evaluate(cvae(data.spec).eval(), data, metrics=outliers.vaezoo_metrics())
    assert not answer
    assert set(answer.reasons.values()) == {"it is told the label of each row; outliers have none"}
    assert evaluate(m2(data.spec).eval(), data, metrics=outliers.vaezoo_metrics())


def test_who_reconstructs_with_the_label_says_so(data):
    metrics = reconstruction.vaezoo_metrics()
    said = evaluate(cvae(data.spec).eval(), data, metrics=metrics).settings
    assert said["reconstruction_is"] == "given the label"
    assert metrics[0].table.apart == "reconstruction_is"
    assert "reconstruction_is" not in evaluate(m2(data.spec).eval(), data, metrics=metrics).settings
