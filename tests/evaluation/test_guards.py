"""Evaluation refuses what cannot be: each rule against a planted fault, and none against what is
sound.
"""

import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Spec, Trace
from vaezoo.data.data import Card, Data
from vaezoo.distributions import Drawable
from vaezoo.evaluation import Evaluation, evaluate
from vaezoo.evaluation.guards import (
    bound_too_high,
    divergence_below_zero,
    information_outside,
    prior_mass_above_one,
)
from vaezoo.evaluation.metrics.likelihood import vaezoo_metrics
from vaezoo.evaluation.possible import impossible, outside
from vaezoo.hooks import Column, Metric
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.samplers import Sampler

from .conftest import gaussian_vae

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
    assert outside(Column("x", "", "", low=0), -1.0, {}) == "x is -1, and its range is 0 to ∞"
    assert outside(Column("x", "", "", high=2), 3.0, {}) == "x is 3, and its range is -∞ to 2"
    assert outside(Column("x", "", ""), -1e9, {}) == ""
    with pytest.raises(ValueError, match="its low is not below its high"):
        Column("x", "", "", low=1, high=0)


def test_a_mean_may_pass_its_range_by_chance_over_its_rows():
    """15 nats over 300 rows."""
    column = Column("information", "nats", "", low=0, rows="aggregate_rows")
    assert not outside(column, -0.049, {"aggregate_rows": 300})
    assert outside(column, -0.051, {"aggregate_rows": 300})
    assert outside(column, -0.001, {})


def test_stored_numbers_are_judged_by_their_ranges_and_fall_with_what_they_rest_on():
    columns = {
        "kl": Column("kl", "nats", "", low=-0.1, rests_on="q,p,px"),
        "elbo": Column("elbo", "nats", "higher", rests_on="q,p,px"),
        "mse": Column("mse", "", "lower", low=0, rests_on="px"),
        "information": Column("information", "nats", "", low=0, rests_on="q"),
    }
    sound = {"kl": 3.0, "elbo": -20.0, "mse": 0.1, "information": 2.0, "unknown": -1.0}
    assert impossible(columns, sound, {}) == {}
    assert impossible(columns, sound | {"information": -1.99}, {}) == {
        "information": "information is -1.99, and its range is 0 to ∞"
    }
    broken = impossible(columns, sound | {"kl": -3e7, "elbo": 3e7}, {})
    assert set(broken) == {"kl", "elbo", "information"}
    assert broken["elbo"] == "kl is -3e+07, and its range is -0.1 to ∞"


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("reason", ["", "nothing is missing"])
def test_what_is_no_number_is_refused_unless_its_metric_says_why(
    data: Data, value: float, reason: str
) -> None:
    def odd(evaluation: Evaluation) -> dict[str, float]:
        if reason:
            evaluation.say("odd", reason)
        return {"odd": value}

    metric = Metric("odd", (Column("odd", "", ""),), odd)
    answer = evaluate(gaussian_vae(data.spec), data, metrics=[metric])
    seen = f"odd came out as {value:g}"
    assert answer.refused == ({} if reason else {"odd": seen})
    assert answer.reasons["odd"] == (reason or f"refused: {seen}")
    assert "odd" not in answer


class HeavyPrior(StandardNormal):
    """A p(z) that integrates to e^2."""

    def forward(self, c: Tensor | None = None) -> Distribution:
        return Heavy(super().forward(c))


class Heavy(Distribution):
    arg_constraints: ClassVar[dict] = {}

    def __init__(self, p: Distribution) -> None:
        super().__init__(p.batch_shape, p.event_shape)
        self.p = p

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        return self.p.sample(shape)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.p.log_prob(z) + 2


def reads(name: str, rests_on: str, of: str = "") -> Metric:
    """A stranger's metric of one column, computed from these densities."""
    return Metric(name, (Column(name, "", ""),), lambda _: {name: 1.0}, of=of, rests_on=rests_on)


STRANGERS = [
    reads("of_weights", "q,p,px"),
    reads("of_codes", "q"),
    reads("of_p", "p"),
    reads("of_decoder", "px"),
    reads("of_nothing", ""),
    reads("of_samples", "", of="samples"),
]


@pytest.mark.parametrize("metrics", [STRANGERS, [*LIKELIHOOD, *STRANGERS]], ids=["alone", "beside"])
@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ("none", set()),
        ("q", {"of_weights", "of_codes"}),
        ("p", {"of_weights", "of_p", "of_samples"}),
        ("px", {"of_weights", "of_decoder", "of_samples"}),
    ],
)
def test_a_number_that_rests_on_a_broken_density_is_refused_with_it(
    data: Data, metrics: list[Metric], fault: str, refused: set[str]
) -> None:
    torch.manual_seed(0)
    spec = data.spec
    model = VAE(
        (TooSmall if fault == "q" else Gaussian)(spec),
        Write(spec),
        (HeavyPrior if fault == "p" else StandardNormal)(spec),
        ELBO(),
    )
    if fault == "px":
        model = with_parts(AboveOne, spec)
    answer = evaluate(model, data, metrics=metrics, importance_samples=20)
    names = {metric.name for metric in STRANGERS}
    assert names & set(answer.refused) == refused
    assert names - refused == names & set(answer)
    said = {"q": "no KL is below 0", "p": "integrates to more than 1", "px": "no probability is"}
    assert all(said[fault] in answer.refused[name] for name in refused)


class Fitted(Sampler):
    def fit(self, z: Tensor, seed: int) -> None:
        self.z = z

    def sample(self, n: int) -> Tensor:
        return self.z[:n]


def test_a_fitted_sampler_does_not_rest_on_the_prior(data: Data) -> None:
    spec = data.spec
    torch.manual_seed(0)
    model = VAE(Gaussian(spec), Write(spec), HeavyPrior(spec), ELBO())
    of_samples = [STRANGERS[-1]]
    assert evaluate(model, data, metrics=of_samples).refused
    assert evaluate(model, data, metrics=of_samples, sampler=lambda: None).refused
    assert not evaluate(model, data, metrics=of_samples, sampler=Fitted).refused


def test_the_mass_of_a_prior_is_judged_by_draws_that_are_not_its_own():
    """Of N(0, 1) in 8 units as it is, with 1 % more mass than it has, and with e^0.5."""
    torch.manual_seed(0)
    p = torch.distributions.Normal(0.0, 1.0)
    q = torch.distributions.Normal(0.02, 1.03)
    z = q.sample((1000, 8))
    log_p = p.log_prob(z).sum(1)
    log_q = q.log_prob(z).sum(1)
    assert not prior_mass_above_one(log_p, log_q)
    assert not prior_mass_above_one(log_p + 0.01, log_q)
    assert "0.4" in prior_mass_above_one(log_p + 0.5, log_q)


def test_a_column_rests_on_densities_that_there_are():
    with pytest.raises(ValueError, match="names q, p or px with commas, not 'pz'"):
        Column("x", "", "", rests_on="pz")
    made = Metric("m", (Column("a", "", ""), Column("b", "", "", rests_on="q")), dict, of="samples")
    assert [column.rests_on for column in made.columns] == ["p,px", "q"]
