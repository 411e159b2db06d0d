"""A posterior that the encoder begins and stochastic variational inference finishes, row by row."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Encoder, Model, Prior, Spec
from vaezoo.distributions import draw, kl, normal
from vaezoo.dynamics import gradient_of
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write, reading

Steps = Annotated[int, Field(ge=0)]


class SemiAmortised(Encoder):
    """q(z|x) = N(λ_K), where λ_0 = encoder(x) climbs the ELBO of its own row.

    λ_{k+1} = λ_k + rate · v_k,  v_k = momentum · v_{k-1} + ∇_λ ELBO(x, λ_k)

    λ holds μ and log σ. Each step draws a new z; each row's gradient is cut to the norm `clip` (the
    paper cuts at 5). The gradient for all parameters flows through the steps, exactly, where the
    paper takes finite differences of Hessians. Decoder and prior are used, not owned.
    """

    def __init__(
        self,
        spec: Spec,
        decoder: Decoder,
        prior: Prior,
        steps: Steps = 2,
        rate: Positive = 0.05,
        momentum: Fraction = 0.5,
        clip: Positive = 5.0,
    ) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)
        self.steps = steps
        self.rate = rate
        self.momentum = momentum
        self.clip = clip
        # in a tuple, so that their parameters are not also this module's
        self._target = (decoder, prior)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        loc, raw_scale = self.net(x, c).chunk(2, -1)
        parameters = torch.cat([loc, (F.softplus(raw_scale) + 1e-3).log()], -1)  # λ, (B, 2 D)
        velocity = torch.zeros_like(parameters)
        for _ in range(self.steps):
            velocity = self.momentum * velocity + self._ascent(parameters, x, c)
            parameters = parameters + self.rate * velocity
        return posterior(parameters)

    def _ascent(self, parameters: Tensor, x: Tensor, c: Tensor | None) -> Tensor:
        """∇ ELBO for each row, (B, 2 D), no longer than `clip`."""

        def total(parameters: Tensor) -> Tensor:
            return self._bound(parameters, x, c).sum()

        gradient = gradient_of(total)(parameters)
        length = (gradient.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        return gradient * (self.clip / length).clamp_max(1.0)

    def _bound(self, parameters: Tensor, x: Tensor, c: Tensor | None) -> Tensor:
        """The one-draw ELBO, (1, B)."""
        decoder, prior = self._target
        q = posterior(parameters)
        z, log_q = draw(q, (1,))
        with reading(decoder, prior):  # that the ascent reads them moves no state of theirs
            p = prior(c)
            closed = kl(q, p)
            log_px = decoder(z, c).log_prob(x)
        return log_px - (log_q - p.log_prob(z) if closed is None else closed)


def posterior(parameters: Tensor) -> Distribution:
    """N(μ, σ²) from [μ, log σ]."""
    loc, log_scale = parameters.chunk(2, -1)
    return normal(loc, log_scale.exp())


@tags("posterior")
def savae(
    spec: Spec,
    steps: Steps = 2,
    rate: Positive = 0.05,
    momentum: Fraction = 0.5,
    clip: Positive = 5.0,
) -> Model:
    """A few steps of gradient ascent on each row's own ELBO improve the encoder's answer.

    R + KL at the improved posterior, differentiated through the steps

    With steps=0 it is the plain VAE. The paper takes 20 steps on images; a step costs about one
    training step of the plain VAE.

    Paper: Kim et al. 2018, "Semi-Amortized Variational Autoencoders", arXiv:1802.02550, §3 and
    algorithm 1; momentum as in the authors' code.
    """
    decoder = Write(spec)
    prior = StandardNormal(spec)
    encoder = SemiAmortised(spec, decoder, prior, steps, rate, momentum, clip)
    return VAE(encoder, decoder, prior, ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [savae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("semi_amortised", SemiAmortised)]
