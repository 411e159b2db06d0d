"""Where training starts: what of a model is set from the training rows before the first step."""

import math

import torch
from torch import Tensor

from ..core import Model
from ..likelihoods import Likelihood
from ..losses import residuals
from ..networks import start_at_mean
from ..seeds import seeded

__all__ = ["start"]

# A scale that starts at the errors of a model that knows nothing explains them alone: no code is
# worth its rate there, and the training stays in that collapse (`ring`: nll 2.15, where 1.08 nats
# below zero can be reached). A little narrower, codes pay from the first step.
TIGHTER = math.exp(-1)


@torch.no_grad()
def start(model: Model, train: Tensor, c: Tensor | None, batch: int, seed: int) -> None:
    """Biases at the training mean where the network asks for it; then the scales of likelihoods at
    1/e of the errors of a first batch, rows taken evenly from `train` (N, *shape) and its
    conditions c.

    It draws from no generator of training, so that the order and the noise are those of a model
    without such a scale.
    """
    start_at_mean(model, train)
    heads = [part for part in model.modules() if isinstance(part, Likelihood)]
    if not any(type(part).start_at is not Likelihood.start_at for part in heads):
        return

    rows = torch.linspace(0, len(train) - 1, min(batch, len(train))).long()
    model.eval()
    with seeded("start", seed):
        error, seen = residuals(model.infer(train[rows], None if c is None else c[rows]))
    errors = error[:, seen]
    for part in heads:
        part.start_at(TIGHTER * errors.flatten())
