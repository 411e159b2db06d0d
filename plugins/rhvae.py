"""A posterior moved by Hamiltonian dynamics in a metric of the latent space that is learned.

    vaezoo bench --variants rhvae --sampler prior,rhvae

G(z) is the metric. S(z) = G(z)⁻¹ is what is learned: large near the codes of data, small away from
them.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Model, Prior, Spec, Unsupported
from vaezoo.dynamics import Moved, Travelled, gradient_of, initial_heat, tempering
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Positive
from vaezoo.leapfrog import KernelMetric, Leapfrog, times
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write
from vaezoo.samplers import Sampler

Steps = Annotated[int, Field(ge=0)]


class Wandered(Travelled):
    """z_K of (z_0, ρ_0) after K tempered steps, z_0 ~ q_0, ρ_0 ~ N(0, T_0 G(z_0)).

    Returned as log q is log q_0(z_0) + log N(ρ_0; 0, T_0 G(z_0)) - log N(ρ_K; 0, G(z_K)) - log
    |det| + (D/2) log T_0. So log p(x, z_K) - log q is the bound on the pair (z, ρ), and E exp of it
    is p(x).
    """

    def __init__(self, start: Distribution, leapfrog: Leapfrog, scales: Tensor) -> None:
        super().__init__(start)
        self.leapfrog = leapfrog
        self.scales = scales  # √T_0, …, √T_K = 1

    def follow(self, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        inverse = self.leapfrog.metric.inverse(z)
        root = torch.linalg.cholesky(inverse)
        noise = torch.randn_like(z)
        cold = torch.linalg.solve_triangular(root.mT, noise[..., None], upper=True).squeeze(-1)

        end, momentum, log_det = self.leapfrog.run(z, self.scales[0] * cold, self.scales)

        log_root = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # ½ log det S(z_0)
        # T_0 appears in the density of ρ_0 and in the volume of the temperings, and cancels
        log_hot = log_root - noise.square().sum(-1) / 2
        return end, log_q + log_hot - self.log_cold(end, momentum) - log_det

    def log_cold(self, z: Tensor, momentum: Tensor) -> Tensor:
        """log N(ρ; 0, G(z)) without (D/2) log 2π."""
        inverse = self.leapfrog.metric.inverse(z)
        energy = (momentum * times(inverse, momentum)).sum(-1) / 2
        return torch.linalg.slogdet(inverse).logabsdet / 2 - energy

    def centre(self) -> Tensor:
        """Where the mean of q_0 goes from rest."""
        z = self.start.mean[None]
        return self.leapfrog.run(z, torch.zeros_like(z), self.scales)[0][0]


class LearnedMetric(nn.Module):
    """A_i = L_i L_iᵀ/n with L_i lower triangular by a network, c_i = μ(x_i), of n rows of training.

    In training the rows are the first of the minibatch; in evaluation the last ones of training,
    which are kept. ‖L‖_F < √D, for how fast all moves is ε's to say.
    """

    centres: Tensor
    matrices: Tensor

    def __init__(self, spec: Spec, centroids: int, temperature: float, floor: float) -> None:
        super().__init__()
        d = spec.latent
        self.net = Read(spec, d * d)
        self.tau = temperature**2 * d / 2
        self.floor = floor
        self.register_buffer("centres", torch.zeros(centroids, d))
        self.register_buffer("matrices", torch.zeros(centroids, d, d))

    def forward(self, x: Tensor, mean: Tensor, c: Tensor | None) -> KernelMetric:
        """The metric as it is read while x, whose codes have these means (B, D), is encoded."""
        if not self.training:
            return KernelMetric(self.centres, self.matrices, self.tau, self.floor)
        n, d = self.centres.shape
        root = self.roots(self.net(x[:n], None if c is None else c[:n]).unflatten(-1, (d, d)))
        centres = torch.cat([mean[:n], self.centres])[:n]
        matrices = torch.cat([root @ root.mT / n, self.matrices])[:n]
        self.centres.copy_(centres.detach())
        self.matrices.copy_(matrices.detach())
        return KernelMetric(centres, matrices, self.tau, self.floor)

    def roots(self, raw: Tensor) -> Tensor:
        """L (…, D, D) of raw numbers."""
        diagonal = F.softplus(raw.diagonal(dim1=-2, dim2=-1) + 2)  # near the bound at first
        root = raw.tril(-1) + torch.diag_embed(diagonal)
        size = root.square().mean((-2, -1), keepdim=True) * raw.shape[-1]  # ‖L‖²/D
        return root / (1 + size).sqrt()


class RiemannianHamiltonian(Moved):
    """A Gaussian draw, moved by `steps` tempered leapfrog steps in the learned metric.

    The step size ε in (0, largest) and the first temperature T_0 > 1 are learned; T_k = T_0 + (1 -
    T_0) k²/K², as in hvae. The gradient for all parameters flows through the steps. Decoder and
    prior are used, not owned.
    """

    def __init__(
        self,
        spec: Spec,
        decoder: Decoder,
        prior: Prior,
        steps: Steps = 2,
        centroids: Count = 32,
        temperature: Positive = 1.5,
        floor: Positive = 0.01,
        largest: Positive = 0.5,
        hottest: Positive = 2.0,
        solves: Count = 3,
    ) -> None:
        super().__init__(spec, decoder, prior, steps, largest)
        self.solves = solves
        if steps:
            self.metric = LearnedMetric(spec, centroids, temperature, floor)
            self.raw_step = nn.Parameter(torch.tensor(0.0))  # ε = largest sigmoid(·)
            self.raw_hot = nn.Parameter(initial_heat(hottest))  # T_0 = 1 + softplus(·)

    def moved(self, start: Distribution, x: Tensor, c: Tensor | None) -> Distribution:
        metric: KernelMetric = self.metric(x, start.mean, c)

        def energy(z: Tensor) -> Tensor:
            return -(self.log_joint(z, x, c) + metric.log_det(z) / 2).sum()

        leapfrog = Leapfrog(metric, gradient_of(energy), self.step_size(), self.solves)
        return Wandered(start, leapfrog, tempering(self.raw_hot, self.steps))


class ByVolume(Sampler):
    """Codes with the density √det S(z) inside a ball, by Hamiltonian Monte Carlo.

    Each draw is the end of a chain of its own of `rounds` proposals of `leaps` leapfrog steps,
    begun at the code of a training row. The ball holds all centroids and 3 widths of their kernels
    more: without an edge √det S has no integral, since S tends to λ I.

    Chadebec et al. 2022, arXiv:2105.00026, §4.2, where S is bounded as well.
    """

    def __init__(self, rounds: Count = 50, leaps: Count = 10, step: Positive = 0.2) -> None:
        self.rounds = rounds
        self.leaps = leaps
        self.step = step

    def fit(self, z: Tensor, seed: int) -> None:
        raise Unsupported(
            "the sampler rhvae draws by the metric of a model, and codes alone have none; "
            "call fit_to with the model"
        )

    def fit_to(self, model: Model, z: Tensor, seed: int) -> None:
        encoder = model.encoder if isinstance(model, VAE) else None
        if not isinstance(encoder, RiemannianHamiltonian) or not encoder.steps:
            raise Unsupported(
                "the sampler rhvae needs a model with a learned metric, such as rhvae; "
                f"{type(encoder or model).__name__} has none"
            )
        kept = encoder.metric
        self.metric = KernelMetric(kept.centres, kept.matrices, kept.tau, kept.floor)
        self.radius = kept.centres.norm(dim=-1).max() + 3 * math.sqrt(kept.tau / 2)
        self.starts = z

    def log_density(self, z: Tensor) -> Tensor:
        """½ log det S(z) (…), -∞ outside the ball; its integral is not 1."""
        outside = z.norm(dim=-1) > self.radius
        return (self.metric.log_det(z) / 2).masked_fill(outside, -torch.inf)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        z = self.starts[torch.randint(len(self.starts), (n,), device=self.starts.device)]
        # a code beyond the ball begins at its edge
        z = z * (0.999 * self.radius / z.norm(dim=-1, keepdim=True)).clamp_max(1)
        for _ in range(self.rounds):
            z = self._next(z)
        return z

    def _next(self, z: Tensor) -> Tensor:
        """A proposal for each of the codes (n, D), taken or not (Metropolis)."""
        start = torch.randn_like(z)
        end, momentum = self._leap(z, start)
        kinetic = (start.square() - momentum.square()).sum(-1) / 2
        gain = self.log_density(end) - self.log_density(z) + kinetic
        is_taken = torch.rand_like(gain).log() < gain
        return torch.where(is_taken[:, None], end, z)

    def _leap(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """Code and momentum, (n, D) each, after `leaps` leapfrog steps."""
        slope = torch.func.grad(lambda z: self.metric.log_det(z).sum() / 2)
        momentum = momentum + self.step / 2 * slope(z)
        for _ in range(self.leaps):
            z = z + self.step * momentum
            momentum = momentum + self.step * slope(z)
        return z, momentum - self.step / 2 * slope(z)


@tags("posterior", "flow", "heavy")
def rhvae(
    spec: Spec,
    steps: Steps = 2,
    centroids: Count = 32,
    temperature: Positive = 1.5,
    floor: Positive = 0.01,
    largest: Positive = 0.5,
    hottest: Positive = 2.0,
    solves: Count = 3,
) -> Model:
    """The encoder's draw is moved by Hamiltonian dynamics in a learned metric of the codes.

    -E[log p(x, z_K) + log N(ρ_K; 0, G(z_K)) - log q(z_0|x) - log N(ρ_0; 0, T_0 G(z_0)) + log |det|
    - (D/2) log T_0], G(z)⁻¹ = Σ_i L_i L_iᵀ exp(-‖z - c_i‖²/τ) + λ I

    One network more, which gives L_i. The sampler `rhvae` draws codes by √det G⁻¹. τ = D/2 times
    `temperature`², so that the kernels reach as far among codes of any dimension; λ is `floor`.
    With steps=0 it is the plain VAE. The table's KL is the sampled one, with ρ's share in it.

    Paper: Chadebec, Mantoux & Allassonnière 2020, "Geometry-Aware Hamiltonian Variational
    Auto-Encoder", arXiv:2010.11518, §3, alg. 1; the sampler, Chadebec et al. 2022, "Data
    Augmentation in High Dimensional Low Sample Size Setting Using a Geometry-Based Variational
    Autoencoder", arXiv:2105.00026. There every row of training is a centroid after it, and the
    implicit steps count as if they were solved exactly; here `centroids` rows are, of training as
    of evaluation, L is bounded, and log |det| is that of the steps as they are computed.
    """
    decoder = Write(spec)
    prior = StandardNormal(spec)
    encoder = RiemannianHamiltonian(
        spec, decoder, prior, steps, centroids, temperature, floor, largest, hottest, solves
    )
    return VAE(encoder, decoder, prior, ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [rhvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("riemannian_hamiltonian", RiemannianHamiltonian), Part("rhvae", ByVolume)]
