"""Two views of one Gaussian code, whose every density is known."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ...core import Spec, View
from ...hooks import hookimpl, tags
from ...hyperparameters import Count, Positive
from ...seeds import generator_for
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words

EXACT = "exact density"


@tags("views", "vector", "real", "generated", "exact")
def gaussian_pair(
    dimensions: Count = 6, latent: Count = 2, noise: Positive = 0.5, rows: Count = 5000
) -> Data:
    """Two Gaussian vectors, each W_v z + noise ε of one code z: two views of (dimensions,) each.

    Log p(x) is exact, and so is log p of one view given the other, which a control row has.

    Raises: ValueError where a view has fewer dimensions than the code.
    """
    if latent > dimensions:
        raise ValueError(
            f"gaussian_pair needs at least the {latent} dimensions of its code in each view; got "
            f"{dimensions}"
        )
    name = named(gaussian_pair, dimensions=dimensions, latent=latent, noise=noise, rows=rows)
    g = generator_for("gaussian_pair", dimensions, latent)
    w = torch.randn(2 * dimensions, latent, generator=g, dtype=torch.float64)
    covariance = w @ w.T + noise**2 * torch.eye(2 * dimensions, dtype=torch.float64)
    x = {split: _draw(w, noise, n, name, split) for split, n in sizes(rows).items()}
    card = Card(
        "Gaussian pair",
        GENERATED,
        LICENCE,
        f"two views of a code of {latent} dimensions, plus {noise}² I; not standardised; "
        f"{sizes_in_words(rows)}",
    )
    return Data(
        name=name,
        spec=_spec(dimensions, latent, rows),
        card=card,
        budget={"epochs": 100, "learning_rate": 2e-3},
        exact=partial(log_density, covariance=covariance),
        controls=partial(_controls, covariance=covariance),
        **by_split(x),
    )


def _spec(dimensions: int, latent: int, rows: int) -> Spec:
    return Spec(
        (2 * dimensions,),
        "normal",
        rows,
        has_gaps=True,
        latent=latent,
        hidden=64,
        network="mlp",
        views=(View("first", (dimensions,)), View("second", (dimensions,))),
    )


def _draw(w: Tensor, noise: float, rows: int, *names: object) -> Tensor:
    """(rows, 2 D), float32."""
    g = generator_for("gaussian_pair", *names)
    z = torch.randn(rows, w.shape[1], generator=g, dtype=torch.float64)
    eps = torch.randn(rows, len(w), generator=g, dtype=torch.float64)
    return (z @ w.T + noise * eps).float()


def log_density(x: Tensor, covariance: Tensor) -> Tensor:
    """log N(x; 0, covariance), (N, D) -> (N,), in nats, float64."""
    return MultivariateNormal(covariance.new_zeros(len(covariance)), covariance).log_prob(
        x.to(covariance)
    )


def log_conditional(x: Tensor, covariance: Tensor, wanted: slice) -> Tensor:
    """log p(x_wanted | the other entries) = log p(x) - log p(the others), (N,) in nats."""
    others = torch.ones(len(covariance), dtype=torch.bool)
    others[wanted] = False
    return log_density(x, covariance) - log_density(x[:, others], covariance[others][:, others])


def _controls(x: Tensor, covariance: Tensor) -> Mapping[str, Mapping[str, float]]:
    half = len(covariance) // 2
    parts = slice(0, half), slice(half, None)
    each = [-float(log_conditional(x, covariance, part).mean()) for part in parts]
    return {EXACT: {"view_nll": sum(each) / 2}}


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [gaussian_pair]
