"""Minibatches of padded sequences: cut to their own longest row, and filled by length where the
budget says so.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaezoo.core import Spec, Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.distributions import at_centre
from vaezoo.networks import step_mask
from vaezoo.registry import registry
from vaezoo.seeds import seeded
from vaezoo.training.minibatches import Minibatches

VARIANTS = {name: v for name, v in registry.load_registry().variants.items() if name != "mix"}
SPEC = Spec((9, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
LENGTHS = torch.tensor([6, 2, 9, 4, 3, 5, 2, 8, 7, 1, 4, 6])


def sequences(steps: int = 9) -> Tensor:
    """Twelve sequences of 1 to 9 steps, padded with NaN; a step in the middle of the first is
    missing.
    """
    with seeded("sequences"):
        x = torch.bernoulli(torch.full((12, 9, 3), 0.4))
    x[torch.arange(9) >= LENGTHS[:, None]] = math.nan
    x[0, 2] = math.nan
    return x[:, :steps]


def music() -> Data:
    x = sequences()
    return Data(
        "twelve",
        replace(SPEC, n_train=12),
        x,
        x[:5],
        x[:5],
        Card("twelve", "made here", "none", "none"),
    )


def test_a_minibatch_ends_at_its_own_longest_row():
    for x, _ in Minibatches(music(), 4, 0, "cpu").minibatches():
        lengths = step_mask(x).sum(1)
        assert x.shape[1] == lengths.max()
        assert all(
            (row[:length].isnan().all(-1).sum() <= 1)
            for row, length in zip(x, lengths, strict=True)
        )


def test_every_row_is_seen_once_whatever_the_pool():
    for pool in (1, 2, 3, 8):
        seen = torch.cat(
            [step_mask(x).sum(1) for x, _ in Minibatches(music(), 4, 0, "cpu", pool).minibatches()]
        )
        assert sorted(seen.tolist()) == sorted(LENGTHS.tolist())


def test_a_pool_of_all_rows_leaves_the_least_padding():
    rows = Minibatches(music(), 4, 0, "cpu", pool=3)
    longest = sorted(x.shape[1] for x, _ in rows.minibatches())
    assert longest == [3, 6, 9]  # the fourth, eighth and last of the sorted lengths


def test_the_order_of_minibatches_changes_from_epoch_to_epoch():
    rows = Minibatches(music(), 4, 0, "cpu", pool=3)
    assert len({tuple(x.shape[1] for x, _ in rows.minibatches()) for _ in range(20)}) > 1


def test_data_without_gaps_is_neither_cut_nor_sorted():
    data = replace(music(), spec=replace(SPEC, has_gaps=False), train=torch.nan_to_num(sequences()))
    plain, pooled = (list(Minibatches(data, 4, 0, "cpu", pool).minibatches()) for pool in (1, 3))
    for (x, _), (y, _) in zip(plain, pooled, strict=True):
        assert torch.equal(x, y)
        assert x.shape[1] == 9


def test_validation_rows_are_cut_and_stay_in_order():
    (x, _), (y, _) = Minibatches(music(), 4, 0, "cpu").in_order("validation", size=3)
    assert (x.shape[1], y.shape[1]) == (9, 4)
    assert torch.equal(step_mask(torch.cat([x[:, :4], y])).sum(1), LENGTHS[:5].clamp_max(4))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_cut_minibatch_changes_no_result_at_the_centre(name):
    """log p(x|z) and the loss of the rows of at most 5 steps, as they are and padded to 9."""
    try:
        with seeded("weights"):
            model = VARIANTS[name](SPEC).double().eval()
    except Unsupported as reason:
        pytest.skip(str(reason))
    short = sequences().double()[LENGTHS <= 5]
    with at_centre():
        cut, padded = model.infer(short[:, :5]), model.infer(short)
    torch.testing.assert_close(cut.log_px, padded.log_px, rtol=0, atol=1e-10)
    assert torch.isfinite(model(short[:, :5])["loss"])
