"""A posterior that is annealed from the encoder's answer to p(x, z), and differentiated through."""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Model, Prior, Spec
from vaezoo.dynamics import Moved, Travelled, gradient_of
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write

Steps = Annotated[int, Field(ge=0)]
Slope = Callable[[Tensor, Tensor], Tensor]  # (z, β) -> ∇ log π_β(z)


class Annealed(Travelled):
    """z_K of K momentum steps, each on a π_β nearer to p(x, z): log π_β = (1-β) log q_0 + β log p.

    Step k: ρ' = γ ρ + √(1-γ²) ξ, then one leapfrog step (z, ρ') -> (z, ρ) on π_{β_k}. Returned as
    log q is log q_0(z_0) - Σ_k [log N(ρ_k; 0, I) - log N(ρ'_k; 0, I)]. A leapfrog step preserves
    volume and is undone by turning ρ, and the refreshing leaves N(0, I): so E exp(log p(x, z_K) -
    log q) is p(x), for any step size.
    """

    def __init__(
        self, start: Distribution, slope: Slope, step: Tensor, keep: Tensor, betas: Tensor
    ) -> None:
        super().__init__(start)
        self.slope = slope
        self.step = step  # ε (D,)
        self.keep = keep  # γ
        self.betas = betas  # β_1, …, β_K = 1

    def leap(self, z: Tensor, momentum: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """Half of the way, the whole force, the other half: one gradient a step."""
        z = z + self.step / 2 * momentum
        momentum = momentum + self.step * self.slope(z, beta)
        return z + self.step / 2 * momentum, momentum

    def follow(self, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        momentum = torch.randn_like(z)
        for k, beta in enumerate(self.betas):
            if k:
                fresh = torch.randn_like(z)
                momentum = self.keep * momentum + (1 - self.keep.square()).sqrt() * fresh
            before = momentum.square().sum(-1)
            z, momentum = self.leap(z, momentum, beta)
            log_q = log_q + (momentum.square().sum(-1) - before) / 2
        return z, log_q

    def centre(self) -> Tensor:
        """Where the mean of q_0 goes from rest, with no noise added."""
        z = self.start.mean[None]
        momentum = torch.zeros_like(z)
        for beta in self.betas:
            z, momentum = self.leap(z, self.keep * momentum, beta)
        return z[0]


class AnnealedSampling(Moved):
    """A Gaussian draw, annealed towards p(x, z) in `steps` leapfrog steps.

    The step sizes ε_d in (0, largest) are learned. γ and the β_k are learned too where
    `learned`, from γ = `keep` and even β_k; else they stay so. The gradient for all parameters
    flows through the steps. Decoder and prior are used, not owned.
    """

    def __init__(
        self,
        spec: Spec,
        decoder: Decoder,
        prior: Prior,
        steps: Steps = 4,
        keep: Fraction = 0.9,
        largest: Positive = 0.5,
        learned: bool = False,
    ) -> None:
        super().__init__(spec, decoder, prior, steps, largest)
        if steps:
            self.raw_step = nn.Parameter(torch.full((spec.latent,), -1.0))  # ε = largest sigmoid(·)
            raw_keep = torch.tensor(min(max(keep, 1e-4), 1 - 1e-4)).logit()
            self.raw_keep = nn.Parameter(raw_keep, requires_grad=learned)  # γ = sigmoid(·)
            # β_k - β_{k-1} = softmax(·)_k
            self.raw_rise = nn.Parameter(torch.zeros(steps), requires_grad=learned)

    def moved(self, start: Distribution, x: Tensor, c: Tensor | None) -> Distribution:
        def log_pi(z: Tensor, beta: Tensor) -> Tensor:
            log_p = self.log_joint(z, x, c)
            return ((1 - beta) * start.log_prob(z) + beta * log_p).sum()

        betas = self.raw_rise.softmax(0).cumsum(0)
        keep = self.raw_keep.sigmoid()
        return Annealed(start, gradient_of(log_pi), self.step_size(), keep, betas)


def _with(spec: Spec, steps: int, keep: float, largest: float, learned: bool) -> Model:
    decoder = Write(spec)
    prior = StandardNormal(spec)
    encoder = AnnealedSampling(spec, decoder, prior, steps, keep, largest, learned)
    return VAE(encoder, decoder, prior, ELBO())


@tags("posterior", "flow")
def dais(spec: Spec, steps: Steps = 4, keep: Fraction = 0.9, largest: Positive = 0.5) -> Model:
    """Annealed importance sampling from q_0(z|x) to p(x, z), without its rejections.

    -E[log p(x, z_K) - log q_0(z_0|x) + Σ_k log N(ρ_k; 0, I) - log N(ρ'_k; 0, I)], (z_{k-1}, ρ'_k)
    -> (z_k, ρ_k) a leapfrog step on q_0^{1-β_k} p^{β_k}

    Without rejections the bound has a gradient by the path, for all parameters. ρ'_k = γ ρ_{k-1} +
    √(1-γ²) ξ with γ = `keep`, β_k = k/K. The step sizes are learned. With steps=0 it is the plain
    VAE. The table's KL is the sampled one, with the share of ρ in it.

    Paper: Zhang, Hsu, Li, Finn & Grosse 2021, "Differentiable Annealed Importance Sampling and the
    Perils of Gradient Noise", arXiv:2107.10211, algorithm 1, with full data. Geffner & Domke 2021
    is `uha`.
    """
    return _with(spec, steps, keep, largest, False)


@tags("posterior", "flow")
def uha(spec: Spec, steps: Steps = 4, keep: Fraction = 0.9, largest: Positive = 0.5) -> Model:
    """Annealed importance sampling without rejections, its path and damping learned.

    -E[log p(x, z_K) - log q_0(z_0|x) + Σ_k log N(ρ_k; 0, I) - log N(ρ'_k; 0, I)], as `dais`

    γ begins at `keep` and β_k at k/K; both are learned, with the step sizes.

    Paper: Geffner & Domke 2021, "MCMC Variational Inference via Uncorrected Hamiltonian
    Annealing", arXiv:2107.04150, §3 and algorithm 2. There the force comes first in a leapfrog step
    and last; here, as in dais, once in the middle.
    """
    return _with(spec, steps, keep, largest, True)


@hookimpl
def vaezoo_variants() -> Variants:
    return [dais, uha]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("annealed_sampling", AnnealedSampling)]
