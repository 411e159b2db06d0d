"""Estimators of scikit-learn: its own checks, and what they do not ask."""

import copy
import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaezoo.sklearn import VAE, VAEImputer, VAEOutlierDetector

TINY = {"epochs": 1, "latent": 2, "hidden": 4, "draws": 3}
LINEAR = {"latent": 1, "epochs": 60, "learning_rate": 0.03, "batch": 20, "draws": 20}
G = np.random.default_rng(0).normal(size=(200, 2))
# one direction of length 10 and another of 1, in units of their own
X = np.stack([30 + 10 * G[:, 0] + G[:, 1], 2e4 + 1e4 * G[:, 0] - 1e3 * G[:, 1]], 1)
Y = (G[:, 0] > 0).astype(int)
NAMES = ["age", "pay"]


@parametrize_with_checks([VAE(**TINY), VAEOutlierDetector(**TINY), VAEImputer(**TINY)])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def linear() -> VAE:
    return VAE("linear", **LINEAR).fit(X)


def test_scores_are_densities_in_the_units_of_the_data(linear):
    """Against the Gaussian of maximum likelihood, which a linear model of one code can be."""
    covariance = np.cov(X.T, bias=True)
    best = -0.5 * (np.log(np.linalg.det(2 * np.pi * covariance)) + 2)
    assert best - 0.25 < linear.score(X) < best + 0.05
    assert linear.score_samples(X[:3]) == pytest.approx(linear.score_samples(X)[:3], abs=1e-9)


def test_codes_go_there_and_back_and_samples_look_like_the_data(linear):
    z = linear.transform(X)
    assert z.shape == (200, 1)
    assert abs(np.corrcoef(z[:, 0], G[:, 0])[0, 1]) > 0.98
    again = linear.inverse_transform(z)
    assert (np.abs(again - X).mean(0) < 0.35 * X.std(0)).all()
    drawn = linear.sample(400, random_state=1)
    assert drawn.mean(0) == pytest.approx(X.mean(0), rel=0.15)
    assert drawn.std(0) == pytest.approx(X.std(0), rel=0.25)
    assert np.array_equal(drawn, linear.sample(400, random_state=1))
    with pytest.raises(ValueError, match=r"codes have shape \(N, 1\), not \(2, 2\)"):
        linear.inverse_transform(X[:2])


def test_a_pickle_holds_no_module_and_gives_the_same_numbers(linear):
    content = pickle.dumps(linear)
    classes = {text for _, text, _ in pickletools.genops(content) if isinstance(text, str)}
    assert not [text for text in classes if "torch" in text or "vaezoo.core" in text]
    for again in (pickle.loads(content), copy.deepcopy(linear)):
        assert np.array_equal(again.score_samples(X[:5]), linear.score_samples(X[:5]))
        assert again.get_params() == linear.get_params()


def test_hyperparameters_of_the_variant_are_parameters():
    model = VAE("beta", beta=4, epochs=2)
    assert model.get_params()["beta"] == 4
    assert clone(model).get_params() == model.get_params()
    assert "beta=4" in repr(model)
    assert VAE("beta").set_params(beta=2).beta == 2
    with pytest.raises(ValueError, match="Invalid parameter 'bet'"):
        model.set_params(bet=2)
    with pytest.raises(ValueError, match="beta has no hyperparameter 'bet'; did you mean 'beta'"):
        VAE("beta", bet=2, **TINY).fit(X)
    with pytest.raises(ValueError, match="'beat'"):
        VAE("beat", **TINY).fit(X)
    with pytest.raises(ValueError, match="latent"):
        VAE(**TINY | {"latent": 0}).fit(X)


def test_a_hyperparameter_is_searched_and_a_pipeline_scores():
    search = GridSearchCV(VAE("beta", **TINY), {"beta": [1.0, 4.0], "latent": [1]}, cv=2).fit(X)
    assert set(search.cv_results_["param_beta"]) == {1.0, 4.0}
    assert np.isfinite(search.best_score_)
    line = make_pipeline(VAE("linear", **LINEAR), LogisticRegression())
    assert cross_val_score(line, X, Y, cv=2).mean() > 0.9


def test_tables_keep_their_names_and_sparse_matrices_are_read():
    table = pd.DataFrame(X, columns=NAMES)
    model = VAE(**TINY).set_output(transform="pandas").fit(table)
    assert list(model.get_feature_names_out()) == ["vae0", "vae1"]
    assert list(model.transform(table).columns) == ["vae0", "vae1"]
    full = VAEImputer(**TINY).set_output(transform="pandas").fit_transform(table)
    assert list(full.columns) == NAMES
    with pytest.raises(ValueError, match="feature names"):
        model.transform(table[["pay", "age"]])
    codes = VAE(**TINY).fit(X).transform(csr_array(X))
    assert np.array_equal(codes, VAE(**TINY).fit(X).transform(X))


def test_outliers_are_found_and_counted():
    odd = np.array([[30.0, 6e4], [90.0, 2e4]])  # each column is usual, both together are not
    found = VAEOutlierDetector("linear", contamination=0.05, **LINEAR).fit(X)
    assert (found.predict(odd) == -1).all()
    assert (found.predict(X) == -1).sum() == 10
    assert (found.decision_function(odd) < 0).all()
    with pytest.raises(ValueError, match=r"contamination=0\.9: expected a share"):
        VAEOutlierDetector(contamination=0.9, **TINY).fit(X)


def test_gaps_are_filled_better_than_by_means_and_what_is_there_stays():
    x = X.copy()
    x[::4, 1] = np.nan
    x[1::4, 0] = np.nan
    full = VAEImputer("linear", **LINEAR).fit_transform(x)
    is_there = ~np.isnan(x)
    assert np.array_equal(full[is_there], x[is_there])
    means = SimpleImputer().fit_transform(x)
    ours, theirs = (
        np.square((filled - X) / X.std(0))[~is_there].mean() for filled in (full, means)
    )
    assert ours < 0.2 * theirs
    with pytest.raises(ValueError, match="contains NaN"):
        VAE(**TINY).fit(x)


def test_values_that_the_likelihood_does_not_speak_of_have_no_score():
    bits = (X.mean(0) < X).astype(float)
    model = VAE(**TINY).fit(bits)
    assert (model.score_samples(bits) < 0).all()
    with pytest.raises(ValueError, match=r"row 0 .* that this model's likelihood, bernoulli"):
        model.score_samples(bits + 0.5)
    with pytest.raises(ValueError, match=r"has no log p\(x\)"):
        VAE("rae_l2", **TINY).fit(X).score(X)
