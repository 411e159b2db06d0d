"""Priors that are made of posteriors: of learned pseudo-inputs, or of training examples."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Encoder, Prior, Spec, Unsupported
from vaezoo.distributions import mixture, normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.likelihoods import head
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write, reading


class Vamp(Prior):
    """p(z) = (1/M) Σ_m q(z|u_m), with M learned pseudo-inputs u_m that live where x lives.

    Each q(z|u_m) is what evaluation makes of u_m, in training too: an encoder that normalises over
    the batch would otherwise be trained under another prior, and count u_m among its rows.
    """

    def __init__(self, spec: Spec, encoder: Encoder, components: Count = 100) -> None:
        super().__init__()
        if encoder.no_density:
            raise Unsupported(
                "a VampPrior is a mixture of posteriors, and this one is no density: "
                f"{encoder.no_density}"
            )
        if not encoder.scores_any_code:
            raise Unsupported(
                "a VampPrior needs q(z|u) at any z, "
                "and this posterior knows the density of its own draws alone"
            )
        if spec.condition:
            raise Unsupported(
                "a VampPrior has no label for its pseudo-inputs; this model is conditioned on one"
            )
        self.encoder = encoder
        self.space = encoder.space
        self.bounded = head(spec).is_bounded
        self.pseudo = nn.Parameter(torch.randn(components, *spec.shape))

    def forward(self, c: Tensor | None = None) -> Distribution:
        u = self.pseudo.sigmoid() if self.bounded else self.pseudo
        with reading(self.encoder):
            return mixture(u.new_zeros(len(u)), self.encoder(u))


class Exemplars(Prior):
    """p(z) = (1/M) Σ_m N(z; μ(x_m), s² I), x_m training examples, s learned.

    In training the examples are the other rows of the minibatch (`of_peers`); the codes of the last
    M rows seen are kept in a buffer, by which validation is judged. After training `keep` puts
    those of M random training examples there.
    """

    codes: Tensor

    def __init__(self, spec: Spec, components: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("codes", torch.randn(min(components, spec.n_train), spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return self._around(self.codes, self.codes.new_zeros(len(self.codes)))

    def of_peers(self, means: Tensor) -> Distribution:
        """A batch of B mixtures from means (B, D): for each row, of all rows but itself."""
        itself = torch.eye(len(means), dtype=torch.bool, device=means.device)
        logits = means.new_zeros(()).masked_fill(itself, -math.inf)  # (B, B)
        return self._around(means.expand(len(means), *means.shape), logits)

    def keep(self, means: Tensor) -> None:
        """The codes (B, D) go to the head of the buffer, and the oldest ones leave it."""
        self.codes.copy_(torch.cat([means.detach(), self.codes])[: len(self.codes)])

    def _around(self, means: Tensor, logits: Tensor) -> Distribution:
        return mixture(logits, normal(means, self.log_scale.exp()))


class ExemplarVAE(VAE):
    """A VAE whose prior, in training, is made of the minibatch."""

    prior: Exemplars

    def p_of(self, q: Distribution, c: Tensor | None = None) -> Distribution:
        means = q.mean
        p = self.prior.of_peers(means) if self.training and len(means) > 1 else self.prior(c)
        if self.training:
            self.prior.keep(means)
        return p

    @torch.no_grad()
    def fit_prior(self, x: Tensor, c: Tensor | None = None) -> None:
        rows = torch.randperm(len(x))[: len(self.prior.codes)].to(x.device)
        self.prior.keep(self.encoder(x[rows], None if c is None else c[rows]).mean)


@tags("prior")
def vamp(spec: Spec, components: Count = 100) -> VAE:
    """The prior is a mixture of the posteriors of learned pseudo-inputs.

    R + E_q [log q(z|x) - log (1/M) Σ_m q(z|u_m)]

    Paper: Tomczak & Welling 2018, "VAE with a VampPrior", arXiv:1705.07120, eq. 9. The paper takes
    M = 500 on MNIST; here 100, and pseudo-inputs of bounded data are sigmoids of free numbers, of
    other data the numbers themselves.
    """
    encoder = Gaussian(spec)
    return VAE(encoder, Write(spec), Vamp(spec, encoder, components), ELBO())


@tags("prior")
def exemplar(spec: Spec, components: Count = 500) -> VAE:
    """The prior is a mixture of Gaussians around the codes of training examples.

    R + E_q [log q(z|x) - log (1/M) Σ_{m: x_m ≠ x} N(z; μ(x_m), s² I)]

    Paper: Norouzi, Fleet & Norouzi 2020, "Exemplar VAE: Linking Generative Models, Nearest Neighbor
    Retrieval, and Data Augmentation", arXiv:2004.04795, §3 (shared mean, isotropic s²,
    leave-one-out and subsampling of exemplars). The paper subsamples exemplars from
    the training set, here they are the rest of the minibatch; and where it judges test data by all
    training examples, this one keeps `components` of them.
    """
    return ExemplarVAE(Gaussian(spec), Write(spec), Exemplars(spec, components), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [vamp, exemplar]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("vamp", Vamp)]
