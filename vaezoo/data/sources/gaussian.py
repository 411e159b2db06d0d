"""Dense Gaussian data whose log density is known: what probabilistic PCA can reach exactly."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count, Positive
from ...seeds import generator_for
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words


@tags("vector", "real", "generated", "exact")
def gaussian(
    dimensions: Count = 16, rank: Count = 4, noise: Positive = 0.5, rows: Count = 5000
) -> Data:
    """Gaussian vectors, (dimensions,), of covariance W Wᵀ + noise² I with W of the given rank.

    Log p(x) is exact.

    Raises: ValueError where the rank exceeds the dimensions.
    """
    if rank > dimensions:
        raise ValueError(
            f"gaussian needs a rank of at most its {dimensions} dimensions; got {rank}"
        )
    name = named(gaussian, dimensions=dimensions, rank=rank, noise=noise, rows=rows)
    mean = torch.linspace(-1, 1, dimensions, dtype=torch.float64)
    w = _weights(dimensions, rank)
    covariance = w @ w.T + noise**2 * torch.eye(dimensions, dtype=torch.float64)

    x = {s: _draw(mean, w, noise, n, name, s) for s, n in sizes(rows).items()}
    return Data(
        name=name,
        spec=Spec((dimensions,), "normal", rows, latent=rank, hidden=64, network="mlp"),
        card=Card(
            "Dense Gaussian",
            GENERATED,
            LICENCE,
            f"covariance of rank {rank} plus {noise}² I; not standardised; {sizes_in_words(rows)}",
        ),
        budget={"epochs": 100, "learning_rate": 2e-3},
        exact=partial(log_density, mean=mean, factor=torch.linalg.cholesky(covariance)),
        **by_split(x),
    )


def _weights(dimensions: int, rank: int) -> Tensor:
    """W (dimensions, rank), float64."""
    g = generator_for("gaussian", dimensions, rank)
    return torch.randn(dimensions, rank, generator=g, dtype=torch.float64)


def _draw(mean: Tensor, w: Tensor, noise: float, rows: int, *names: object) -> Tensor:
    """(rows, D), float32, from x = mean + W z + noise ε."""
    g = generator_for("gaussian", *names)
    z, eps = (
        torch.randn(rows, n, generator=g, dtype=torch.float64) for n in (w.shape[1], w.shape[0])
    )
    return (mean + z @ w.T + noise * eps).float()


def log_density(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """log N(x; mean, factor factorᵀ), x (N, D) -> (N,), in nats, float64."""
    return MultivariateNormal(mean, scale_tril=factor).log_prob(x.to(mean))


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [gaussian]
