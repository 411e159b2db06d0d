"""MoPoE-VAE: a mixture over all subsets of views of the products of their experts."""

from itertools import product as cartesian

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.losses import require_density
from vaezoo.networks import StandardNormal
from vaezoo.views import MixtureOfNormals, Opinions, ViewEncoder, WriteViews, mixture_of, product

MOST = 6  # views: every minibatch is decoded from 2^V - 1 draws a row


class SubsetsOfExperts(ViewEncoder):
    """q(z|x) = 1/(2^V - 1) Σ_X q(z|X), q(z|X) ∝ Π_{x_v in X} q(z|x_v), X not empty (eqs. 4, 5).

    A row that lacks a view has the subsets of the others.
    """

    subsets: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        views = len(spec.views)
        if views > MOST:
            raise Unsupported(
                f"mopoe draws from all {2**views - 1} subsets of {views} views; it takes {MOST} "
                "at most"
            )
        every = [one for one in cartesian((False, True), repeat=views) if any(one)]
        self.register_buffer("subsets", torch.tensor(every))  # (M, V)

    def together(self, opinions: Opinions) -> Distribution:
        of_each = [product(opinions.of(subset), prior=False) for subset in self.subsets]
        loc = torch.stack([q.mean for q in of_each])  # (M, B, D)
        scale = torch.stack([q.stddev for q in of_each])
        # a subset is there where none of its views is lacking, (M, B)
        there = (~self.subsets[..., None] | opinions.there).all(1)
        return mixture_of(loc, scale, there)


class OfEverySubset(Loss):
    """The bound of the mixture of all subsets of experts.

    -Σ_X w_X E_{z ~ q(z|X)} [log p(x|z) + log p(z) - log q(z|x)], one draw of every component X
    of the mixture q(z|x).
    """

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "OfEverySubset")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "OfEverySubset")
        q = vae.encoder(x, c)
        if not isinstance(q, MixtureOfNormals):
            raise Unsupported(
                "OfEverySubset draws from every component of a mixture of Normals, and q(z|x) is "
                f"a {type(q).__name__}"
            )
        z = q.of_each(1).squeeze(0)  # (M, B, D)
        log_px = vae.decoder(z, c).log_prob(x)
        rate = q.log_prob(z) - vae.prior(c).log_prob(z)
        distortion = -(q.weights * log_px).sum(0).mean()
        kl = (q.weights * rate).sum(0).mean()
        return {"loss": distortion + kl, "distortion": distortion, "rate": kl}


@tags("views")
def mopoe(spec: Spec) -> VAE:
    """A mixture of products: every subset of the views has its say, `mvae` and `mmvae` in one.

    R + KL(q(z|x) ‖ p(z)), q(z|x) = 1/(2^V - 1) Σ_X q(z|X), q(z|X) ∝ Π_{x_v in X} q(z|x_v)

    Every term is a mean over one draw of each subset X, decoded to all views. Every view has
    networks of its own.

    Paper: Sutter, Daunhawer & Vogt 2021, "Generalized Multimodal ELBO", arXiv:2105.02470, eqs. 4 to
    6. The empty subset is left out, as in the authors' code; KL is that of the mixture, by its
    draws, where the code has the larger mean of the subsets' KL and one subset for each row.
    """
    return VAE(SubsetsOfExperts(spec), WriteViews(spec), StandardNormal(spec), OfEverySubset())


@hookimpl
def vaezoo_variants() -> Variants:
    return [mopoe]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("subsets_of_experts", SubsetsOfExperts), Part("every_subset", OfEverySubset)]
