"""Categorical variables as one-hot codes (G, M): G independent variables of M classes each, drawn
exactly or relaxed.
"""

import math
from typing import Any

import torch
from torch import Tensor, distributions as D

from .draws import Drawable, one_hot


class Classes(Drawable):
    """Π_g Categorical(softmax(logits_g)), over one-hot z (*, G, M)."""

    support = D.constraints.one_hot

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape[:-2], logits.shape[-2:])
        self.log_p = logits.log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        return self.log_p.exp()

    def centre(self) -> Tensor:
        """The most probable classes, one-hot."""
        return self._one_hot(self.log_p)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.log_p).sum((-2, -1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._one_hot(self._disturbed(torch.Size(sample_shape)))

    def _one_hot(self, scores: Tensor) -> Tensor:
        """(*, G, M), 1 at the largest score of each variable."""
        return one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        z = self.sample(shape)
        return z, self.log_prob(z)

    def _disturbed(self, shape: tuple[int, ...]) -> Tensor:
        """log p plus Gumbel noise: its largest entry is a draw (Jang et al. 2017)."""
        log_p = self.log_p.expand(*shape, *self.log_p.shape)
        tiny = torch.finfo(log_p.dtype).tiny
        exponential = -torch.rand_like(log_p).clamp_min(tiny).log()  # > 0, for rand is below 1
        return log_p - exponential.clamp_min(tiny).log()


class RelaxedClasses(Classes):
    """The same classes, drawn as softmax((log p + Gumbel)/τ) (Jang et al. 2017).

    log q(z) is Σ z log p, which is log p of the class where z is one-hot: not the density on the
    simplex. With log p(z) = -G log M the two give the KL of the classes in the mean as τ -> 0.
    """

    is_relaxed = True

    def __init__(self, logits: Tensor, temperature: Tensor) -> None:
        super().__init__(logits)
        self.temperature = temperature

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        z = (self._disturbed(torch.Size(shape)) / self.temperature).softmax(-1)
        return z, self.log_prob(z)


class EqualClasses(Classes):
    """All M^G codes equally probable."""

    def log_prob(self, value: Tensor) -> Tensor:
        groups, classes = self.event_shape
        return value.new_full(value.shape[:-2], -groups * math.log(classes))


@D.register_kl(Classes, EqualClasses)
def _kl_to_equal(q: Classes, p: EqualClasses) -> Tensor:
    """Σ_g (log M - H(q_g))."""
    return (q.log_p.exp() * (q.log_p + math.log(q.log_p.shape[-1]))).sum((-2, -1))
