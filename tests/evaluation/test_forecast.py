"""Forecasts with intervals, against the exact distribution of the future of an AR(1) process."""

import math

import pytest
import torch

from vaezoo.core import Spec
from vaezoo.evaluation.prediction import PATHS, forecast, predictions, quantiles
from vaezoo.registry import registry
from vaezoo.seeds import seeded

from .test_sequence import AR1, SIGMA, A, ar1

ROWS, START, STOP = 4000, 8, 14


@pytest.fixture(scope="module")
def bands():
    """Futures x (ROWS, steps) of AR(1) and the three quantiles (3, ROWS, steps) of what its own
    model forecasts.
    """
    x = ar1(ROWS, "forecast")
    with torch.no_grad(), seeded("forecast"):
        draws = forecast(AR1(), x, None, START, STOP).draws
    assert draws.shape == (PATHS, ROWS, STOP - START, 1)
    return x[..., 0], quantiles(draws)[..., 0]


def test_quantiles_of_a_forecast_are_those_of_the_known_normal(bands):
    """Under the true F the r-th smallest of 99 draws is Beta(r, 100 - r), of mean r/100: so is F at
    each quantile.
    """
    x, found = bands
    for ahead in range(STOP - START):
        scale = SIGMA * math.sqrt(sum(A ** (2 * i) for i in range(ahead + 1)))
        exact = torch.distributions.Normal(A ** (ahead + 1) * x[:, START - 1], scale)
        for p, quantile in zip((0.05, 0.5, 0.95), found[:, :, ahead], strict=True):
            # of the mean of ROWS draws of that Beta
            deviation = math.sqrt(p * (1 - p) / (PATHS + 2) / ROWS)
            assert abs(float(exact.cdf(quantile).double().mean()) - p) < 4 * deviation  # z = 4


def test_nine_in_ten_of_the_real_futures_lie_in_the_band(bands):
    x, (low, _, high) = bands
    # of ROWS independent rows, by horizon
    inside = ((x[:, START:STOP] > low) & (x[:, START:STOP] < high)).double().mean(0)
    assert (inside - 0.9).abs().max() < 4 * math.sqrt(0.9 * 0.1 / ROWS)  # z = 4


def test_the_band_of_any_continuous_draws_holds_nine_in_ten_further_ones():
    n = 20_000
    with seeded("band"):
        draws, further = torch.randn(PATHS, n).exp(), torch.randn(n).exp()
    low, _, high = quantiles(draws)
    # z = 4
    assert abs(float(((low < further) & (further < high)).double().mean()) - 0.9) < 4 * math.sqrt(
        0.9 * 0.1 / n
    )


def bits(name):
    """Six rows of coin tosses, (6, 14, 3), and an untrained model of them."""
    spec = Spec((14, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
    with seeded("rows"):
        x = torch.bernoulli(torch.full((6, 14, 3), 0.4))
    with seeded("weights"):
        return x, registry.load_registry().variants[name](spec).eval()


@pytest.mark.parametrize("name", ["vrnn", "rnn", "vrae", "vae"])
def test_a_forecast_looks_at_no_later_step(name):
    x, model = bits(name)
    found = []
    for future in (x[:, 6:], 1 - x[:, 6:], torch.full_like(x[:, 6:], torch.nan)):
        with torch.no_grad(), seeded("paths"):
            found.append(forecast(model, torch.cat([x[:, :6], future], 1), None, 6, 9, 3))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def test_the_free_running_error_is_measured_on_the_mean_of_the_same_paths():
    x, model = bits("vrnn")
    with torch.no_grad(), seeded("paths"):
        means = forecast(model, x, None, 6, 9, 3).means
    with torch.no_grad(), seeded("paths"):
        _, free = predictions(model, x, None, 6, 9, 3)
    torch.testing.assert_close(free, means.mean(0), rtol=0, atol=0)
