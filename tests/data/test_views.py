"""Data sets of several views: pairs by class that stay within their splits, halves, a pair of
Gaussians whose densities are known.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import vaezoo
from vaezoo.core import View
from vaezoo.data.data import SPLITS, Data
from vaezoo.data.files import BadData
from vaezoo.data.sources.digits import digits
from vaezoo.data.sources.gaussian import gaussian
from vaezoo.data.sources.gaussian_pair import gaussian_pair, log_conditional
from vaezoo.data.sources.halves import halves
from vaezoo.data.sources.paired import paired
from vaezoo.data.sources.viewed import viewed
from vaezoo.views import are_there, split_views

from .test_sources import must_keep_its_promises

DIGITS = digits()
BRIGHT = replace(DIGITS, name="bright", **{split: 1 - DIGITS.split(split) for split in SPLITS})
LOAD = {"digits": DIGITS, "bright": BRIGHT, "gaussian": gaussian()}.__getitem__


@pytest.mark.parametrize("text", ["paired", "paired[missing=0.5]", "halves", "gaussian_pair"])
def test_data_of_views_keeps_its_promises(text):
    data = vaezoo.dataset(text)
    must_keep_its_promises(data)
    assert data.hashes == vaezoo.dataset(text).hashes
    assert len(data.spec.views) == 2
    assert data.spec.has_gaps


@pytest.mark.parametrize("beside", ["digits", "bright"])
def test_both_views_are_of_one_class_and_of_one_split(beside):
    data = paired(LOAD, beside=beside)
    other = LOAD(beside)
    for split in SPLITS:
        first, second = split_views(data.split(split), data.spec)
        assert torch.equal(first, DIGITS.split(split))
        assert torch.equal(data.labels[split], DIGITS.labels[split])
        for label in range(10):
            among = other.split(split)[other.labels[split] == label].flatten(1)
            found = second[data.labels[split] == label].flatten(1)
            assert (torch.cdist(found, among).min(1).values == 0).all()


def test_of_one_data_set_no_row_stands_beside_itself_and_every_row_is_used_once():
    data = paired(LOAD)
    first, second = split_views(data.train, data.spec)
    assert not torch.equal(first, second)
    rows = sorted(row.tobytes() for row in first.numpy())
    assert rows == sorted(row.tobytes() for row in second.numpy())


def test_missing_views_are_whole_views_of_about_as_many_training_rows():
    data = paired(LOAD, missing=0.5)
    there = are_there(data.train, data.spec)
    assert there.any(0).all()
    assert 0.45 < float((~there.all(0)).double().mean()) < 0.55
    parts = split_views(data.train, data.spec)
    for part, has in zip(parts, there, strict=True):
        assert not part[has].isnan().any()
        assert part[~has].isnan().all()
    assert not data.test.isnan().any()
    assert data.split_hash != paired(LOAD).split_hash


def test_views_of_other_shapes_lie_in_one_vector():
    flat = replace(BRIGHT, spec=replace(BRIGHT.spec, shape=(64,)))
    flat = replace(flat, **{s: flat.split(s).flatten(1) for s in SPLITS}, name="flat")
    data = paired({"digits": DIGITS, "flat": flat}.__getitem__, beside="flat")
    assert data.spec.shape == (128,)
    assert data.spec.views == (View("digits", (1, 8, 8)), View("flat", (64,)))
    assert torch.equal(split_views(data.test, data.spec)[0], DIGITS.test)


def fewer_classes() -> Data:
    return replace(BRIGHT, spec=replace(BRIGHT.spec, classes=11))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (gaussian(rows=50), "needs a label for every row"),
        (
            replace(BRIGHT, spec=replace(BRIGHT.spec, likelihood="normal")),
            "likelihood is bernoulli",
        ),
        (fewer_classes(), "classes is 10"),
    ],
)
def test_data_sets_that_do_not_fit_are_refused(other, words):
    with pytest.raises(BadData, match=words):
        paired({"digits": DIGITS, "other": other}.__getitem__, beside="other")


def test_minibatches_of_dynamic_pairs_are_drawn_anew_and_keep_missing_views():
    grey = {split: 0.3 + 0.4 * DIGITS.split(split) for split in SPLITS}
    train = replace(DIGITS, spec=replace(DIGITS.spec, is_dynamic=True), train=grey["train"])
    data = paired(lambda _: train, missing=0.5)
    g = torch.Generator().manual_seed(0)
    once, again = (data.binarised(data.train, g) for _ in range(2))
    seen = ~data.train.isnan()
    assert torch.equal(once.isnan(), ~seen)
    assert ((once == 0) | (once == 1))[seen].all()
    assert not torch.equal(once[seen], again[seen])


def test_halves_are_the_same_values():
    data = halves(LOAD)
    assert torch.equal(data.test, DIGITS.test)
    upper, lower = split_views(data.test, data.spec)
    assert torch.equal(torch.cat([upper, lower], 2), DIGITS.test)
    first, last = split_views(LOAD("gaussian").test, halves(LOAD, "gaussian").spec)
    assert first.shape[1:] == last.shape[1:] == (8,)


def test_the_densities_of_the_gaussian_pair_are_scipys():
    data = gaussian_pair(dimensions=3, rows=100)
    covariance = data.exact.keywords["covariance"]
    found = data.exact(data.test)
    expected = multivariate_normal(torch.zeros(6).numpy(), covariance.numpy()).logpdf(data.test)
    torch.testing.assert_close(found, torch.from_numpy(expected))

    s = covariance
    gain = s[:3, 3:] @ s[3:, 3:].inverse()
    mean = data.test[:, 3:].double() @ gain.T
    rest = multivariate_normal(torch.zeros(3).numpy(), (s[:3, :3] - gain @ s[3:, :3]).numpy())
    expected = rest.logpdf((data.test[:, :3].double() - mean).numpy())
    found = log_conditional(data.test, covariance, slice(0, 3))
    torch.testing.assert_close(found, torch.from_numpy(expected))
    assert data.controls(data.test)["exact density"]["view_nll"] > 0


def test_a_file_of_ones_own_says_its_views(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 9))
    np.save(tmp_path / "x.npy", x)
    own = f"arrays[path={tmp_path / 'x.npy'}]"
    data = vaezoo.dataset(f"viewed[of={own},views=blood:3+scan:2x3]")
    assert data.spec.views == (View("blood", (3,)), View("scan", (2, 3)))
    assert torch.equal(data.train, vaezoo.dataset(own).train)
    assert str(tmp_path) not in data.identity


def test_views_of_a_mixed_table_count_its_columns(tmp_path):
    rows = [f"{i % 7}.5,{['red', 'green', 'blue'][i % 3]},{i % 5}.25" for i in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["size,colour,age", *rows]))
    own = f"table[path={tmp_path / 'people.csv'}]"
    data = vaezoo.dataset(f"viewed[of={own},views=looks:2+rest:1]")
    assert [view.shape for view in data.spec.views] == [(4,), (1,)]
    model = vaezoo.variants()["mvae"](data.spec)
    assert model(data.train[:5])["loss"].isfinite()


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ("a:3+b:3", "the views have 6 numbers in all, and x has 16"),
        ("a+b", "is no view; write a name and how many columns"),
        ("a:8+a:8", "names, each its own"),
    ],
)
def test_views_that_are_none_of_x_are_refused(views, words):
    with pytest.raises(BadData, match=words):
        viewed(LOAD, of="gaussian", views=views)
