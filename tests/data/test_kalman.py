"""The filter, its likelihood and the smoother against the dense joint Gaussian of all states and
observations.
"""

import pytest
import torch
from torch.distributions import MultivariateNormal

from vaezoo.data.kalman import LinearGaussian, kalman_filter, log_likelihood
from vaezoo.data.sources.lgssm import lgssm, state_space

STEPS, STATES, CHANNELS = 5, 2, 3


def smoother(model, x):
    """Means (N, T, S) and covariances (N, T, S, S) of p(z_t | x_1 … x_T)."""
    f = kalman_filter(model, x)
    mean, covariance = f.mean[:, -1], f.covariance[:, -1]
    means = [mean]
    covariances = [covariance]
    for t in range(x.shape[1] - 2, -1, -1):
        predicted = torch.linalg.cholesky(f.predicted_covariance[:, t + 1])
        gain = torch.cholesky_solve(model.transition @ f.covariance[:, t], predicted).mT
        ahead = mean - f.predicted_mean[:, t + 1]
        mean = f.mean[:, t] + (gain @ ahead[..., None]).squeeze(-1)
        covariance = (
            f.covariance[:, t] + gain @ (covariance - f.predicted_covariance[:, t + 1]) @ gain.mT
        )
        means.append(mean)
        covariances.append(covariance)
    return torch.stack(means[::-1], 1), torch.stack(covariances[::-1], 1)


@pytest.fixture(scope="module")
def model():
    g = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def covariance(n):
        a = random(n, n)
        return a @ a.T + 0.3 * torch.eye(n, dtype=torch.float64)

    return LinearGaussian(
        transition=0.5 * random(STATES, STATES),
        transition_noise=covariance(STATES),
        observation=random(CHANNELS, STATES),
        observation_noise=covariance(CHANNELS),
        mean=random(STATES),
        covariance=covariance(STATES),
    )


@pytest.fixture(scope="module")
def x(model):
    """Rows that are whole, have missing entries, missing steps (also the first), and padding."""
    x = model.draw(6, STEPS, torch.Generator().manual_seed(1))[1]
    x[1, 2, 0] = x[1, 0, 1] = torch.nan
    x[2, 0] = torch.nan
    x[3, 3:] = torch.nan
    x[4, 1:3] = x[4, 4, 2] = torch.nan
    return x


def dense(model):
    """Mean and covariance of (z_1 … z_T, x_1 … x_T), from one big linear map of the noises; and the
    size of z_1 … z_T.
    """
    n, t = STATES, STEPS
    means, lift = [model.mean], torch.zeros(t * n, t * n, dtype=torch.float64)
    noise = torch.block_diag(model.covariance, *[model.transition_noise] * (t - 1))
    for i in range(t):
        for j in range(i + 1):
            lift[i * n : (i + 1) * n, j * n : (j + 1) * n] = torch.linalg.matrix_power(
                model.transition, i - j
            )
    for _ in range(t - 1):
        means.append(model.transition @ means[-1])
    h = torch.block_diag(*[model.observation] * t)
    z_mean, z_covariance = torch.cat(means), lift @ noise @ lift.T
    x_covariance = h @ z_covariance @ h.T + torch.block_diag(*[model.observation_noise] * t)
    top = torch.cat([z_covariance, z_covariance @ h.T], 1)
    bottom = torch.cat([h @ z_covariance, x_covariance], 1)
    return torch.cat([z_mean, h @ z_mean]), torch.cat([top, bottom]), t * n


def conditioned(mean, covariance, n_states, row):
    """Mean and covariance of the states given the entries of x that are there."""
    seen = n_states + (~row.isnan()).nonzero().squeeze(1)
    hidden = torch.arange(n_states)
    gain = covariance[hidden][:, seen] @ torch.linalg.inv(covariance[seen][:, seen])
    residual = row[seen - n_states] - mean[seen]
    return mean[hidden] + gain @ residual, covariance[hidden][:, hidden] - gain @ covariance[seen][
        :, hidden
    ]


def test_the_log_likelihood_is_that_of_the_dense_gaussian(model, x):
    mean, covariance, n = dense(model)
    for row, found in zip(x.flatten(1), log_likelihood(x, model), strict=True):
        seen = n + (~row.isnan()).nonzero().squeeze(1)
        expected = MultivariateNormal(mean[seen], covariance[seen][:, seen]).log_prob(row[seen - n])
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def test_the_smoother_gives_the_dense_posterior(model, x):
    mean, covariance, n = dense(model)
    means, covariances = smoother(model, x)
    for i, row in enumerate(x.flatten(1)):
        m, s = conditioned(mean, covariance, n, row)
        torch.testing.assert_close(means[i].flatten(), m, atol=1e-10, rtol=1e-10)
        for t in range(STEPS):
            at = slice(t * STATES, (t + 1) * STATES)
            torch.testing.assert_close(covariances[i, t], s[at, at], atol=1e-10, rtol=1e-10)


def test_the_filter_knows_the_past_only(model, x):
    mean, covariance, n = dense(model)
    filtered = kalman_filter(model, x)
    for i, row in enumerate(x):
        for t in range(STEPS):
            past = row.clone()
            past[t + 1 :] = torch.nan
            m, s = conditioned(mean, covariance, n, past.flatten())
            at = slice(t * STATES, (t + 1) * STATES)
            torch.testing.assert_close(filtered.mean[i, t], m[at], atol=1e-10, rtol=1e-10)
            torch.testing.assert_close(filtered.covariance[i, t], s[at, at], atol=1e-10, rtol=1e-10)


def test_padding_changes_no_likelihood(model, x):
    longer = torch.cat([x, torch.full((len(x), 3, CHANNELS), torch.nan)], 1)
    torch.testing.assert_close(
        log_likelihood(longer, model), log_likelihood(x, model), atol=1e-12, rtol=0
    )


def test_lgssm_is_stationary_with_the_variance_its_card_says():
    model = state_space(2, 4)
    z, x = model.draw(20_000, 8, torch.Generator().manual_seed(0))
    assert (z.var(0) - 1).abs().max() < 5 * (2 / 20_000) ** 0.5  # n = 20,000, five standard errors
    assert (x.var(0) - 1.05).abs().max() < 5 * 1.05 * (2 / 20_000) ** 0.5


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_exact_answer_of_lgssm_is_highest_for_its_own_parameters(missing):
    data = lgssm(rows=500, missing=missing)
    other = state_space(2, 4, "another")
    own, others = data.exact(data.train).mean(), log_likelihood(data.train, other).mean()
    assert own > others
    assert own.dtype == torch.float64
    assert data.spec.has_gaps == (missing > 0)
    assert data.train.isnan().double().mean() == pytest.approx(missing, abs=0.01)
