"""Rows labelled -1 have no label: they are trained on, and never a class."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vaezoo
from vaezoo.core import Spec
from vaezoo.data.card import card_of
from vaezoo.data.data import Data
from vaezoo.data.files import BadData
from vaezoo.evaluation.features import extractor_for

CENTRES = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]])


def blobs(rows: int = 200, known: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Three groups far apart, and the labels of some rows."""
    draw = np.random.default_rng(0)
    y = np.arange(rows) % 3
    x = CENTRES[y] + draw.normal(size=(rows, 3))
    return x, np.where(draw.permutation(rows) < known, y, -1)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    x, y = blobs()
    np.savez(tmp_path / "x.npz", x=x, y=y)
    return vaezoo.dataset(str(tmp_path / "x.npz"))


def test_they_are_no_class_and_their_condition_is_zeros(data: Data):
    known = sum(int((y >= 0).sum()) for y in data.labels.values())
    assert known == 40
    assert data.spec.classes == 3
    assert data.spec.unlabelled == int((data.labels["train"] == -1).sum()) > 100
    c = data.condition("train")
    assert torch.equal(c.sum(1) == 0, data.labels["train"] == -1)
    assert "160 rows labelled -1 have no label" in card_of(data)["processing"]
    assert all((data.labels[split] >= 0).any() for split in ("train", "validation", "test"))


@pytest.mark.parametrize(("labels", "classes"), [([-1, 1], 2), ([-1, 1, 2], 2), ([-1, 0, 1, 2], 3)])
def test_minus_one_beside_one_alone_is_a_class(labels: list[int], classes: int, tmp_path: Path):
    x, _ = blobs()
    np.savez(tmp_path / "x.npz", x=x, y=np.array(labels)[np.arange(200) % len(labels)])
    found = vaezoo.dataset(str(tmp_path / "x.npz"))
    assert found.spec.classes == classes
    assert (found.spec.unlabelled > 0) == (len(labels) > 2)


def test_a_column_of_a_table_says_it_too(tmp_path: Path):
    x, y = blobs()
    lines = [f"{a:.3f},{b:.3f},{k}" for (a, b, _), k in zip(x, y, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(["a,b,label", *lines]))
    found = vaezoo.dataset(str(tmp_path / "x.csv"))
    assert found.spec.unlabelled > 100
    assert card_of(found)["label 'label'"].startswith("none (160), 0 (")


def test_label_metrics_are_of_the_rows_that_have_one(data: Data):
    model = vaezoo.variants()["m2"](data.spec)
    vaezoo.fit(model, data, epochs=2)
    names = ("accuracy", "probes")
    whole = vaezoo.evaluate(model, data, metrics=names)
    part = vaezoo.evaluate(model, data.labelled(), metrics=names)
    assert {"accuracy", "linear_probe", "knn"} <= whole.keys()
    assert dict(whole) == dict(part)


def test_m2_learns_from_the_rows_that_have_one(data: Data):
    torch.manual_seed(0)
    model = vaezoo.variants()["m2"](data.spec, alpha=1.0)
    assert model.loss.share == pytest.approx(1 - data.spec.unlabelled / data.spec.n_train)
    vaezoo.fit(model, data, epochs=40, learning_rate=0.01)
    assert vaezoo.evaluate(model, data, metrics=("accuracy",))["accuracy"] > 0.85


def test_a_row_without_a_label_has_the_bound_of_every_class(data: Data):
    """U(x) = Σ_y q(y|x) (L(x, y) + log q(y|x)) of each, and no error of the classifier."""
    model = vaezoo.variants()["m2"](data.spec)
    x = data.train[:8]
    torch.manual_seed(0)
    bounds = model.bounds(x)  # (C, B)
    log_q = model.classify(x).T
    torch.manual_seed(0)
    terms = model.loss(model, x, torch.zeros(8, 3), 1.0)
    expected = (log_q.exp() * (log_q - bounds)).sum(0).mean()
    assert terms["classifier"].item() == 0
    assert torch.allclose(terms["generative"], expected)


def test_what_reads_labels_takes_them_all(data: Data):
    for name in ("cvae", "m1m2"):
        settings = {"epochs": 1} if name == "m1m2" else {}
        model = vaezoo.variants()[name](data.spec, **settings)
        vaezoo.fit(model, data, epochs=1)
        assert "elbo" in vaezoo.evaluate(model, data, metrics=("likelihood",))


def test_the_extractor_is_trained_on_labelled_rows(data: Data, tmp_path: Path):
    assert extractor_for(data, tmp_path / "cache").trained


def test_data_of_a_plugin_says_how_many_there_are(data: Data):
    with pytest.raises(BadData, match=r"has the label -1, .* write how many as unlabelled="):
        replace(data, spec=replace(data.spec, unlabelled=0)).must_be_sound("train")
    with pytest.raises(BadData, match="its spec says unlabelled=3; write unlabelled="):
        replace(data, spec=replace(data.spec, unlabelled=3)).must_be_sound("train")


def test_keys_of_complete_labels_do_not_know_of_it():
    spec = Spec((3,), "normal", 10, classes=2)
    later = ("unlabelled", "times", "views")
    assert spec.stated() == {k: v for k, v in asdict(spec).items() if k not in later}
    assert replace(spec, unlabelled=4).stated()["unlabelled"] == 4
