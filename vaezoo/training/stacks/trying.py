"""A step of two places, to see whether a model can be stacked."""

import copy

import torch
from torch import Tensor

from ...core import Model
from ..budget import FLOAT32, Budget
from .seats import Seat, Stack
from .steps import Steps

PLACES = 2


def tried(model: Model, x: Tensor, c: Tensor | None, budget: Budget) -> None:
    """Takes a step of a copy of the model, on the same rows x (B, *shape) at each place.

    Raises: whatever it does.
    """
    seat = Seat(copy.deepcopy(model), 0)
    stack = Stack([seat], PLACES, budget)
    steps = Steps(stack, budget, FLOAT32)
    generators = [torch.Generator().manual_seed(s) for s in range(PLACES)]
    frozen = torch.zeros(PLACES, dtype=torch.float32)
    labels = None if c is None else torch.stack([c] * PLACES)
    steps.learn(torch.stack([x] * PLACES), labels, 0.5, 1.0 - frozen[0], frozen, generators)
    steps.judge(x, c, generators)
