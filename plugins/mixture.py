"""A learned mixture of Gaussians as prior."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Model, Prior, Spec
from vaezoo.distributions import mixture, normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write


class Mixture(Prior):
    """Σ_m π_m N(μ_m, diag σ_m²), all learned.

    The means start as draws of N(0, I), the widths at 1.
    """

    def __init__(self, spec: Spec, components: Count = 10) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, spec.latent))
        self.log_scale = nn.Parameter(torch.zeros(components, spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return mixture(self.logits, normal(self.loc, self.log_scale.exp()))


@tags("prior")
def gmm(spec: Spec, components: Count = 10) -> Model:
    """The prior is a mixture of Gaussians, learned with everything else.

    R + E_q[log q(z|x) - log Σ_m π_m N(z; μ_m, σ_m²)]

    Paper: no one paper; it is the baseline called MoG prior in Tomczak & Welling 2018, "VAE with a
    VampPrior", arXiv:1705.07120, §4.
    """
    return VAE(Gaussian(spec), Write(spec), Mixture(spec, components), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [gmm]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("gmm", Mixture)]
