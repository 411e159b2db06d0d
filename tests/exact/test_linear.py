"""The linear VAE against probabilistic PCA (Tipping & Bishop 1999, eq. 8)."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from vaezoo_plugins.linear import linear

from vaezoo.core import VAE, Spec
from vaezoo.data.data import Card, Data
from vaezoo.distributions import kl
from vaezoo.training.training import fit


def ppca(x: Tensor, k: int) -> tuple[float, Tensor, float]:
    """Mean log-likelihood at the optimum in nats per x, the weights (d, k) and σ², from the
    eigenvalues.
    """
    x = x.flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    values, vectors, d = values.flip(0), vectors.flip(1), x.shape[1]
    rest = values[k:].mean()
    log_p = -0.5 * (d * math.log(2 * math.pi) + values[:k].log().sum() + (d - k) * rest.log() + d)
    return log_p.item(), vectors[:, :k] * (values[:k] - rest).sqrt(), rest.item()


@torch.no_grad()
def exact_bound(model: VAE, x: Tensor) -> float:
    """The ELBO with R in closed form: E‖x - Wz - m‖² = ‖x - W μ - m‖² + tr(Wᵀ W d²)."""
    q = model.encoder(x).base_dist
    px = model.decoder(q.loc[None]).base
    weight, s2 = model.decoder.scale * model.decoder.weight, px.scale.flatten()[0] ** 2
    at_mean = px.log_prob(x).flatten(2).sum(-1)[0]
    spread = (weight.square().sum(0) * q.scale.square()).sum(-1) / (2 * s2)
    return (at_mean - spread - kl(model.encoder(x), model.prior())).mean().item()


def data_of(x: Tensor, latent: int) -> Data:
    spec = Spec(tuple(x.shape[1:]), "normal", len(x), latent=latent)
    return Data("linear", spec, x, x[:5000], x[:5000], Card("", "", "", ""))


def gaussian(n: int, d: int) -> Tensor:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=g) @ torch.tensor([[2.0], [1.0]]).mul(
        torch.randn(2, d, generator=g)
    )
    return 3 + x + 0.5 * torch.randn(n, d, generator=g)


@pytest.mark.certifies(
    "linear", claim="at the optimum of probabilistic PCA the bound is its log-likelihood, to 1e-9"
)
def test_bound_at_the_ppca_optimum_is_the_ppca_log_likelihood():
    """With W = U (Λ - σ²)^½ and the true posterior, which is diagonal there, the bound is tight to
    rounding.
    """
    x = gaussian(500, 6).double()
    log_p, weight, s2 = ppca(x, 2)
    model = linear(Spec((6,), "normal", 500, latent=2)).double().train()
    model.encoder(x)  # the mean
    precision = weight.T @ weight / s2 + torch.eye(2, dtype=torch.float64)
    with torch.no_grad():
        model.decoder.weight.copy_(weight / model.decoder.scale)
        model.decoder.likelihood.log_scale.fill_(0.5 * math.log(s2))
        model.encoder.weight.copy_(
            torch.linalg.solve(precision, weight.T) / s2 / model.encoder.scale
        )
        model.encoder.log_scale.copy_(-0.5 * precision.diagonal().log())
    assert exact_bound(model.eval(), x) == pytest.approx(log_p, abs=1e-9)


@pytest.mark.certifies("linear", claim="training reaches the log-likelihood of probabilistic PCA")
def test_training_reaches_the_ppca_log_likelihood_on_gaussian_data():
    torch.manual_seed(0)
    x = gaussian(4000, 6)
    log_p, _, s2 = ppca(x, 2)
    model = linear(data_of(x, 2).spec)
    fit(model, data_of(x, 2), epochs=60, learning_rate=2e-3)
    assert exact_bound(model.eval(), x) == pytest.approx(log_p, rel=0.005)
    assert model.decoder.likelihood.log_scale.exp().item() ** 2 == pytest.approx(s2, rel=0.03)


def test_the_mean_is_that_of_all_rows_seen_and_leaves_gaps_out():
    model = linear(Spec((4, 2), "normal", latent=2, has_gaps=True)).train()
    x = torch.randn(10, 4, 2)
    x[3:, 2:] = math.nan
    model.encoder(x[:4])
    model.encoder(x[4:])
    torch.testing.assert_close(model.encoder.centre.mean, x.flatten(1).nanmean(0))


def mnist() -> Tensor:
    folder = Path(os.environ.get("VAEZOO_DATA", "../shared/data"))
    file = folder / "mnist" / "train-images-idx3-ubyte.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there; set VAEZOO_DATA")
    pixels = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=16).copy()
    return torch.from_numpy(pixels).reshape(-1, 1, 28, 28).float() / 255


@pytest.mark.slow
@pytest.mark.parametrize(("k", "published"), [(2, 12.43), (10, 182.16)])
def test_training_reaches_the_ppca_log_likelihood_on_mnist(k: int, published: float):
    torch.manual_seed(0)
    x = mnist()
    log_p, _, _ = ppca(x, k)
    assert log_p == pytest.approx(published, abs=0.005)
    model = linear(data_of(x, k).spec)
    fit(model, data_of(x, k), epochs=50, patience=10)
    bound = sum(exact_bound(model.eval(), part) * len(part) for part in x.split(2000)) / len(x)
    assert bound == pytest.approx(log_p, rel=0.005)
