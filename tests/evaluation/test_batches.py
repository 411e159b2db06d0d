"""Rows are taken in pieces of like length: every row once, no more numbers than allowed, answers in
the rows' own order.
"""

import math

import torch
from torch import Tensor

from vaezoo.core import Spec
from vaezoo.evaluation.batches import balanced
from vaezoo.evaluation.bounds import estimate_all
from vaezoo.registry import registry
from vaezoo.seeds import seeded

LENGTHS = torch.tensor([9, 1, 5, 9, 2, 7, 3, 5, 8, 4])


def sequences() -> Tensor:
    with seeded("sequences"):
        x = torch.bernoulli(torch.full((10, 9, 3), 0.4))
    x[torch.arange(9) >= LENGTHS[:, None]] = math.nan
    return x


def test_every_row_comes_once_short_ones_first():
    for entries in (1, 30, 100, 10_000):
        rows = torch.cat([rows for rows, _ in balanced(sequences(), 4, entries)])
        assert sorted(rows.tolist()) == list(range(10))
        assert (LENGTHS[rows].diff() >= 0).all()


def test_a_piece_holds_no_more_numbers_than_allowed_unless_it_is_one_draw_of_one_row():
    for entries in (20, 60, 200):
        for rows, draws in balanced(sequences(), 4, entries):
            numbers = len(rows) * int(LENGTHS[rows].max()) * 3 * draws
            assert numbers <= entries or (len(rows) == draws == 1)
    assert [len(rows) for rows, _ in balanced(sequences(), 4, 10_000)] == [10]


def test_images_are_all_of_one_size():
    pieces = list(balanced(torch.zeros(7, 1, 2, 2), 5, 24))
    assert [(len(rows), draws) for rows, draws in pieces] == [(1, 5)] * 7
    assert [len(rows) for rows, _ in balanced(torch.zeros(7, 1, 2, 2), 2, 24)] == [3, 3, 1]


def test_estimates_come_back_in_the_order_of_the_rows_whatever_the_pieces():
    with seeded("weights"):  # its estimate has no noise, so that pieces can be compared
        model = (
            registry.load_registry()
            .variants["rnn"](Spec((9, 3), has_gaps=True, latent=2, hidden=8, network="rnn"))
            .double()
        )
    x = sequences().double()
    alone = torch.cat([estimate_all(model, row[None], None, 3, 10_000).log_likelihood for row in x])
    for entries in (1, 60, 10_000):
        torch.testing.assert_close(
            estimate_all(model, x, None, 3, entries).log_likelihood, alone, rtol=0, atol=1e-10
        )
