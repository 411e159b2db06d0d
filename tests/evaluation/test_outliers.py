"""Areas under the curve against scikit-learn's, the four scores, and the outliers themselves."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.distributions import MultivariateNormal
from vaezoo_plugins.ensemble import ensemble

import vaezoo
from vaezoo.core import Spec
from vaezoo.data.data import Data
from vaezoo.evaluation import evaluate, importance_log_likelihood
from vaezoo.evaluation.metrics.outliers import (
    COLUMNS,
    KINDS,
    SCORES,
    auroc,
    framed,
    outliers_for,
    scores,
    vaezoo_metrics,
    waic,
)
from vaezoo.seeds import generator_for

from .conftest import CARD, digits, gaussian_vae


def test_area_is_that_of_scikit_learn_ties_included():
    g = torch.Generator().manual_seed(0)
    inside, outside = (
        torch.randint(0, 6, (40,), generator=g).float(),
        torch.randint(-2, 4, (70,), generator=g).float(),
    )
    truth = torch.cat([torch.ones(40), torch.zeros(70)])
    assert auroc(inside, outside) == pytest.approx(
        roc_auc_score(truth, torch.cat([inside, outside])), abs=1e-12
    )
    assert auroc(inside, inside) == 0.5
    assert auroc(inside + 100, outside) == 1


def test_effective_sample_size_is_that_of_the_weights(model, data):
    x = data.test[:5]
    with torch.no_grad():
        torch.manual_seed(0)
        w = model.infer(x, None, 9).log_w.double().exp()
        torch.manual_seed(0)
        found = scores(model, x, None, 9, 2**18)
    torch.testing.assert_close(
        found.ess.double(), w.sum(0).square() / w.square().sum(0) / 9, rtol=1e-4, atol=0
    )
    torch.testing.assert_close(found.log_px.double(), w.mean(0).log(), rtol=1e-5, atol=0)


def test_waic_is_the_mean_less_the_variance_over_weights(data):
    torch.manual_seed(0)
    model = ensemble(data.spec, members=3).eval()
    x = data.test[:4]
    with torch.no_grad():
        torch.manual_seed(1)
        found = waic(list(model.members(3)), x, None, 2**18)
        torch.manual_seed(1)
        log_px = torch.stack(
            [importance_log_likelihood(member, x, None, 16) for member in model.members(3)]
        )
    torch.testing.assert_close(found, log_px.mean(0) - log_px.var(0))


def test_noise_has_the_rates_of_the_pixels_and_shapes_are_small_pictures(data):
    made = outliers_for(data, data.test.repeat(10, 1, 1, 1), 0, generator_for("test"))
    assert set(made) == set(KINDS)
    for rows in made.values():
        assert rows.shape == (3000, 1, 8, 8)
        assert set(rows.unique().tolist()) == {0.0, 1.0}
    error = (made["noise"].mean(0) - data.train.mean(0)).abs()
    assert error.max() < 4.5 * math.sqrt(0.25 / 3000) + 1 / len(data.train)
    assert 0.1 < made["shapes"].mean() < 0.6
    assert (made["shapes"].flatten(1).sum(1) > 0).float().mean() > 0.95


def test_the_true_density_of_a_gaussian_tells_its_rows_from_noise_of_equal_moments_as_it_should():
    """The score that the tables print, for a model that is the truth, against the same computed
    with the exact density.
    """
    data = vaezoo.dataset("gaussian")
    noise = outliers_for(data, data.test[:200], 0, generator_for("x"))["noise"]
    assert data.exact is not None
    assert auroc(data.exact(data.test[:200]), data.exact(noise)) > 0.99
    # knows no correlation
    same = MultivariateNormal(noise.mean(0), noise.T.cov() + 1e-3 * torch.eye(16)).log_prob
    assert auroc(same(data.test[:200]), same(noise)) < 0.6


def picture(height: int, width: int, likelihood: str = "bernoulli") -> Data:
    """Images that are empty but for the columns on the left, where a third of the pixels is on."""
    x = torch.zeros(600, 1, height, width)
    x[::3, ..., : width // 2] = 1
    return Data("picture", Spec((1, height, width), likelihood, 600), x, x, x, CARD)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(28, 28, slice(0, 28), slice(4, 24)), (8, 8, slice(0, 8), slice(1, 7)),
     (28, 20, slice(0, 28), slice(0, 20)), (40, 20, slice(6, 34), slice(0, 20)),
     (28, 60, slice(0, 28), slice(20, 40))],
)  # fmt: skip
def test_framed_noise_has_the_proportions_of_a_frey_face_in_an_empty_picture(
    height, width, rows, columns
):
    data = picture(height, width)
    made = framed(data, 600, generator_for("frame"))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[rows, columns] = True
    assert not made[:, 0, ~inside].any()
    share, entries = data.train.mean(), made[:, 0, inside]
    assert set(entries.unique().tolist()) == {0.0, 1.0}
    assert (entries.mean() - share).abs() < 4 * math.sqrt(share * (1 - share) / entries.numel())
    # every pixel has the one rate of them all, n = 600 each, so that nothing of the data shines
    # through
    z = (entries.mean(0) - share) / math.sqrt(share * (1 - share) / 600)
    assert z.abs().max() < 4.5


def test_framed_noise_of_grey_pictures_has_their_mean_and_deviation():
    data = picture(28, 28, "normal")
    x = framed(data, 600, generator_for("frame"))
    entries, deviation = x[:, 0, :, 4:24], data.train.std()
    assert (entries.mean() - data.train.mean()).abs() < 4 * deviation / math.sqrt(entries.numel())
    assert (entries.std() / deviation - 1).abs() < 4 / math.sqrt(2 * entries.numel())
    assert not torch.cat([x[..., :4], x[..., 24:]]).any()


def test_every_column_has_an_area_or_a_reason(data, model, cache):
    answer = evaluate(model, data, metrics=vaezoo_metrics(), cache=cache)
    waics = {f"auroc_waic_{kind}" for kind in KINDS}
    assert set(answer) == set(COLUMNS) - waics
    assert answer.reasons == dict.fromkeys(waics, "one set of weights")
    assert all(0 <= value <= 1 for value in answer.values())
    assert answer.settings == {"outliers": "shapes, frame, noise", "outlier_rows": 200}
    assert answer == evaluate(model, data, metrics=vaezoo_metrics(), cache=cache)
    torch.manual_seed(0)
    assert set(evaluate(ensemble(data.spec), data, metrics=vaezoo_metrics(), cache=cache)) == set(
        COLUMNS
    )


def test_vectors_and_gaps_are_taken():
    for name in ("gaussian", "holes", "lgssm"):
        data = vaezoo.dataset(name)
        answer = evaluate(gaussian_vae(data.spec), data, metrics=vaezoo_metrics())
        kinds = KINDS if data.spec.is_image else ("noise",)
        assert set(answer) == {
            f"auroc_{score}_{kind}" for score in SCORES if score != "waic" for kind in kinds
        }
        assert set(answer) | set(answer.reasons) == set(COLUMNS)
        assert data.spec.is_image or answer.reasons["auroc_waic_shapes"] == "not an image"
    x = digits().test[:20].clone()
    x[:, :, 0] = math.nan
    made = outliers_for(digits(), x, 0, generator_for("gaps"))
    assert all(torch.equal(rows.isnan(), x.isnan()) for rows in made.values())
