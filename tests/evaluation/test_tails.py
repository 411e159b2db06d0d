"""Pareto k̂ of importance ratios whose tail index is known."""

import math

import pytest
import torch
from scipy.stats import genpareto

from vaezoo.evaluation.bounds import estimate
from vaezoo.evaluation.tails import PRIOR, largest, pareto_k, shape_of, tail_size


def ratios(k: float, draws: int, rows: int) -> torch.Tensor:
    """log p(z)/q(z), (draws, rows), of q = Exponential(1) and p = Exponential(1 - k): a Pareto
    distribution of index 1/k, whose excesses over any point are generalised Pareto of shape k.
    """
    g = torch.Generator().manual_seed(0)
    z = torch.empty(draws, rows, dtype=torch.float64).exponential_(generator=g)
    return math.log(1 - k) + k * z


@pytest.mark.parametrize("k", [0.2, 0.5, 0.7, 0.9])
def test_the_tail_index_of_exponentials_is_found(k: float):
    draws = 4000
    found = pareto_k(largest(ratios(k, draws, 300), draws))
    n = tail_size(draws)
    expected = (n * k + PRIOR / 2) / (n + PRIOR)
    assert n == 190
    # the deviation of one k̂ is (1 + k)/√n, and the estimator's bias a tenth of that
    error = (1 + k) / math.sqrt(n)
    assert float(found.mean()) == pytest.approx(
        expected, abs=4 * error / math.sqrt(300) + 0.1 * error
    )
    assert float(found.std()) == pytest.approx(error, rel=0.2)


def test_the_shape_is_near_that_of_maximum_likelihood():
    x = torch.tensor(genpareto(0.6, scale=3).rvs(2000, random_state=1))
    (found,) = shape_of(x.sort().values[None])
    assert float(found) == pytest.approx(genpareto.fit(x.numpy(), floc=0)[0], abs=0.01)


def test_the_tail_does_not_depend_on_the_weights_scale_nor_on_the_pieces():
    log_w = ratios(0.6, 400, 7)
    whole = largest(log_w, 400)
    kept = largest(log_w[:30], 400)
    for piece in log_w[30:].split(100):
        kept = largest(torch.cat([kept, piece]), 400)
    assert torch.equal(kept, whole)
    torch.testing.assert_close(pareto_k(whole - 500), pareto_k(whole), rtol=0, atol=1e-9)


def test_few_draws_and_weights_of_few_values_have_no_tail():
    assert pareto_k(largest(ratios(0.5, 20, 3), 20)).isnan().all()
    assert pareto_k(torch.zeros(21, 3)).isnan().all()


def test_the_estimate_of_a_model_keeps_the_tail_of_all_its_draws(data, model):
    x = data.test[:5]
    torch.manual_seed(0)
    log_w = torch.cat([model.infer(x, None, 32).log_w for _ in range(2)])
    torch.manual_seed(0)
    found = estimate(model, x, None, 64, 32).pareto_k
    torch.testing.assert_close(found, pareto_k(largest(log_w, 64)))
    assert found.isfinite().all()
