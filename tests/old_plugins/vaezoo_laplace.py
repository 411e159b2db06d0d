"""A prior with a sharp peak and heavy tails, so that most codes stay near zero."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Prior, Spec
from vaezoo.hooks import Part, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write


class Laplace(Distribution):
    """Π_d exp(-|z_d| / b) / 2b over an event of D numbers."""

    arg_constraints: dict = {}

    def __init__(self, scale: Tensor, dimensions: int) -> None:
        super().__init__(torch.Size(), torch.Size([dimensions]), validate_args=False)
        self.scale = scale

    def log_prob(self, value: Tensor) -> Tensor:
        return -(value.abs() / self.scale + (2 * self.scale).log()).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = torch.rand(*sample_shape, *self.event_shape, device=self.scale.device) - 0.5
        return -self.scale * u.sign() * torch.log1p(-2 * u.abs() + 1e-7)


class LaplacePrior(Prior):
    """p(z) = Π_d Laplace(0, b)."""

    scale: Tensor

    def __init__(self, spec: Spec, b: Positive = 0.7) -> None:
        super().__init__()
        self.latent = spec.latent
        self.register_buffer("scale", torch.tensor(b))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return Laplace(self.scale, self.latent)


@tags("prior")
def laplace(spec: Spec, b: Positive = 0.7) -> VAE:
    """A Laplace prior: sparse codes.

    R + E_q[log q(z|x) - log p(z)], p(z) = Π_d exp(-|z_d| / b) / 2b

    Paper: the bound of Kingma & Welling 2014, arXiv:1312.6114, eq. 2, with another prior.
    """
    return VAE(Gaussian(spec), Write(spec), LaplacePrior(spec, b), ELBO())


@hookimpl
def vaezoo_variants():
    return [laplace]


@hookimpl
def vaezoo_parts():
    return [Part("laplace", LaplacePrior)]
