"""LARS: a prior made of N(0, I) by learning which of its draws to keep."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Prior, Spec
from vaezoo.distributions import StandardNormals
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write, mlp

CHUNK = 10_000  # draws whose acceptance is computed at once
REACH = 5.0  # of the logit of a: a lies between 0.007 and 0.993


def log_acceptance(raw: Tensor) -> Tensor:
    """log a, (…), from a network's raw numbers (…, 1)."""
    return F.logsigmoid(REACH * torch.tanh(raw.squeeze(-1) / REACH))


class Resampled(Distribution):
    """Draws of N(0, I), each kept with probability a(z); of `tries` draws the last is always kept.

    p(z) = π(z) [(1 - (1-Z)^{T-1}) a(z)/Z + (1-Z)^{T-1}], Z = E_π a, in nats. Its integral is 1 for
    the exact Z, whatever T.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, proposal: StandardNormals, logit: nn.Module, z: Tensor, tries: int) -> None:
        super().__init__(torch.Size(), proposal.event_shape, validate_args=False)
        self.proposal = proposal
        self.logit = logit
        self.z = z.clamp(1e-6, 1 - 1e-6)
        self.tries = tries

    def log_a(self, value: Tensor) -> Tensor:
        """log a(z), (…)."""
        return log_acceptance(self.logit(value))

    def log_prob(self, value: Tensor) -> Tensor:
        log_none = (self.tries - 1) * torch.log1p(-self.z)  # log (1-Z)^{T-1}
        log_some = (-torch.expm1(log_none)).clamp_min(1e-30).log()
        kept = log_some + self.log_a(value) - self.z.log()
        return self.proposal.log_prob(value) + torch.logaddexp(kept, log_none.expand_as(kept))

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        z = self.proposal.sample(torch.Size((self.tries, *shape)))  # (T, *shape, D)
        is_kept = torch.rand(z.shape[:-1], device=z.device).log() < self.log_a(z)
        is_kept[-1] = True
        first = is_kept.int().argmax(0)  # (*shape)
        return torch.take_along_dim(z, first[None, ..., None], 0)[0]


class LARS(Prior):
    """π(z) = N(0, I), a(z) a network; Z by draws of π.

    In training Z is a running mean over steps, with the gradient of the latest draws. `fit`
    computes it anew from `fitted` draws, for evaluation.
    """

    zero: Tensor
    mean_a: Tensor

    def __init__(
        self, spec: Spec, tries: Count = 100, draws: Count = 1024, smooth: Fraction = 0.9
    ) -> None:
        super().__init__()
        self.tries = tries
        self.draws = draws
        self.smooth = smooth
        self.fitted = 200_000
        self.logit = mlp(spec.latent, spec.hidden, spec.hidden, 1)
        self.register_buffer("zero", torch.zeros(spec.latent))

        # a is 1/2 at first, wherever z is: p is π, and Z is known
        last: Any = self.logit[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("mean_a", torch.tensor(0.5))

    def forward(self, c: Tensor | None = None) -> Resampled:
        proposal = StandardNormals(self.zero)
        z = self.current(proposal) if self.training else self.mean_a
        return Resampled(proposal, self.logit, z, self.tries)

    def current(self, proposal: StandardNormals) -> Tensor:
        """The running mean after this step, with the gradient of log Z at the step's own draws."""
        log_now = self.log_mean(proposal.sample(torch.Size((self.draws,))))
        self.mean_a.lerp_(log_now.detach().exp(), 1 - self.smooth)
        relative = (log_now - log_now.detach()).exp()  # 1, with the gradient of log Z
        return self.mean_a.clone() * relative

    def log_mean(self, z: Tensor) -> Tensor:
        """log E a(z) over draws (N, D) of π."""
        log_a = log_acceptance(self.logit(z))
        return log_a.logsumexp(0) - math.log(len(z))

    @torch.no_grad()
    def fit(self, z: Tensor) -> None:
        proposal = StandardNormals(self.zero)
        rounds = math.ceil(self.fitted / CHUNK)
        parts = [self.log_mean(proposal.sample(torch.Size((CHUNK,)))) for _ in range(rounds)]
        self.mean_a.copy_(torch.stack(parts).exp().mean())


@tags("prior")
def lars(spec: Spec, tries: Count = 100, draws: Count = 1024, smooth: Fraction = 0.9) -> VAE:
    """The prior learns which draws of N(0, I) to keep, and so forms holes and modes.

    R + E_q[log q(z|x) - log p(z)], p(z) = π(z) [(1 - (1-Z)^{T-1}) a(z)/Z + (1-Z)^{T-1}]

    a is a network of two hidden layers of the spec's width, T is `tries`. Z = E_π a is a running
    mean over steps of `draws` draws each. After training it is computed from 200,000 draws. a lies
    between 0.007 and 0.993: so Z is known to 1 % at least, and never falls so low that the prior is
    π, where nothing more is learned.

    Paper: Bauer & Mnih 2019, "Resampled Priors for Variational Autoencoders", arXiv:1810.11428,
    eq. 5, §3 and §4 (the truncated density and the smoothed Z). There draws of q enter the estimate
    of Z too; here those of π alone.
    """
    return VAE(Gaussian(spec), Write(spec), LARS(spec, tries, draws, smooth), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [lars]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("lars", LARS)]
