"""Two small recurrent networks that judge generated sequences (Yoon, Jarrett, van der Schaar 2019,
TimeGAN, §5).

Both see windows of at most `WINDOW` steps, NaN read as 0. Seeds are the caller's.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks import step_mask
from ..training.adam import FlatAdam

WINDOW = 24
HIDDEN = 32
STEPS = 100
BATCH = 64
RATE = 1e-2


def windows(x: Tensor) -> Tensor:
    """(N, at most WINDOW, C): a piece of every sequence (N, T, C), begun at a random step so that
    it ends within it.
    """
    width = min(WINDOW, x.shape[1])
    free = (step_mask(x).sum(1) - width).clamp_min(0)
    first = (torch.rand(len(x), device=x.device) * (free + 1)).long()
    index = first[:, None] + torch.arange(width, device=x.device)
    return torch.take_along_dim(x, index[..., None], 1)


@torch.no_grad()
def discriminative(real: Tensor, fake: Tensor, real_test: Tensor, fake_test: Tensor) -> float:
    """|accuracy - 1/2| of a classifier of real and generated sequences on the held-out ones: 0
    where it cannot tell.

    Both kinds weigh the same, whatever their numbers.
    """
    judge = _Judge(real, 1)
    x = torch.cat([real, fake])
    y = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))]).to(x)

    def loss(rows: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(judge.of_sequence(x[rows]), y[rows])

    _train(judge, loss, len(x))
    right = (judge.of_sequence(real_test) > 0).double().mean() + (
        judge.of_sequence(fake_test) <= 0
    ).double().mean()
    return abs(float(right) / 2 - 0.5)


@torch.no_grad()
def predictive(fake: Tensor, real_test: Tensor) -> float:
    """Root mean squared error of the next step of real sequences, predicted by a network trained on
    generated ones.

    TimeGAN takes the mean absolute error; on sparse 0-1 data its best prediction would be 0 always.
    """
    judge = _Judge(fake, fake.shape[-1])
    _train(judge, lambda rows: judge.squared_error(fake[rows]), len(fake))
    return float(judge.squared_error(real_test).sqrt())


class _Judge(nn.Module):
    """A GRU over standardised channels."""

    def __init__(self, x: Tensor, out: int) -> None:
        super().__init__()
        seen = x[~x.isnan()]
        self.mean, self.scale = seen.mean(), seen.std().clamp_min(1e-6)
        self.rnn = nn.GRU(x.shape[-1], HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, out)
        self.to(x.device)

    def states(self, x: Tensor) -> Tensor:
        return self.rnn(torch.where(x.isnan(), 0.0, (x - self.mean) / self.scale))[0]

    def of_sequence(self, x: Tensor) -> Tensor:
        """(N,) logits, from the mean state over the steps that are there."""
        there = step_mask(x)[..., None]
        return self.out((self.states(x) * there).sum(1) / there.sum(1).clamp_min(1)).squeeze(-1)

    def squared_error(self, x: Tensor) -> Tensor:
        """Mean over the entries that are there, the first step apart."""
        guess = self.mean + self.scale * self.out(self.states(x))[:, :-1]
        there = ~x[:, 1:].isnan()
        return torch.where(
            there, guess - x[:, 1:].nan_to_num(), 0.0
        ).square().sum() / there.sum().clamp_min(1)


def _train(judge: _Judge, loss: Callable[[Tensor], Tensor], n: int) -> None:
    parameters = list(judge.parameters())
    adam = FlatAdam(parameters, [RATE] * len(parameters))
    with torch.enable_grad():
        for _ in range(STEPS):
            judge.zero_grad()
            loss(torch.randint(n, (min(BATCH, n),))).backward()
            adam.step()
