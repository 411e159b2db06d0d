"""Posteriors whose KL to N(0, I) cannot vanish, for any decoder."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Model, Spec
from vaezoo.distributions import normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write

# Those of torch's BatchNorm1d.
EPSILON = 1e-5
MOMENTUM = 0.1


class BatchNormalised(Encoder):
    """q(z|x) = N(γ (m - mean m)/std m + β, diag σ²), with γ fixed and β learned.

    m and σ are the shared network's.

    E_x KL ≥ ½ Σ_j (γ² + β_j²), for E_x μ_j² = γ² + β_j² and σ² - log σ² ≥ 1. This holds for the
    mean over any minibatch whose m differ by far more than √EPSILON; in evaluation the running mean
    and variance are used, as always.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, spec: Spec, gamma: Positive = 0.7) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)
        self.gamma = gamma
        self.shift = nn.Parameter(torch.zeros(spec.latent))
        self.register_buffer("mean", torch.zeros(spec.latent))
        self.register_buffer("variance", torch.ones(spec.latent))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        m, raw_scale = self.net(x, c).chunk(2, -1)
        mean, variance = self._moments(m)
        loc = self.gamma * (m - mean) * (variance + EPSILON).rsqrt() + self.shift
        return normal(loc, F.softplus(raw_scale) + 1e-3)

    def _moments(self, m: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's mean and variance in training, which move the running ones; else those.

        One row alone has no variance, and uses the running ones too.
        """
        if not self.training or len(m) == 1:
            return self.mean, self.variance
        mean = m.mean(0)
        variance = m.var(0, correction=0)
        with torch.no_grad():
            self.mean.copy_(self.mean + MOMENTUM * (mean - self.mean))
            self.variance.copy_(self.variance + MOMENTUM * (variance - self.variance))
        return mean, variance


class Committed(Encoder):
    """q(z|x) = N(μ, diag σ²) with σ ≤ s, so that KL(q ‖ N(0, I)) ≥ δ for any x.

    s < 1 solves ½(s² - 1) - log s = δ/D.

    For ½(σ² + μ² - 1) - log σ falls in σ below 1 and is least at μ = 0.
    """

    def __init__(self, spec: Spec, delta: Positive = 1.0) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)
        self.widest = widest_scale(delta / spec.latent)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        loc, raw_scale = self.net(x, c).chunk(2, -1)
        narrowest = 1e-3 * self.widest
        scale = narrowest + (1 - 1e-3) * self.widest * torch.sigmoid(raw_scale + 2)
        return normal(loc, scale)


def widest_scale(rate: float) -> float:
    """The s in (0, 1) with ½(s² - 1) - log s = rate in nats, by bisection of log s."""
    low = -rate - 1.0  # here the left side exceeds rate
    high = 0.0  # here it is 0
    for _ in range(200):
        middle = (low + high) / 2
        if math.expm1(2 * middle) / 2 - middle > rate:
            low = middle
        else:
            high = middle
    return math.exp(low)


@tags("posterior", "collapse")
def bn(spec: Spec, gamma: Positive = 0.7) -> Model:
    """The posterior means are batch-normalised to a spread γ, so the mean KL cannot vanish.

    R + KL, where E_x KL ≥ ½ Σ_j (γ² + β_j²)

    Paper: Zhu et al. 2020, "A Batch Normalized Inference Network Keeps the KL Vanishing Away",
    arXiv:2004.12585, §3, alg. 1.
    """
    return VAE(BatchNormalised(spec, gamma), Write(spec), StandardNormal(spec), ELBO())


@tags("posterior", "collapse")
def delta(spec: Spec, delta: Positive = 1.0) -> Model:
    """The posterior is always narrower than the prior, so every x spends at least δ nats.

    R + KL, where KL ≥ δ for every x

    The paper's main form is an AR(1) prior over a sequence of latents with an independent
    posterior; this is its first idea, unequal scales of two Gaussians, for latents without an
    order.

    Paper: Razavi et al. 2019, "Preventing Posterior Collapse with delta-VAEs", arXiv:1901.03416,
    §2.
    """
    return VAE(Committed(spec, delta), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [bn, delta]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("batch_normalised", BatchNormalised), Part("committed", Committed)]
