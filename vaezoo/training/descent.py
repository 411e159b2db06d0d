"""One step down a loss: Adam or Adamax over few flat tensors, the gradient clipped, long sequences
piece by piece.
"""

from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor, nn

from ..core import Model, Terms, Unsupported
from ..core.weighing import rates_weighed
from ..likelihoods import Likelihood
from ..networks import in_bf16
from ..stepwise import CarriedState, carried
from .adam import OPTIMIZERS
from .budget import BF16, FLOAT32, SKIPPED, Budget
from .schedules import FACTORS

# Numbers from which on a parameter stays by itself: to add its gradient to a flat one would take
# longer than the call for one tensor more.
LARGE = 2**15


class Stepper:
    """An optimiser of the model's parameters, of which it lays the small ones end to end: one flat
    tensor for each learning rate.

    A small parameter and its gradient become views of the flat ones. A parameter that two parts
    share is counted once.
    """

    def __init__(self, model: Model, budget: Budget, precision: str = FLOAT32) -> None:
        self.model = model
        self.precision = precision
        self.budget = budget
        self.truncate = budget.truncate
        self.clip = budget.clip
        self.skip = budget.skip
        self.factor_at = FACTORS[budget.schedule]
        self.factor = 1.0  # of the learning rates, now
        self.flat: list[Tensor] = []
        self.large: list[Tensor] = []
        rates: dict[Tensor, float] = {}
        for factor, parameters in by_factor(model).items():
            large = [p for p in parameters if p.numel() >= LARGE]
            small = [p for p in parameters if p.numel() < LARGE]
            flat = [_flattened(small)] if small else []
            self.large += large
            self.flat += flat
            rates |= dict.fromkeys([*flat, *large], budget.learning_rate * factor)
        build = OPTIMIZERS[budget.optimizer]
        self.optimizer = build(list(rates), list(rates.values()), budget.adam_epsilon)

    def learn(self, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        """The terms of one minibatch, after a step down its loss; where it is truncated, a step for
        each piece of it.

        A piece begins in the state that the piece before ended with, and the terms of a minibatch
        are sums over its pieces (Williams & Peng 1990, "truncated back-propagation through time").
        """
        self.factor = self.factor_at(progress)
        if not self.truncate or x.shape[1] <= self.truncate:
            return self._descend(x, c, progress)
        carry = CarriedState()
        total = Terms()
        for piece in x.split(self.truncate, 1):
            terms = self._descend(piece, c, progress, carry)
            total = {name: value + total.get(name, 0.0) for name, value in terms.items()}
        return total

    def _descend(
        self, x: Tensor, c: Tensor | None, progress: float, carry: CarriedState | None = None
    ) -> Terms:
        with carried(carry) if carry else nullcontext():
            terms, beta = self._terms(x, c, progress)
        is_taken = self.step(terms["loss"])
        if beta is not None and beta.grad is None:
            raise Unsupported(
                f"warmup={self.budget.warmup} weighs the KL of a trace, and the loss "
                f"{type(self.model.loss).__name__} reads none; train it with warmup=0"
            )
        found = {name: value.detach() for name, value in terms.items()}
        if self.skip:
            found[SKIPPED] = found["loss"].new_full((), float(not is_taken))
        return found

    def _terms(self, x: Tensor, c: Tensor | None, progress: float) -> tuple[Terms, Tensor | None]:
        """With the weight of KL that they were computed with, None where it is 1."""
        weight = weight_at(progress, self.budget)
        with in_bf16() if self.precision == BF16 else nullcontext():
            if weight == 1:
                return self.model(x, c, progress), None
            beta = torch.tensor(weight, dtype=torch.float64, device=x.device, requires_grad=True)
            with rates_weighed(beta):
                return self.model(x, c, progress), beta

    def step(self, loss: Tensor) -> bool:
        """One step down the gradient of the loss, the gradient's global norm clipped; whether it
        was taken. It is not where `skip` is set and the norm is not below it (Child 2021,
        arXiv:2011.10650, §3.1): then weights and moments stay.
        """
        for p in self.flat:
            cast(Tensor, p.grad).zero_()
        for p in self.large:
            p.grad = None
        loss.backward()
        for p in self.large:
            if p.grad is None:  # the loss of this minibatch did not read it
                p.grad = torch.zeros_like(p)
        norm = self._norm()
        if self.skip and not norm < self.skip:  # nor where it is no number
            return False
        self._clip(norm)
        self.optimizer.step(self.factor)
        return True

    def _gradients(self) -> list[Tensor]:
        return [cast(Tensor, p.grad) for p in self.optimizer.tensors]

    def _norm(self) -> Tensor:
        """The global norm of the gradient."""
        norms = [torch.linalg.vector_norm(gradient) for gradient in self._gradients()]
        return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))

    def _clip(self, norm: Tensor) -> None:
        """As `torch.nn.utils.clip_grad_norm_` does, whose care for many tensors of many kinds costs
        more than the norm of one.
        """
        if norm.is_cpu and norm < 0.999 * self.clip:  # elsewhere the answer would be waited for
            return
        factor = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in self._gradients():
            gradient.mul_(factor)

    def release(self) -> None:
        """Give every parameter a tensor of its own again."""
        for p in (p for p in self.model.parameters() if p.requires_grad):
            p.data = p.data.clone()
            p.grad = None


def weight_at(progress: float, budget: Budget) -> float:
    """Of KL: it rises from 0 to 1 over the `warmup` epochs of the budget."""
    return min(1.0, progress * budget.epochs / budget.warmup) if budget.warmup else 1.0


def by_factor(model: Model) -> dict[float, list[nn.Parameter]]:
    """The parameters that training moves, by the factor of their learning rate."""
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
    return by_factor


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
