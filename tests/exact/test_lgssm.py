"""On linear-Gaussian chains log p(x) is known: no model may pass it, and a stepwise one must come
near.

The chain is z_1 ~ N(0, P), z_t = A z_t-1 + N(0, Q), x_t = C z_t + N(0, R). Its x is one Gaussian of
T C numbers, whose covariance is written down here without any filter.
"""

import functools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from vaezoo_plugins.dkf import dmm
from vaezoo_plugins.kvae import kvae
from vaezoo_plugins.vrnn import vrnn

from vaezoo.core import Model, Spec
from vaezoo.data.data import Card, Data
from vaezoo.seeds import seeded
from vaezoo.training.training import fit

T, CHANNELS = 16, 3
A = 0.95 * torch.tensor(
    [[math.cos(0.5), -math.sin(0.5)], [math.sin(0.5), math.cos(0.5)]], dtype=torch.float64
)
C = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, -1.0]], dtype=torch.float64)
# P is stationary
P, Q, R = (
    torch.eye(2).double(),
    0.0975 * torch.eye(2).double(),
    0.04 * torch.eye(CHANNELS).double(),
)


@functools.cache
def joint() -> MultivariateNormal:
    """p(x) of a whole chain, as one Gaussian over T CHANNELS numbers."""
    powers = [torch.linalg.matrix_power(A, i) for i in range(T)]
    noise = [P] + [Q] * (T - 1)
    # z_t = Σ_{s ≤ t} A^{t-s} w_s with independent w_s
    lower = torch.cat(
        [torch.cat([powers[t - s] if s <= t else 0 * A for s in range(T)], 1) for t in range(T)], 0
    )
    emit = torch.block_diag(*[C] * T) @ lower
    return MultivariateNormal(
        torch.zeros(T * CHANNELS).double(),
        emit @ torch.block_diag(*noise) @ emit.T + torch.block_diag(*[R] * T),
    )


def exact(x: Tensor) -> Tensor:
    """log p(x), (N,), in nats."""
    return joint().log_prob(x.double().flatten(1))


@functools.cache
def chain(n: int = 2000) -> Data:
    with seeded("chain"):
        x = joint().sample((n + 1000,)).float().unflatten(1, (T, CHANNELS))
    spec = Spec((T, CHANNELS), "normal", n_train=n, latent=4, hidden=32)
    return Data(
        "chain", spec, x[:n], x[n : n + 500], x[n + 500 :], Card("", "", "", ""), exact=exact
    )


def independent_normals(data: Data) -> Tensor:
    """log p(x) of the test rows under one Normal for every step and channel, (N,)."""
    return (
        torch.distributions.Normal(data.train.mean(0), data.train.std(0))
        .log_prob(data.test)
        .flatten(1)
        .sum(1)
    )


@functools.cache
def trained_vrnn() -> tuple[Data, Model]:
    data = chain()
    with seeded("weights"):
        model = vrnn(data.spec)
    fit(model, data, epochs=8, learning_rate=5e-3, seed=0)
    return data, model


@functools.cache
def bounds_of_vrnn(k: int) -> tuple[Tensor, Tensor]:
    data, model = trained_vrnn()
    return bounds(model, data.test, k)


@torch.no_grad()
def bounds(model: Model, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """ELBO and IWAE_k of every row, (N,) each."""
    with seeded("bounds"):
        trace = model.infer(x, None, k)
    return (trace.log_px - trace.kl).mean(0), trace.log_w.logsumexp(0) - math.log(k)


@pytest.mark.certifies(
    "vrnn", claim="on a linear-Gaussian chain it closes most of the gap to the exact log p(x)"
)
def test_vrnn_closes_most_of_the_gap_to_the_exact_likelihood():
    data, _ = trained_vrnn()
    elbo, _ = bounds_of_vrnn(64)
    known, floor = data.exact(data.test).mean(), independent_normals(data).mean()
    assert (elbo.mean() - floor) / (known - floor) >= 0.8


@pytest.mark.certifies(
    "vrnn", claim="on a linear-Gaussian chain its bounds stay below the exact log p(x)"
)
def test_vrnn_stays_at_or_below_the_exact_likelihood():
    data, _ = trained_vrnn()
    elbo, iwae = bounds_of_vrnn(64)
    for bound in (elbo, iwae):  # E log p_true - log p_model ≥ 0; n = 500 test rows, z = 3
        difference = data.exact(data.test) - bound
        assert difference.mean() > -3 * difference.std() / math.sqrt(len(difference))


def test_elbo_iwae_and_exact_likelihood_are_in_order():
    data, _ = trained_vrnn()
    means = [bounds_of_vrnn(k)[1].mean() for k in (1, 8, 64)]
    assert means[0] < means[1] < means[2] < data.exact(data.test).mean()


def linear_dmm(spec: Spec) -> Model:
    return dmm(replace(spec, latent=2), linear=True)


def linear_kvae(spec: Spec) -> Model:
    """With codes as wide as x that start as x: its noise then belongs to the state space, as in the
    data, and the state space is what is left to learn.
    """
    model = kvae(replace(spec, latent=CHANNELS), components=1, linear=True)
    for layer in (model.encode.linear, model.write):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.constant_(model.likelihood.head.log_scale, -5.0)
    torch.nn.init.constant_(model.encode.raw_scale, -5.0)
    return model


@pytest.mark.certifies(
    "dmm",
    "kvae",
    claim="the bound of the linear form comes within 2 % of log p(x) on a linear-Gaussian chain",
)
@pytest.mark.parametrize(("build", "epochs"), [(linear_dmm, 20), (linear_kvae, 12)])
def test_linear_state_spaces_come_within_two_percent_of_the_exact_likelihood(build, epochs):
    data = chain()
    with seeded("weights"):
        model = build(data.spec)
    fit(model, data, epochs=epochs, batch=100, learning_rate=0.03, seed=0)
    fit(model, data, epochs=8, batch=100, learning_rate=0.003, seed=0)
    elbo, iwae = bounds(model, data.test, 128)
    known = data.exact(data.test)
    assert known.mean() - elbo.mean() < 0.02 * known.mean().abs()
    # n = 500 test rows, z = 3
    assert (known - iwae).mean() > -3 * (known - iwae).std() / math.sqrt(len(iwae))


@pytest.mark.parametrize("t", [1, T])
def test_the_joint_gaussian_has_the_chains_marginals(t: int):
    # P is stationary, so every step has the same marginal
    cut = slice((t - 1) * CHANNELS, t * CHANNELS)
    torch.testing.assert_close(
        joint().covariance_matrix[cut, cut], C @ P @ C.T + R, rtol=1e-10, atol=1e-10
    )
