"""Codes that are classes: relaxed in training, with the loss that cools them, or never relaxed.

A code is (G, M): G variables of M classes each, one-hot along the last axis. What is relaxed is in
training the softmax of a draw at a temperature (Jang et al. 2017, arXiv:1611.01144), so that
gradients pass; in evaluation it is a class.
"""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from .core import Encoder, Loss, Model, Prior, Spec, Terms, Unsupported, require_parts
from .distributions import Classes, EqualClasses, RelaxedClasses
from .losses import ELBO, require_density, require_separate_parts
from .networks import Read

__all__ = ["SPACE", "Cooling", "Equal", "Relaxed", "Unrelaxed", "require_scores"]

SPACE = "simplex"


class Relaxed(Encoder):
    """A posterior over classes whose draws are softmaxes in training, at a `temperature`."""

    space = SPACE
    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution: ...

    def classes(self, logits: Tensor) -> Classes:
        """Of logits (…, G, M)."""
        return RelaxedClasses(logits, self.temperature) if self.training else Classes(logits)


class Unrelaxed(Encoder):
    """q(z|x) = Π_g Categorical(softmax(l_g(x))), in training as in evaluation."""

    space = SPACE

    def __init__(self, spec: Spec, groups: int, classes: int) -> None:
        super().__init__()
        self.groups = groups
        self.classes = classes
        self.width = groups * classes
        self.net = Read(spec, self.width)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return Classes(self.net(x, c).unflatten(-1, (self.groups, self.classes)))  # (B, G, M)


class Equal(Prior):
    """p(z) = M^{-G}."""

    space = SPACE
    logits: Tensor

    def __init__(self, groups: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(groups, classes))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return EqualClasses(self.logits)


def require_scores(loss: Loss, model: Model) -> None:
    """Raises: Unsupported where draws carry a gradient, or no log q(z|x) to take a score of."""
    require_density(loss, model)
    if require_separate_parts(model, type(loss).__name__).encoder.space != SPACE:
        raise Unsupported(
            f"{type(loss).__name__} is for codes that are classes, and this posterior's carry a "
            "gradient; take the loss elbo or iwae"
        )


class Cooling(ELBO):
    """R + KL, with a temperature that falls exponentially from `hottest` to `coldest`."""

    def __init__(self, hottest: float, coldest: float) -> None:
        super().__init__()
        self.hottest = hottest
        self.coldest = coldest

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        encoder = require_parts(model, type(self).__name__).encoder
        if not isinstance(encoder, Relaxed):
            raise Unsupported(
                f"a falling temperature needs relaxed classes, not {type(encoder).__name__}"
            )
        if encoder.training:
            encoder.temperature.fill_(self.hottest * (self.coldest / self.hottest) ** progress)
        return super().forward(model, x, c, progress)
