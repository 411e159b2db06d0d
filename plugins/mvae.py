"""MVAE: the views' experts and the prior multiply."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import WarmUp, require_density
from vaezoo.networks import StandardNormal
from vaezoo.views import Opinions, ViewEncoder, WriteViews, product, require_views, without_views


class ProductOfExperts(ViewEncoder):
    """q(z|x) ∝ p(z) Π_v q̃(z|x_v), over the views that are there (eq. 4)."""

    def together(self, opinions: Opinions) -> Distribution:
        return product(opinions, prior=True)


class SubSampled(Loss):
    """-[ELBO(x_1 … x_V) + Σ_v ELBO(x_v) + Σ_{j ≤ k} ELBO(X_j)] (eq. 5).

    ELBO(X) = E_{q(z|X)} Σ_{x_v in X} log p(x_v|z) - β KL(q(z|X) ‖ p(z)), β rising linearly from 0
    to 1 over the first part `until` of the training. The X_j are random subsets of 2 to V - 1
    views, the same for all rows of a minibatch; two views have none.
    """

    def __init__(self, spec: Spec, k: Count = 1, until: Fraction = 0.4) -> None:
        super().__init__()
        self.spec = spec
        self.views = len(require_views(spec))
        self.k = k
        self.elbo = WarmUp(until)

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        whole = self.elbo(model, x, c, progress)
        loss = whole["loss"]
        for gone in self._others(x):
            part = self.elbo(model, without_views(x, self.spec, gone), c, progress)
            loss = loss + part["loss"]
        return {**whole, "loss": loss, "joint": whole["distortion"] + whole["rate"]}

    def _others(self, x: Tensor) -> list[Tensor]:
        """The views that each further term leaves out, masks (V,)."""
        one = torch.eye(self.views, dtype=torch.bool, device=x.device)
        alone = [~one[i] for i in range(self.views)]
        if self.views == 2:
            return alone
        return alone + [self._random(x) for _ in range(self.k)]

    def _random(self, x: Tensor) -> Tensor:
        place = torch.rand(self.views, device=x.device).argsort()
        kept = 2 + (torch.rand(1, device=x.device) * (self.views - 2)).long()
        return place >= kept


@tags("views")
def mvae(spec: Spec, k: Count = 1, until: Fraction = 0.4) -> VAE:
    """An expert for each view and the prior multiply; views may be missing, in training too.

    -ELBO(x) - Σ_v ELBO(x_v) - Σ_{j ≤ k} ELBO(X_j), q(z|X) ∝ p(z) Π_{x_v in X} q̃(z|x_v)

    X_j are random subsets of 2 to V - 1 views, of which two views have none. The terms of single
    views are what trains each expert to do without the others. Every view has networks of its own.
    The KL of each term is warmed up over the part `until` of the training: three terms have three
    KLs and each view but two reconstructions, under which all codes vanish otherwise.

    Paper: Wu & Goodman 2018, "Multimodal Generative Models for Scalable Weakly-Supervised
    Learning", arXiv:1802.05335, eqs. 4 and 5; every λ is 1. The warm-up is the authors' code's, 200
    of 500 epochs.
    """
    loss = SubSampled(spec, k, until)
    return VAE(ProductOfExperts(spec), WriteViews(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [mvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("product_of_experts", ProductOfExperts),
        Part("views", WriteViews),
        Part("subsampled", SubSampled),
    ]
