"""Irregular times: the data that has them, their log-likelihood, and how a spec carries them."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import MultivariateNormal

from vaezoo.core import Spec
from vaezoo.data.card import card_of
from vaezoo.data.kalman import log_likelihood
from vaezoo.data.sources.sde import DAMPING, NOISE, linear_sde, sde, times_of
from vaezoo.training.header import HeaderError, spec_of


def test_one_state_is_a_gaussian_process_of_the_matern_kernel_of_order_one_half():
    times = times_of(9, irregular=True)
    model = linear_sde(times, states=1, channels=1)
    x = model.draw(4, 9, torch.Generator().manual_seed(0))[1]
    x[1, 3:5] = x[2, 0] = x[3, 6:] = math.nan
    # h is ±1, so that x is the process with noise
    covariance = (
        torch.exp(-DAMPING * (times[:, None] - times).abs()) + NOISE * torch.eye(9).double()
    )
    for row, found in zip(x[..., 0], log_likelihood(x, model), strict=True):
        seen = ~row.isnan()
        mean = torch.zeros(int(seen.sum())).double()
        there = MultivariateNormal(mean, covariance[seen][:, seen])
        torch.testing.assert_close(found, there.log_prob(row[seen]), rtol=1e-10, atol=1e-10)


def test_a_time_at_which_nothing_was_seen_changes_no_likelihood():
    few = times_of(6, irregular=True)
    between = torch.cat([few[:3], (few[2:3] + few[3:4]) / 2, few[3:]])
    x = linear_sde(few, 3, 2).draw(5, 6, torch.Generator().manual_seed(0))[1]
    with_gap = torch.cat([x[:, :3], torch.full((5, 1, 2), math.nan), x[:, 3:]], 1)
    torch.testing.assert_close(
        log_likelihood(with_gap, linear_sde(between, 3, 2)),
        log_likelihood(x, linear_sde(few, 3, 2)),
        rtol=1e-10,
        atol=1e-10,
    )


def test_states_keep_variance_one_at_all_times():
    z, x = linear_sde(times_of(8, True), 2, 3).draw(20_000, 8, torch.Generator().manual_seed(0))
    assert (z.var(0) - 1).abs().max() < 5 * (2 / 20_000) ** 0.5  # n = 20,000, five standard errors
    assert (x.var(0) - 1.05).abs().max() < 5 * 1.05 * (2 / 20_000) ** 0.5


@pytest.mark.parametrize("irregular", [True, False])
def test_the_data_set_has_the_times_that_it_says(irregular):
    data = sde(rows=300, irregular=irregular)
    gaps = torch.tensor(data.spec.clock).diff()
    assert bool(data.spec.times) == irregular
    assert (gaps > 0).all()
    assert (gaps.std() > 0.5) == irregular
    assert data.train.isnan().all(-1).float().mean() == pytest.approx(0.5, abs=0.02)
    assert data.exact(data.test).isfinite().all()
    assert ("times" in card_of(data)) == ("times" in data.hashes) == irregular
    data.must_be_sound("train", "test")


def test_a_spec_keeps_its_times_through_json_and_says_them_only_where_there_are_any():
    plain = Spec((3, 2), "normal")
    timed = replace(plain, times=(0.0, 0.5, 3.0))
    assert "times" not in plain.stated()
    assert Spec(**json.loads(json.dumps(timed.stated()))).times == timed.times
    facts = json.loads(json.dumps(timed.stated()))
    assert spec_of(facts).clock == (0.0, 0.5, 3.0)
    assert plain.clock == (0.0, 1.0, 2.0)


@pytest.mark.parametrize("times", [(0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 1.0, math.inf)])
def test_times_that_no_steps_can_have_are_refused(times):
    with pytest.raises(ValueError, match="time"):
        Spec((3, 2), times=times)
    facts = Spec((3, 2)).stated() | {"times": [0, 1]}
    with pytest.raises(HeaderError, match="spec"):
        spec_of(facts)
