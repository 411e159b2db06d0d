"""Splits are disjoint, complete, stratified and the same everywhere."""

import pytest
import torch

from vaezoo.data.splits import binarised_once, duplicates, padded, shuffled


def test_the_three_splits_share_no_row_and_leave_none_out():
    rows = shuffled(101, 20, 13, "a")
    assert [len(r) for r in rows] == [68, 20, 13]
    assert torch.cat(list(rows)).sort().values.tolist() == list(range(101))


def test_each_split_has_its_share_of_every_class():
    labels = torch.arange(1000) % 7 // 3  # classes of unequal size
    rows = shuffled(1000, 100, 200, "a", labels=labels)
    for part in rows:
        counts, expected = labels[part].bincount(), labels.bincount() * len(part) / 1000
        assert ((counts - expected).abs() <= 1.5).all()


def test_a_split_depends_on_its_name_alone():
    torch.manual_seed(1)
    first = shuffled(50, 5, 5, "a")
    torch.manual_seed(2)
    assert shuffled(50, 5, 5, "a").sha256 == first.sha256 != shuffled(50, 5, 5, "b").sha256


def test_a_split_without_training_rows_is_refused():
    with pytest.raises(ValueError, match="leave any for training"):
        shuffled(10, 5, 5, "a")


def test_binarisation_draws_ones_with_the_given_probabilities():
    p = torch.tensor([0.0, 0.25, 0.9, 1.0])
    x = binarised_once(p.expand(40_000, 4), "a")
    assert set(x.unique().tolist()) == {0.0, 1.0}
    z = (x.mean(0) - p) / (p * (1 - p) / 40_000).sqrt().clamp_min(1e-9)
    assert (z.abs() < 4.5).all()  # n = 40,000; the two certain columns must be exact
    assert torch.equal(x, binarised_once(p.expand(40_000, 4), "a"))


def test_binarisation_leaves_gaps_alone():
    assert binarised_once(torch.tensor([torch.nan, 1.0]), "a").isnan().tolist() == [True, False]


def test_duplicates_are_counted_bit_for_bit_gaps_included():
    train = torch.tensor([[1.0, 2], [3, torch.nan], [5, 6]])
    test = torch.tensor([[3, torch.nan], [1.0, 2], [1.0, 2], [2.0, 1]])
    assert duplicates(train, test) == 3


def test_padding_is_nan_behind_the_end():
    x = padded([torch.ones(2, 3), torch.zeros(4, 3)], 5)
    assert x.shape == (2, 5, 3)
    assert (~x.isnan()).all(-1).sum(1).tolist() == [2, 4]
    assert x[0, :2].eq(1).all()
