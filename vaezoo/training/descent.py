"""One step down a loss: Adam over few flat tensors, the gradient clipped, long sequences piece by
piece.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ..core import Model, Terms
from ..likelihoods import Likelihood
from ..stepwise import CarriedState, carried
from .budget import Budget


class Stepper:
    """Adam on the model's parameters, which it lays end to end: one flat tensor for each learning
    rate.

    Every parameter and its gradient become views of the flat ones. A parameter that two parts share
    is counted once.
    """

    def __init__(self, model: Model, budget: Budget) -> None:
        of_heads = {
            parameter: part.lr
            for part in model.modules()
            if isinstance(part, Likelihood)
            for parameter in part.parameters()
        }
        by_factor: dict[float, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # fitted after training, or moved by other means
                continue
            factor = model.lr_of(name.split(".")[0]) * of_heads.get(parameter, 1.0)
            by_factor.setdefault(factor, []).append(parameter)

        self.model = model
        self.truncate = budget.truncate
        self.clip = budget.clip
        self.flat = [_flattened(parameters) for parameters in by_factor.values()]
        groups = [
            {"params": [p], "lr": budget.learning_rate * f}
            for f, p in zip(by_factor, self.flat, strict=True)
        ]
        self.adam = torch.optim.Adam(groups, eps=budget.adam_epsilon, fused=True)

    def learn(self, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        """The terms of one minibatch, after a step down its loss; where it is truncated, a step for
        each piece of it.

        A piece begins in the state that the piece before ended with, and the terms of a minibatch
        are sums over its pieces (Williams & Peng 1990, "truncated back-propagation through time").
        """
        if not self.truncate or x.shape[1] <= self.truncate:
            return self._descend(self.model(x, c, progress))
        carry = CarriedState()
        total = Terms()
        for piece in x.split(self.truncate, 1):
            with carried(carry):
                terms = self.model(piece, c, progress)
            total = {
                name: value + total.get(name, 0.0) for name, value in self._descend(terms).items()
            }
        return total

    def _descend(self, terms: Terms) -> Terms:
        self.step(terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of the loss, the gradient's global norm clipped."""
        for p in self.flat:
            cast(Tensor, p.grad).zero_()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.flat, self.clip)
        self.adam.step()

    def release(self) -> None:
        """Give every parameter a tensor of its own again."""
        for p in (p for p in self.model.parameters() if p.requires_grad):
            p.data = p.data.clone()
            p.grad = None


def _flattened(parameters: list[nn.Parameter]) -> Tensor:
    """The parameters end to end in one tensor, of which they are views from now on, gradients
    likewise.
    """
    flat = torch.cat([p.detach().flatten() for p in parameters])
    flat.grad = torch.zeros_like(flat)
    start = 0
    for p in parameters:
        end = start + p.numel()
        p.data = flat[start:end].view_as(p)
        p.grad = flat.grad[start:end].view_as(p)
        start = end
    return flat
