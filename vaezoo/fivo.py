"""FIVO: the likelihood estimate of a particle filter as a bound, for every model that can be
advanced step by step.

K particles, B rows, T steps, S numbers in a state. All numbers are in nats.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .core import Loss, Model, Terms, Unsupported
from .losses import ELBO, require_density
from .stepwise import Stepwise

__all__ = ["FIVO", "Particles", "fivo_or_elbo", "require_steps", "resampled"]

Particles = Annotated[int, Field(ge=0)]  # 0: trained by the ELBO


class FIVO(Loss):
    """−log p̂(x), where p̂ = Π_t Σ_k w_t-1^k α_t^k is the likelihood estimate of a particle filter
    with q as its proposal.

    Maddison et al. 2017, arXiv:1705.09279, algorithm 1. The paths are resampled where fewer than
    `threshold` K of the K particles are effective (1: always, 0: never, which is the bound of Burda
    et al. 2016). No gradient is taken through the choice of paths, as in the paper's experiments:
    it is a bound all the same, with less noise and some bias.
    """

    def __init__(self, particles: int = 4, threshold: float = 0.5) -> None:
        super().__init__()
        self.particles = particles
        self.threshold = threshold

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_steps(model, "FIVO")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        log_p, resampled = self.filter(model, x)
        return {"loss": -log_p.mean(), "resampled": resampled.mean()}

    def filter(self, model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
        """log p̂(x) and the number of times that the paths were resampled, (B,) each."""
        model = require_steps(model, "FIVO")
        k = self.particles
        seen = model.sight(x)
        state = model.begin(k, len(x), seen.features)
        even = state.new_full((k, len(x)), -math.log(k))
        log_w = even
        log_p = even.new_zeros(len(x))
        count = even.new_zeros(len(x))
        for t in range(seen.x.shape[1]):
            log_alpha, state = model.step(seen, t, state)
            log_w = log_w + log_alpha
            gain = log_w.logsumexp(0)
            log_p = log_p + gain
            log_w = log_w - gain
            # 1/Σw² particles are effective
            poor = (2 * log_w).logsumexp(0).neg().exp() < self.threshold * k + 1e-6
            state = torch.where(poor[:, None], resampled(state, log_w), state)
            log_w = torch.where(poor, even, log_w)
            count = count + poor
        model.end(state)
        return log_p, count


def require_steps(model: Model, who: str) -> Stepwise:
    """The model as one that can be advanced step by step.

    Raises: Unsupported for any other.
    """
    if not isinstance(model, Stepwise):
        raise Unsupported(
            f"{who} advances paths step by step, which {type(model).__name__} cannot; take vrnn, "
            "srnn, dmm, …"
        )
    return model


def resampled(state: Tensor, log_w: Tensor) -> Tensor:
    """K states (K, B, S) drawn with replacement, for each row, by the weights exp(log_w) (K, B)."""
    edges = log_w.detach().exp().T.cumsum(1)  # (B, K)
    u = torch.rand_like(edges) * edges[:, -1:]
    index = torch.searchsorted(edges, u).clamp_max(edges.shape[1] - 1).T
    return torch.take_along_dim(state, index[..., None], 0)


def fivo_or_elbo(particles: int) -> Loss:
    """FIVO with that many particles, or the ELBO for none."""
    return FIVO(particles) if particles else ELBO()
