"""Posteriors that move a Gaussian draw by dynamics which read decoder and prior.

(K, B) is a batch of K draws for B rows, D the dimensions of a code.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from .core import Decoder, Encoder, Prior, Spec
from .distributions import Drawable, draw
from .networks import Gaussian, reading

__all__ = ["Moved", "Travelled", "gradient_of", "initial_heat", "tempering"]


def gradient_of(scalar: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient of a scalar function by its first argument.

    It can be differentiated again wherever that argument requires a gradient, and is known under
    `torch.no_grad` too.
    """

    def gradient(at: Tensor, *others: Tensor) -> Tensor:
        # cuDNN's recurrent layers have no second derivative
        with torch.backends.cudnn.flags(enabled=False):
            if not at.requires_grad:  # in evaluation, also under no_grad
                return torch.func.grad(scalar)(at, *others)
            # the same, with less overhead
            (found,) = torch.autograd.grad(scalar(at, *others), at, create_graph=True)
            return found

    return gradient


def initial_heat(hottest: float) -> Tensor:
    """The raw number of a first temperature T_0 = 1 + `hottest`, as `tempering` reads it."""
    return torch.tensor(math.log(math.expm1(hottest)))


def tempering(raw_hot: Tensor, steps: int) -> Tensor:
    """√T_0, …, √T_K of K steps, with T_0 = 1 + softplus(raw) and T_k = T_0 + (1 - T_0) k²/K².

    As in the authors' code of Caterini et al. 2018, arXiv:1805.11328 (fixed tempering).
    """
    k = torch.linspace(0, 1, steps + 1, dtype=raw_hot.dtype, device=raw_hot.device)
    return (1 + F.softplus(raw_hot) * (1 - k.square())).sqrt()


class Travelled(Drawable):
    """Where a draw z_0 of `start` ends."""

    def __init__(self, start: Distribution) -> None:
        super().__init__(start.batch_shape, start.event_shape)
        self.start = start

    @abstractmethod
    def follow(self, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        """z_K (K, B, D) and what is returned as its log q (K, B), from z_0 and log q_0(z_0)."""

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        if not shape:  # the decoder wants K draws first
            z, log_q = self.draw((1,))
            return z[0], log_q[0]
        return self.follow(*draw(self.start, shape))


class Moved(Encoder):
    """A Gaussian draw, moved by `steps` steps of a size in (0, largest), which is learned.

    The gradient for all parameters flows through the steps. Decoder and prior are used, not owned.
    """

    scores_any_code = False
    raw_step: nn.Parameter  # ε = largest sigmoid(·), a number or (D,)

    def __init__(
        self, spec: Spec, decoder: Decoder, prior: Prior, steps: int, largest: float
    ) -> None:
        super().__init__()
        self.net = Gaussian(spec)
        self.steps = steps
        self.scores_any_code = not steps  # without a step it is the Gaussian
        self.largest = largest
        # in a tuple, so that their parameters are not also this module's
        self._target = (decoder, prior)

    @abstractmethod
    def moved(self, start: Distribution, x: Tensor, c: Tensor | None) -> Distribution:
        """q(z_K|x), from q(z_0|x)."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        start = self.net(x, c)
        return self.moved(start, x, c) if self.steps else start

    def step_size(self) -> Tensor:
        """ε, a number or (D,)."""
        return self.largest * self.raw_step.sigmoid()

    def log_joint(self, z: Tensor, x: Tensor, c: Tensor | None) -> Tensor:
        """log p(x, z), (K, B), of codes (K, B, D)."""
        decoder, prior = self._target
        with reading(decoder, prior):  # that the dynamics reads them moves no state of theirs
            return decoder(z, c).log_prob(x) + prior(c).log_prob(z)
