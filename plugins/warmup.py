"""Schedules that keep the rate from vanishing: linear, cyclical, and a part of it for free."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import kl
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.losses import ELBO, WarmUp, require_density
from vaezoo.networks import Gaussian, StandardNormal, Write

Rise = Annotated[float, Field(gt=0, le=1)]


class Cyclical(ELBO):
    """R + β KL: in each of `cycles` cycles β rises from 0 to 1, then stays 1.

    The rise takes the part `rise` of a cycle.
    """

    def __init__(self, cycles: Count = 4, rise: Rise = 0.5) -> None:
        super().__init__()
        self.cycles = cycles
        self.rise = rise

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        # the end of training belongs to the last cycle
        into = progress * self.cycles % 1 if progress < 1 else 1.0
        beta = min(1.0, into / self.rise)
        return {"loss": distortion + beta * rate, "distortion": distortion, "rate": rate}


class FreeBits(Loss):
    """R + Σ_j max(λ, KL_j), KL_j the batch's mean for latent dimension j, in nats."""

    def __init__(self, free: NonNegative = 0.25) -> None:
        super().__init__()
        self.free = free

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        distortion = -trace.log_px.mean()
        rates = rate_each(trace)
        loss = distortion + rates.clamp_min(self.free).sum()
        return {"loss": loss, "distortion": distortion, "rate": rates.sum()}


def rate_each(trace: Trace) -> Tensor:
    """KL of every number of every latent, a mean over draws and rows, laid end to end.

    Raises: Unsupported where a posterior or a prior is not a product over dimensions.
    """
    return torch.cat([_rate_each(latent).flatten() for latent in trace.latents])


def _rate_each(latent: Latent) -> Tensor:
    """(*event)."""
    q = getattr(latent.q, "base_dist", None)
    p = getattr(latent.p, "base_dist", None)
    rate = None if q is None or p is None else kl(q, p)
    if rate is None:
        raise Unsupported(
            "free bits need the KL of every dimension on its own, "
            f"which {type(latent.q).__name__} and {type(latent.p).__name__} do not give"
        )
    event_dims = len(latent.q.event_shape)
    return rate.flatten(0, -1 - event_dims).mean(0)  # (K, B, *event) or (B, *event) -> (*event)


@tags("schedule", "collapse")
def warmup(spec: Spec, until: Fraction = 0.3) -> VAE:
    """Starts as an autoencoder and becomes a VAE.

    R + β(t) KL, β rising linearly from 0 to 1 over the first part `until` of the training

    Paper: Bowman et al. 2016, "Generating Sentences from a Continuous Space", arXiv:1511.06349,
    §3.1 (a sigmoid there); linear as in Sønderby et al. 2016, arXiv:1602.02282, §2.3.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), WarmUp(until))


@tags("schedule", "collapse")
def cyclical(spec: Spec, cycles: Count = 4, rise: Rise = 0.5) -> VAE:
    """Warms up several times over.

    R + β(t) KL, in each cycle β = min(1, τ / rise), τ the part of the cycle that is over

    Paper: Fu et al. 2019, "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL
    Vanishing", arXiv:1903.10145, §4 (M = 4 cycles and R = 0.5, as there).
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Cyclical(cycles, rise))


@tags("collapse")
def free_bits(spec: Spec, free: NonNegative = 0.25) -> VAE:
    """A rate up to λ nats costs nothing, in every dimension.

    R + Σ_j max(λ, E_x KL_j)

    Paper: Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow",
    arXiv:1606.04934, appendix C.8; the mean over the minibatch is taken before the maximum, as
    there. Groups are single dimensions here.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), FreeBits(free))


@hookimpl
def vaezoo_variants() -> Variants:
    return [warmup, cyclical, free_bits]


def warm(until: Fraction = 0.3) -> WarmUp:
    """R + β(t) KL, β rising linearly."""
    return WarmUp(until)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("warmup", warm), Part("cyclical", Cyclical), Part("free_bits", FreeBits)]
