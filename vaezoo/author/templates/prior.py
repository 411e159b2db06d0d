"""newcomer: say here in one sentence what is new."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Prior, Spec
from vaezoo.distributions import normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write


class Newcomer(Prior):
    """p(z) = N(μ, σ²), both learned. Put your density here: over an event of spec.latent numbers,
    with `sample` and `log_prob`.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(spec.latent))
        self.log_scale = nn.Parameter(torch.zeros(spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return normal(self.mean, self.log_scale.exp())


@tags("prior")
def newcomer(spec: Spec) -> VAE:
    """What is new in it, in one line.

    R + KL(q(z|x), p(z))

    Paper: authors, year, arXiv number, equation. (As it stands, Kingma & Welling 2014,
    arXiv:1312.6114, eq. 3.)
    """
    return VAE(Gaussian(spec), Write(spec), Newcomer(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [newcomer]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("newcomer", Newcomer)]
