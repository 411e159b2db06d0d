"""Evaluation refuses what cannot be: each rule against a planted fault, and none against what is
sound.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Spec, Trace
from vaezoo.data.data import Card, Data
from vaezoo.distributions import Drawable
from vaezoo.evaluation import evaluate
from vaezoo.evaluation.guards import (
    bound_too_high,
    divergence_below_zero,
    information_outside,
    outside,
)
from vaezoo.evaluation.metrics.likelihood import vaezoo_metrics
from vaezoo.hooks import Column, Metric
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

from .conftest import digits, gaussian_vae

LIKELIHOOD = [metric for metric in vaezoo_metrics() if metric.name == "likelihood"]
BOUNDS = {"elbo", "nll", "kl", "bits_per_dim", "effective_draws"}


class Shifted(Drawable):
    """A Normal whose draws come with a log density that is too small by `by`."""

    def __init__(self, q: Distribution, by: float) -> None:
        super().__init__(q.batch_shape, q.event_shape)
        self.q = q
        self.by = by

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        z = self.q.rsample(torch.Size(shape))
        return z, self.q.log_prob(z) - self.by

    def centre(self) -> Tensor:
        return self.q.mean


class TooSmall(Gaussian):
    by = 3.0

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return Shifted(super().forward(x, c), self.by)


class OffKL(VAE):
    """Its KL in closed form is off by so many nats."""

    by = -5.0

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        trace = super().infer(x, c, k)
        trace.__dict__["kl"] = trace.kl + self.by
        return trace


class AboveOne(VAE):
    """Its p(x|z) is e^200 too large."""

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        trace = super().infer(x, c, k)
        trace.__dict__["log_px"] = trace.log_px + 200
        return trace


def measured(model: VAE, data: Data, **more: object) -> object:
    return evaluate(model, data, metrics=LIKELIHOOD, importance_samples=20, **more)


def with_parts(kind: type[VAE], spec: Spec, encoder: type[Gaussian] = Gaussian) -> VAE:
    torch.manual_seed(0)
    return kind(encoder(spec), Write(spec), StandardNormal(spec), ELBO()).eval()


def test_a_kl_below_zero_is_refused_with_what_was_seen(data: Data) -> None:
    answer = measured(with_parts(VAE, data.spec, TooSmall), data)
    assert set(answer.refused) == BOUNDS
    assert not BOUNDS & set(answer)
    assert "no KL is below 0" in answer.refused["kl"]
    assert answer.reasons["kl"] == f"refused: {answer.refused['kl']}"
    assert math.isfinite(answer["reconstruction_nll"])


def test_an_elbo_above_the_importance_weighted_bound_is_refused(data: Data) -> None:
    answer = measured(with_parts(OffKL, data.spec), data)
    assert set(answer.refused) == BOUNDS
    assert "above the importance-weighted bound of the same draws" in answer.refused["elbo"]


def test_a_closed_kl_that_its_draws_contradict_is_refused_too(data: Data) -> None:
    model = with_parts(OffKL, data.spec)
    model.by = 0.5
    assert "in closed form and" in measured(model, data).refused["elbo"]
    model.by = 0.0
    assert not measured(model, data).refused


def test_a_probability_above_one_is_refused_in_every_column(data: Data) -> None:
    answer = measured(with_parts(AboveOne, data.spec), data)
    assert set(answer.refused) == {*BOUNDS, "reconstruction_nll"}
    assert "no probability is above 1" in answer.refused["bits_per_dim"]
    assert not dict(answer)


def test_a_bound_above_the_exact_log_density_is_refused(data: Data) -> None:
    """Of a decoder that is no density: Normals of deviation 1 without their constant."""
    torch.manual_seed(0)
    x = torch.randn(3, 100, 5)
    spec = Spec((5,), "normal", 100, latent=2, hidden=8)

    def exact(rows: Tensor) -> Tensor:
        return torch.distributions.Normal(0.0, 1.0).log_prob(rows).sum(1)

    known = Data("normals", spec, *x, Card("", "", "", ""), exact=exact)
    sound = measured(gaussian_vae(spec), known)
    assert not sound.refused
    assert sound["elbo"] < exact(x[2]).mean()
    broken = measured(with_parts(AboveOne, spec), known)
    assert "above the exact log p(x)" in broken.refused["elbo"]
    assert not measured(with_parts(AboveOne, spec), replace(known, exact=None)).refused
    assert not measured(with_parts(AboveOne, spec), known, split="train").refused


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [
        (1.0, False),
        (0.0, False),
        (1.0 + 1e-9, False),
        (1.01, True),
        (-0.01, True),
        (math.inf, True),
        (-math.inf, True),
        (math.nan, False),
    ],
)
def test_a_strangers_column_is_refused_outside_its_own_range(
    data: Data, value: float, is_refused: bool
) -> None:
    column = Column("share", "", "higher", low=0, high=1)
    metric = Metric("share", (column,), lambda evaluation: {"share": value})
    answer = evaluate(gaussian_vae(data.spec), data, metrics=[metric])
    assert ("share" in answer.refused) == is_refused
    assert ("share" in answer) != is_refused
    if is_refused:
        assert answer.reasons["share"] == f"refused: share is {value:.6g}, and its range is 0 to 1"


def test_a_column_may_have_one_end_or_none():
    assert outside(Column("x", "", "", low=0), -1.0) == "x is -1, and its range is 0 to ∞"
    assert outside(Column("x", "", "", high=2), 3.0) == "x is 3, and its range is -∞ to 2"
    assert outside(Column("x", "", ""), -1e9) == ""
    with pytest.raises(ValueError, match="low=1 is not below 0"):
        Column("x", "", "", low=1, high=0)


def test_a_rule_of_means_errs_less_often_than_it_says():
    """r = log p/q of a q that is p but for its scale, so E exp r = 1; in a thousand data sets."""
    torch.manual_seed(0)
    q = torch.distributions.Normal(0.0, 1.3)
    z = q.sample((1000, 50))
    ratio = torch.distributions.Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    size = torch.ones(50)
    assert sum(bool(divergence_below_zero("KL", -row, size)) for row in ratio) == 0
    assert divergence_below_zero("KL", -ratio[0] - 1, size)  # so that it could fail


def test_information_is_refused_below_zero_and_above_the_log_of_the_rows():
    size = torch.ones(100)
    assert information_outside(torch.full((100,), math.log(100)), size) == ""
    assert information_outside(torch.zeros(100), size) == ""
    assert "100 rows can hold 0 to 4.61" in information_outside(torch.full((100,), 4.7), size)
    assert "-1.99 nats" in information_outside(torch.full((100,), -1.99), size)


def test_chance_and_rounding_alone_refuse_nothing():
    """A mass of nearly 1, whose estimates lie a little above it."""
    log_mass = 1e-3 * torch.randn(1000, generator=torch.Generator().manual_seed(0)) + 1e-3
    assert bound_too_high("it", log_mass, torch.ones(1000), True, None) == ""
    assert bound_too_high("it", log_mass + 0.1, torch.ones(1000), True, None)
    assert bound_too_high("it", log_mass + 0.1, torch.ones(1000), False, None) == ""


def test_what_is_no_number_has_that_as_its_reason(data: Data) -> None:
    metric = Metric("odd", (Column("odd", "", ""),), lambda evaluation: {"odd": math.nan})
    answer = evaluate(gaussian_vae(digits().spec), data, metrics=[metric])
    assert answer.reasons["odd"] == "it came out as nan"
