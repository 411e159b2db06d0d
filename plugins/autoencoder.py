"""Autoencoders without a rate, plain and denoising; a Gaussian is fitted to the codes."""

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vaezoo.core import VAE, Encoder, Loss, Model, Prior, Spec, Terms, require_parts
from vaezoo.fitted import fitted_normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction
from vaezoo.losses import require_fixed_prior, squared_error
from vaezoo.networks import Deterministic, Write, frozen_but_head

Error = Literal["likelihood", "squared"]


class Reconstruction(Loss):
    """-log p(x|z) or ‖x - E p(x|z)‖², at the encoder's code, and no rate."""

    def __init__(self, error: Error = "likelihood") -> None:
        super().__init__()
        self.error = error

    def check(self, model: Model) -> None:
        require_fixed_prior(model, "an autoencoder")
        if self.error == "squared":
            require_parts(model, "a squared error")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        distortion = -trace.log_px.mean()
        if self.error == "likelihood":
            return {"loss": distortion, "distortion": distortion}

        # the scale of p(x|z), which the squared error does not read, learns by maximum likelihood
        decoder = require_parts(model, "a squared error").decoder
        with frozen_but_head(decoder):
            head = -decoder(trace.z.detach(), c).log_prob(x).mean()
        loss = squared_error(trace)[0] + (head - head.detach())
        return {"loss": loss, "distortion": distortion.detach()}


class Corrupted(Encoder):
    """Another encoder that, in training, reads x with a fraction of its entries set to 0."""

    def __init__(self, inner: Encoder, fraction: float) -> None:
        super().__init__()
        self.inner = inner
        self.fraction = fraction
        self.no_density = inner.no_density

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        if self.training:
            keep = (torch.rand_like(x) >= self.fraction) | x.isnan()  # a gap stays a gap
            x = torch.where(keep, x, 0.0)
        return self.inner(x, c)


class Fitted(Prior):
    """N(m, S): the mean and the covariance of the training codes. N(0, I) before `fit`."""

    loc: Tensor
    tril: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(spec.latent))
        self.register_buffer("tril", torch.eye(spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return MultivariateNormal(self.loc, scale_tril=self.tril, validate_args=False)

    def fit(self, z: Tensor) -> None:
        loc, tril = fitted_normal(z.flatten(1))
        self.loc.copy_(loc)
        self.tril.copy_(tril)


@tags("deterministic")
def ae(spec: Spec, error: Error = "likelihood") -> VAE:
    """The code is a point and costs nothing.

    -log p(x|z), z = μ(x); with error=squared, ‖x - E p(x|z)‖²

    Paper: Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks",
    Science 313, p. 504, doi:10.1126/science.1127647. The paper has no prior; here a Gaussian is
    fitted to the training codes, so that there are samples to judge.
    """
    return VAE(Deterministic(spec), Write(spec), Fitted(spec), Reconstruction(error))


@tags("deterministic")
def dae(spec: Spec, corruption: Fraction = 0.25, error: Error = "likelihood") -> VAE:
    """Reconstructs x from an x of which a fraction of the entries was set to 0.

    -log p(x|z), z = μ(x̃), x̃ ~ masking noise

    Paper: Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
    Autoencoders", ICML, doi:10.1145/1390156.1390294, §2.3 (the masking noise and its level of
    25 %). As in `ae`, the prior is a Gaussian fitted after training.
    """
    encoder = Corrupted(Deterministic(spec), corruption)
    return VAE(encoder, Write(spec), Fitted(spec), Reconstruction(error))


def corrupted(spec: Spec, corruption: Fraction = 0.25) -> Corrupted:
    """μ(x̃), a point."""
    return Corrupted(Deterministic(spec), corruption)


@hookimpl
def vaezoo_variants() -> Variants:
    return [ae, dae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("corrupted", corrupted),
        Part("fitted", Fitted),
        Part("reconstruction", Reconstruction),
    ]
