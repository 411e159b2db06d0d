"""Modes that draws reach: known counts for a perfect generator, for one that has collapsed, and for
noise.
"""

import math
from dataclasses import replace

import pytest
import torch

from vaezoo.core import VAE, Model
from vaezoo.data.data import Data
from vaezoo.data.sources.digits import digits
from vaezoo.data.sources.ring import ring
from vaezoo.data.sources.stacked_digits import numbers, stacked_digits
from vaezoo.evaluation.baselines import COPY, INDEPENDENT, NOISE, REAL
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.measuring import measure
from vaezoo.evaluation.metrics.modes import controls, divergence, vaezoo_metrics
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.samplers import Sampler
from vaezoo.seeds import seeded


class Replay(Model):
    """Draws rows of x with replacement."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__(ELBO())
        self.x = x

    def infer(self, x, c=None, k=1):
        raise NotImplementedError

    def sample(self, n, c=None, mean=False):
        return self.x[torch.randint(len(self.x), (n,))]


def found(x: torch.Tensor, data: Data) -> dict[str, float]:
    return dict(measure(Evaluation(Replay(x), data), vaezoo_metrics()))


def test_a_perfect_generator_reaches_every_mode_of_the_ring():
    data = ring()
    answer = found(data.train, data)
    assert answer["modes_found"] == 8
    # 7/(2 · 2500) = 0.0014 in expectation over the draws, and as much from the rows
    assert answer["mode_kl"] < 0.01
    share = 1 - math.exp(-(3**2) / 2)  # within 3 deviations in the plane
    assert abs(answer["high_quality"] - share) < 4 * math.sqrt(
        share * (1 - share) * (1 / 2500 + 1 / 4000)
    )


def test_a_collapsed_generator_reaches_one_mode():
    data = ring()
    one = data.train[data.modes.of(data.train) == 3]
    answer = found(one, data)
    assert answer == {"modes_found": 1, "mode_kl": pytest.approx(math.log(8)), "high_quality": 1}


def test_control_rows_are_what_draws_of_them_reach():
    data = ring()
    rows = controls(data)
    assert set(rows) == {REAL, COPY, NOISE, INDEPENDENT}
    counts = torch.bincount(data.modes.of(data.train[torch.randperm(4000)[:2500]]) + 1)[1:]
    assert rows[REAL]["modes_found"] == rows[COPY]["modes_found"] == 8
    assert rows[REAL]["mode_kl"] == pytest.approx(divergence(counts), abs=0.01)

    # the ring's own variance is 1/2 an axis; a mode's disc has an area of π (3 · 0.05)²
    variance = 0.5 + 0.05**2
    density = math.exp(-1 / (2 * variance)) / (2 * math.pi * variance)
    share = 8 * math.pi * 0.15**2 * density
    assert rows[NOISE]["high_quality"] == pytest.approx(share, abs=0.02)
    assert rows[INDEPENDENT]["high_quality"] == pytest.approx(share, abs=0.02)
    assert controls(digits()) == {}


def test_draws_near_no_mode_count_for_nothing():
    data = ring()
    found = measure(Evaluation(Replay(torch.zeros(5, 2)), data), vaezoo_metrics())
    assert (found["modes_found"], found["high_quality"]) == (0, 0)
    assert "mode_kl" not in found
    assert found.reasons["mode_kl"] == "no draw is near a mode"
    assert not found.refused


def test_the_divergence_is_that_of_the_definition():
    counts = torch.tensor([3, 1, 0, 4])
    p = counts.double() / 8
    expected = sum(q * math.log(q * 4) for q in p.tolist() if q)
    assert divergence(counts) == pytest.approx(expected)


def test_the_density_of_the_ring_sums_to_1():
    axis = torch.linspace(-1.6, 1.6, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    assert float(ring().exact(grid).exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(
        1, abs=1e-8
    )


def test_a_stacked_digit_is_read_channel_by_channel():
    single = digits()
    with seeded("stacked"):
        rows = torch.randint(len(single.test), (1000, 3))
    read = numbers(single.test[rows].squeeze(2))
    truth = single.labels["test"][rows]
    right = (torch.stack([read // 100, read // 10 % 10, read % 10], 1) == truth).double().mean()
    assert right > 0.8


def test_stacked_digits_have_a_thousand_modes_and_a_collapsed_model_finds_one():
    data = stacked_digits()
    assert data.modes.of(data.train).unique().numel() == 1000
    assert found(data.train[:1], data) == {
        "modes_found": 1,
        "mode_kl": pytest.approx(math.log(1000)),
    }


def test_data_without_known_modes_says_so():
    data = digits()
    reasons = measure(Evaluation(Replay(data.train), data), vaezoo_metrics()).reasons
    assert set(reasons.values()) == {"the data has no known modes"}


class Fixed(Sampler):
    """One code, whatever the codes are that it is fitted to."""

    def fit(self, z, seed):
        self.code = z[:1] * 0 + 5

    def sample(self, n):
        return self.code.expand(n, -1)


def test_the_draws_are_those_of_the_sampler():
    """With one code for all draws, a decoder without noise to speak of reaches one mode at most."""
    data = replace(ring(), spec=replace(ring().spec, likelihood="normal"))
    vae = VAE(Gaussian(data.spec), Write(data.spec), StandardNormal(data.spec), ELBO()).eval()
    seen = []
    kept = replace(data.modes, of=lambda draws: seen.append(draws) or data.modes.of(draws))
    for sampler in (None, Fixed):
        measure(Evaluation(vae, replace(data, modes=kept), sampler=sampler), vaezoo_metrics())
    means = [draws.mean(0) for draws in seen]
    with torch.no_grad():
        code = torch.full((1, 1, data.spec.latent), 5.0)
        expected = vae.decoder(code, None).mean[0, 0]
    spread = seen[1].std(0) / len(seen[1]) ** 0.5
    assert ((means[1] - expected).abs() < 5 * spread).all()
    assert ((means[0] - expected).abs() > 5 * spread).any()
