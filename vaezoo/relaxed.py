"""Posteriors over classes that are relaxed in training, and the loss that cools them.

A code is (G, M): G variables of M classes each, one-hot along the last axis. In training it is the
softmax of a draw at a temperature (Jang et al. 2017, arXiv:1611.01144), so that gradients pass; in
evaluation it is a class.
"""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from .core import Encoder, Model, Terms, Unsupported, require_parts
from .distributions import Classes, RelaxedClasses
from .losses import ELBO

__all__ = ["SPACE", "Cooling", "Relaxed"]

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
