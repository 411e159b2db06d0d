"""Fewer training rows: nested, with each class's share, and the same validation and test rows."""

import torch

from vaezoo.data.sources.digits import digits
from vaezoo.data.splits import stratified_subset


def test_fewer_digits_are_part_of_more_and_the_other_splits_stay():
    small, more, all_of_them = digits(rows=50), digits(rows=100), digits()
    assert (len(small.train), len(more.train), len(all_of_them.train)) == (50, 100, 1200)
    assert small.spec.n_train == 50
    for data in (small, more):
        assert torch.equal(data.validation, all_of_them.validation)
        assert torch.equal(data.test, all_of_them.test)
    bigger = {row.numpy().tobytes() for row in more.train}
    assert all(row.numpy().tobytes() in bigger for row in small.train)
    assert (small.name, all_of_them.name) == ("digits[rows=50]", "digits")


def test_every_class_has_its_share():
    counts = torch.bincount(digits(rows=100).labels["train"], minlength=10)
    assert counts.min() >= 9
    assert counts.max() <= 11


def test_0_takes_all_rows_in_order():
    labels = torch.tensor([2, 0, 1, 1])
    assert torch.equal(stratified_subset(labels, 0), torch.arange(4))
    assert torch.equal(stratified_subset(labels, 99), torch.arange(4))
