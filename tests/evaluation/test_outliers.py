"""Areas under the curve against scikit-learn's, the four scores, and the outliers themselves."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.distributions import MultivariateNormal
from vaezoo_plugins.ensemble import ensemble

import vaezoo
from vaezoo.evaluation import evaluate, importance_log_likelihood
from vaezoo.evaluation.outliers import COLUMNS, auroc, outliers_for, scores, vaezoo_metrics, waic
from vaezoo.seeds import generator_for

from .conftest import digits, gaussian_vae


def test_area_is_that_of_scikit_learn_ties_included() -> None:
    g = torch.Generator().manual_seed(0)
    inside, outside = torch.randint(0, 6, (40,), generator=g).float(), torch.randint(-2, 4, (70,), generator=g).float()
    truth = torch.cat([torch.ones(40), torch.zeros(70)])
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(truth, torch.cat([inside, outside])), abs=1e-12)
    assert auroc(inside, inside) == 0.5
    assert auroc(inside + 100, outside) == 1


def test_effective_sample_size_is_that_of_the_weights(model, data) -> None:
    x = data.test[:5]
    with torch.no_grad():
        torch.manual_seed(0)
        w = model.infer(x, None, 9).log_w.double().exp()
        torch.manual_seed(0)
        found = scores(model, x, None, 9, 2**18)
    torch.testing.assert_close(found.ess.double(), w.sum(0).square() / w.square().sum(0) / 9, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.log_px.double(), w.mean(0).log(), rtol=1e-5, atol=0)


def test_waic_is_the_mean_less_the_variance_over_weights(data) -> None:
    torch.manual_seed(0)
    model = ensemble(data.spec, members=3).eval()
    x = data.test[:4]
    with torch.no_grad():
        torch.manual_seed(1)
        found = waic(list(model.members(3)), x, None, 2**18)
        torch.manual_seed(1)
        log_px = torch.stack([importance_log_likelihood(member, x, None, 16) for member in model.members(3)])
    torch.testing.assert_close(found, log_px.mean(0) - log_px.var(0))


def test_noise_has_the_rates_of_the_pixels_and_shapes_are_small_pictures(data) -> None:
    made = outliers_for(data, data.test.repeat(10, 1, 1, 1), 0, generator_for("test"))
    assert set(made) == {"noise", "shapes"}
    for rows in made.values():
        assert rows.shape == (3000, 1, 8, 8)
        assert set(rows.unique().tolist()) == {0.0, 1.0}
    error = (made["noise"].mean(0) - data.train.mean(0)).abs()
    assert error.max() < 4.5 * math.sqrt(0.25 / 3000) + 1 / len(data.train)
    assert 0.1 < made["shapes"].mean() < 0.6
    assert (made["shapes"].flatten(1).sum(1) > 0).float().mean() > 0.95


def test_the_true_density_of_a_gaussian_tells_its_rows_from_noise_of_equal_moments_as_it_should() -> None:
    """The score that the tables print, for a model that is the truth, against the same computed with the exact density."""
    data = vaezoo.dataset("gaussian")
    noise = outliers_for(data, data.test[:200], 0, generator_for("x"))["noise"]
    assert data.exact is not None
    assert auroc(data.exact(data.test[:200]), data.exact(noise)) > 0.99
    same = MultivariateNormal(noise.mean(0), noise.T.cov() + 1e-3 * torch.eye(16)).log_prob  # knows no correlation
    assert auroc(same(data.test[:200]), same(noise)) < 0.6


def test_every_column_has_an_area_or_a_reason(data, model, cache) -> None:
    answer = evaluate(model, data, metrics=vaezoo_metrics(), cache=cache)
    assert set(answer) == set(COLUMNS) - {"auroc_waic"}
    assert answer.reasons["auroc_waic"] == "one set of weights"
    assert all(0 <= value <= 1 for value in answer.values())
    assert answer.settings["outliers"] == "noise and shapes"
    assert answer == evaluate(model, data, metrics=vaezoo_metrics(), cache=cache)
    torch.manual_seed(0)
    assert set(evaluate(ensemble(data.spec), data, metrics=vaezoo_metrics(), cache=cache)) == set(COLUMNS)


def test_vectors_and_gaps_are_taken() -> None:
    for name in ("gaussian", "holes", "lgssm"):
        data = vaezoo.dataset(name)
        answer = evaluate(gaussian_vae(data.spec), data, metrics=vaezoo_metrics())
        assert set(answer) == set(COLUMNS) - {"auroc_waic"}, answer.reasons
    x = digits().test[:20].clone()
    x[:, :, 0] = math.nan
    made = outliers_for(digits(), x, 0, generator_for("gaps"))
    assert all(torch.equal(rows.isnan(), x.isnan()) for rows in made.values())
