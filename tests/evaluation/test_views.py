"""Views told from one another: against the Gaussian formula, and by draws whose class is known."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

import vaezoo
from vaezoo.core import VAE, Decoder, Encoder
from vaezoo.data.sources.gaussian_pair import gaussian_pair
from vaezoo.distributions import bernoulli, normal
from vaezoo.evaluation import controls, evaluate
from vaezoo.evaluation.metrics.views import vaezoo_metrics
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal
from vaezoo.views import split_views

from .conftest import gaussian_vae

METRICS = vaezoo_metrics()


class Posterior(Encoder):
    """The exact p(z|x_there) of the pair, its covariance's diagonal widened to be a proposal."""

    def __init__(self, w: Tensor, noise: float) -> None:
        super().__init__()
        self.w = w
        self.noise = noise

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        seen = (~x.isnan()).double()
        precision = torch.einsum("bi,id,ie->bde", seen, self.w, self.w) / self.noise**2
        precision = precision + torch.eye(self.w.shape[1]).double()
        covariance = precision.inverse()
        loc = torch.einsum("bde,ie,bi->bd", covariance, self.w, x.nan_to_num().double())
        scale = 1.5 * covariance.diagonal(dim1=1, dim2=2).sqrt()
        return normal(loc / self.noise**2, scale)


class Linear(Decoder):
    def __init__(self, w: Tensor, noise: float, data: vaezoo.Data) -> None:
        super().__init__()
        self.w = w
        model = gaussian_vae(data.spec).double()
        self.likelihood = model.decoder.likelihood
        self.likelihood.log_scale.data.fill_(math.log(noise))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        return self.likelihood(z @ self.w.T)


def test_the_likelihood_of_a_view_given_the_other_is_the_gaussian_formulas():
    """K = 20,000 draws a row: the mean over 2 views and 100 rows within 0.02 nats."""
    data = gaussian_pair(dimensions=3, rows=500)
    covariance = data.exact.keywords["covariance"]
    values, vectors = torch.linalg.eigh(covariance - 0.25 * torch.eye(6).double())
    w = vectors[:, -2:] * values[-2:].sqrt()
    prior = StandardNormal(data.spec).double()
    model = VAE(Posterior(w, 0.5), Linear(w, 0.5, data), prior, ELBO())
    found = evaluate(model, data, metrics=METRICS[:1], importance_samples=20_000)
    exact = data.controls(data.test)["exact density"]["view_nll"]
    assert found["view_nll"] == pytest.approx(exact, abs=0.02)
    assert "no labels" in found.reasons["coherence"]


@pytest.fixture(scope="module")
def pairs():
    return vaezoo.dataset("paired")


class OfClass(Encoder):
    """A point: the class of the views that are there, told by the nearest training row."""

    def __init__(self, data: vaezoo.Data) -> None:
        super().__init__()
        self.data = data

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        parts = split_views(x, self.data.spec)
        views = split_views(self.data.train, self.data.spec)
        found = []
        for part, train in zip(parts, views, strict=True):
            distance = torch.cdist(part.flatten(1).nan_to_num(), train.flatten(1))
            near = distance.topk(5, largest=False).indices
            classes = self.data.labels["train"][near].mode(1).values
            found.append(torch.where(part.flatten(1).isnan().any(1), -1, classes))
        y = torch.stack(found).max(0).values
        return normal(torch.eye(10)[y] * 30, torch.full((len(x), 10), 1e-3))


class MeanOfClass(Decoder):
    """A row of the class, without noise."""

    def __init__(self, data: vaezoo.Data) -> None:
        super().__init__()
        first = [int((data.labels["train"] == y).nonzero()[5]) for y in range(10)]
        self.rows = data.train[first]

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        x = self.rows[z.argmax(-1)]
        return bernoulli(20 * x - 10, 3)


def test_coherence_is_that_of_generated_classes(pairs):
    """A model that makes a row of the right class is as coherent as the classifiers are good; one
    that makes another's, not at all.
    """
    model = VAE(OfClass(pairs), MeanOfClass(pairs), StandardNormal(pairs.spec, (10,)), ELBO())
    good = evaluate(model, pairs, metrics=METRICS)
    assert good["coherence"] > 0.8
    assert good["joint_coherence"] > 0.8
    assert good["coherence"] == pytest.approx(
        (good["coherence_first"] + good["coherence_last"]) / 2
    )
    model.decoder.rows = model.decoder.rows.roll(1, 0)
    bad = evaluate(model, pairs, metrics=METRICS)
    assert bad["coherence"] < 0.1
    assert bad["joint_coherence"] > 0.8


def test_control_rows_are_ordered(pairs):
    rows = controls(pairs, METRICS)
    real, shuffled = rows["real pairs"], rows["shuffled pairs"]
    for column in ("coherence", "coherence_first", "coherence_last", "joint_coherence"):
        assert real[column] > 0.75
        assert abs(shuffled[column] - 0.1) < 0.08
    assert 20 < rows["independent pixels"]["view_nll"] < 35


def test_models_of_no_views_are_asked_too_and_data_of_no_views_is_not(pairs):
    found = evaluate(gaussian_vae(pairs.spec), pairs, metrics=METRICS, importance_samples=5)
    assert set(found) >= {"view_nll", "coherence", "joint_coherence"}
    digits = vaezoo.dataset("digits")
    none = evaluate(gaussian_vae(digits.spec), digits, metrics=METRICS)
    assert not none
    assert controls(digits, METRICS) == {}
    assert "x is not said to be several views" in none.reasons["view_nll"]
