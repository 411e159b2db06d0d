"""A posterior that follows the gradient of log p(x, z), by Hamiltonian dynamics."""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Model, Prior, Spec
from vaezoo.distributions import draw, normal
from vaezoo.dynamics import Moved, Travelled, gradient_of, initial_heat, tempering
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write

Steps = Annotated[int, Field(ge=0)]


class Evolved(Travelled):
    """z_K of (z_0, ρ_0) after K tempered leapfrog steps, z_0 ~ q_0, ρ_0 ~ N(0, T_0 I).

    Returned as log q is log q_0(z_0) + log N(ρ_0; 0, T_0 I) - log N(ρ_K; 0, I) + (D/2) log T_0: a
    leapfrog step preserves volume, and K temperings scale ρ by T_0^{-1/2}. So log p(x, z_K) - log q
    is the bound on the pair (z, ρ), with ρ_K's target N(0, I), and E exp of it is p(x).
    """

    def __init__(
        self,
        start: Distribution,
        energy_gradient: Callable[[Tensor], Tensor],
        step: Tensor,
        scales: Tensor,
    ) -> None:
        super().__init__(start)
        self.energy_gradient = energy_gradient
        self.step = step  # ε (D,)
        self.scales = scales  # √T_0, …, √T_K = 1

    def evolve(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """(z_0, ρ_0) -> (z_K, ρ_K), (K, B, D) each."""
        steps = len(self.scales) - 1
        slope = self.energy_gradient(z) if steps else z
        # the gradient at the end of a step is that at the start of the next
        for k in range(steps):
            momentum = momentum - self.step / 2 * slope
            z = z + self.step * momentum
            slope = self.energy_gradient(z)
            momentum = momentum - self.step / 2 * slope
            momentum = momentum * self.scales[k + 1] / self.scales[k]
        return z, momentum

    def follow(self, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        hot = normal(torch.zeros_like(z), self.scales[0].expand_as(z))
        momentum, log_hot = draw(hot)
        end, cold_momentum = self.evolve(z, momentum)
        cold = normal(torch.zeros_like(z), torch.ones_like(z))
        log_cold = cold.log_prob(cold_momentum)
        tempering = z.shape[-1] * self.scales[0].log()  # (D/2) log T_0
        return end, log_q + log_hot - log_cold + tempering

    def centre(self) -> Tensor:
        """Where the mean of q_0 goes from rest."""
        z = self.start.mean[None]
        return self.evolve(z, torch.zeros_like(z))[0][0]


class Hamiltonian(Moved):
    """A Gaussian draw, moved by `steps` tempered leapfrog steps in the potential -log p(x, z).

    Step sizes ε_d in (0, largest) and the first temperature T_0 > 1 are learned; T_k = T_0 + (1 -
    T_0) k²/K², as in the authors' code. The gradient for all parameters flows through the steps.
    Decoder and prior are used, not owned.
    """

    def __init__(
        self,
        spec: Spec,
        decoder: Decoder,
        prior: Prior,
        steps: Steps = 2,
        largest: Positive = 0.5,
        hottest: Positive = 2.0,
    ) -> None:
        super().__init__(spec, decoder, prior, steps, largest)
        if steps:
            slow = torch.full((spec.latent,), math.log(0.25))
            self.raw_step = nn.Parameter(slow)  # ε = largest sigmoid(·), a fifth at first
            self.raw_hot = nn.Parameter(initial_heat(hottest))  # T_0 = 1 + softplus(·)

    def moved(self, start: Distribution, x: Tensor, c: Tensor | None) -> Distribution:
        def energy(z: Tensor) -> Tensor:
            return -self.log_joint(z, x, c).sum()

        scales = tempering(self.raw_hot, self.steps)
        return Evolved(start, gradient_of(energy), self.step_size(), scales)


@tags("posterior", "flow")
def hvae(spec: Spec, steps: Steps = 2, largest: Positive = 0.5, hottest: Positive = 2.0) -> Model:
    """The encoder's draw is moved by Hamiltonian dynamics towards the posterior.

    -E[log p(x, z_K) + log N(ρ_K; 0, I) - log q(z_0|x) - log N(ρ_0; 0, T_0 I) - (D/2) log T_0]

    The dynamics has no networks. With steps=0 it is the plain VAE. The table's KL is the sampled
    one, with ρ's share in it.

    Paper: Caterini, Doucet & Sejdinovic 2018, "Hamiltonian Variational Auto-Encoder",
    arXiv:1805.11328, §3, alg. 1; schedule and limits of step and temperature as in the authors'
    code (hvae-nips, mnist/models.py, fixed tempering).
    """
    decoder = Write(spec)
    prior = StandardNormal(spec)
    return VAE(Hamiltonian(spec, decoder, prior, steps, largest, hottest), decoder, prior, ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [hvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("hamiltonian", Hamiltonian)]
