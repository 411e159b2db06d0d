"""Metrics that one asks for, and what stands beside the likelihood: on models whose answers are
written down.
"""

import math
from dataclasses import replace

import pytest
import torch

import vaezoo
from vaezoo.core import VAE, Encoder
from vaezoo.distributions import normal
from vaezoo.evaluation.bounds import estimate
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.measurement import known_metrics, usual_metrics
from vaezoo.evaluation.measuring import measure
from vaezoo.evaluation.metrics.annealed import annealed
from vaezoo.evaluation.metrics.units import kl_of_units
from vaezoo.registry.registry import load_registry

from .conftest import digits, gaussian_vae
from .test_likelihood import PLANE, exact, plane_vae


def test_metrics_are_chosen_by_name():
    data = vaezoo.dataset("ring", rows=60)
    model = vaezoo.variants()["vae"](data.spec)
    found = vaezoo.evaluate(model, data, metrics=["active_units", "reconstruction"])
    assert set(found) == {"active_units", "mse"}
    with pytest.raises(vaezoo.SelectionError, match="no metric 'active_unit'; did you mean"):
        vaezoo.evaluate(model, data, metrics=["active_unit"])


def test_what_is_asked_for_is_known_and_not_usual():
    asked = {metric.name for metric in known_metrics() if metric.asked}
    assert "annealed" in asked
    assert not asked & {metric.name for metric in usual_metrics()}
    assert not asked & set(load_registry().usual_metrics)


class Known(Encoder):
    """KL 2, ½ and 0 nats: means of √4, √1 and 0, and no fourth unit that moves."""

    def forward(self, x, c=None):
        loc = torch.tensor([2.0, 1.0, 0.0, 0.0]).expand(len(x), 4)
        return normal(loc, torch.ones(4))


def test_the_kl_of_units_is_the_closed_form(data, model):
    told = VAE(Known(), model.decoder, model.prior, model.loss)
    with torch.no_grad():
        found = kl_of_units(Evaluation(told, data))
        whole = measure(
            Evaluation(model, data), [m for m in usual_metrics() if m.name == "likelihood"]
        )
        ours = kl_of_units(Evaluation(model, data))
    assert found == {
        "kl_largest": pytest.approx(2.0),
        "kl_smallest": pytest.approx(0.0, abs=1e-6),
        "kl_units": 2,
    }
    assert 0 <= ours["kl_smallest"] <= whole["kl"] / 4 <= ours["kl_largest"] <= whole["kl"]


def test_effective_draws_are_all_of_equal_weights_and_those_of_the_formula(data, model):
    x = data.test[:5]
    torch.manual_seed(0)
    found = estimate(model, x, None, 6, 6).effective
    torch.manual_seed(0)
    w = model.infer(x, None, 6).log_w.double().exp()
    torch.testing.assert_close(found.double(), w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-4, atol=0)

    # a decoder that ignores z, and q = p: every weight is p(x)
    even = gaussian_vae(data.spec)
    with torch.no_grad():
        for part in (even.encoder, even.decoder):
            for parameter in part.parameters():
                parameter.zero_()
        even.encoder.net.out[-1].bias[4:] = math.log(math.expm1(1 - 1e-3))
        found = estimate(even, x, None, 6, 2).effective
    torch.testing.assert_close(found, torch.full((5,), 6.0), rtol=1e-4, atol=0)


def test_annealing_in_the_table_is_between_its_own_bounds_and_near_the_exact_value(monkeypatch):
    module = "vaezoo.evaluation.metrics.annealed"
    monkeypatch.setattr(f"{module}.ROWS", 12)
    monkeypatch.setattr(f"{module}.TEMPERATURES", 60)
    torch.manual_seed(0)
    model = plane_vae()
    x = model.sample(12)
    evaluation = Evaluation(model, replace(digits(labelled=False), spec=PLANE, test=x))
    with torch.no_grad():
        found = annealed(evaluation)
    truth = -float(exact(model, x).mean())
    assert found["ais_nll"] == pytest.approx(truth, abs=0.1)
    assert abs(found["ais_gap"]) < 0.1 + 4 * found["ais_gap_se"]
