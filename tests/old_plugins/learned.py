"""A prior that learns its own mean and scale."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Prior, Spec
from vaezoo.distributions import normal
from vaezoo.hooks import Part, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write


class LearnedNormal(Prior):
    """p(z) = N(m, diag s²) with m and s learned."""

    def __init__(self, spec: Spec, start: Positive = 1.0) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(spec.latent))
        self.log_scale = nn.Parameter(torch.full((spec.latent,), start).log())

    def forward(self, c: Tensor | None = None) -> Distribution:
        return normal(self.loc, self.log_scale.exp())


@tags("prior")
def learned(spec: Spec, start: Positive = 1.0) -> VAE:
    """A Gaussian prior that learns its mean and scale.

    R + KL(q(z|x) ‖ N(m, diag s²))

    Paper: this page; with a fixed prior it is Kingma & Welling 2014, arXiv:1312.6114, eq. 3.
    """
    return VAE(Gaussian(spec), Write(spec), LearnedNormal(spec, start), ELBO())


@hookimpl
def vaezoo_variants():
    return [learned]


@hookimpl
def vaezoo_parts():
    return [Part("learned_normal", LearnedNormal)]
