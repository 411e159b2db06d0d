"""One step of all seats of a stack: gradients by `torch.func` over the axis of seeds, each seed's
gradient clipped by its own norm, Adam on each seed's row.

Nothing here waits for a number of the device, so that a GPU can be given the whole step at once.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from ...core import Terms, Unsupported
from ...core.weighing import rates_weighed
from ...networks import in_bf16
from ..budget import BF16, SKIPPED, Budget
from .draws import OwnDraws
from .seats import Stack

Tensors = dict[str, Tensor]
Rows = tuple[Tensor, ...]  # the parameters of one place, a vector for each learning rate
Generators = Sequence[torch.Generator]


class Steps:
    """What a stack does with one minibatch for each of its places."""

    def __init__(self, stack: Stack, budget: Budget, precision: str) -> None:
        self.stack = stack
        self.budget = budget
        self.precision = precision

    def learn(
        self,
        x: Tensor,
        c: Tensor | None,
        progress: float | Tensor,
        factor: Tensor,
        frozen: Tensor,
        generators: Generators,
        weight: float = 1.0,
    ) -> Terms:
        """A step of each place that is not `frozen` (S,), 0 or 1; terms of (S,).

        x is (S, B, *shape), `factor` that of the learning rates, `weight` that of KL.
        """
        found, terms, held = self.gradients(x, c, progress, generators, weight)
        is_skipped = self.take(found)
        stays = frozen
        if self.budget.skip:
            terms[SKIPPED] = is_skipped
            stays = torch.maximum(frozen, is_skipped)
        for s, optimizer in enumerate(self.stack.optimizers):
            optimizer.step_unless(stays[s], factor)
        for name, before in self.stack.held.items():
            is_frozen = frozen.bool().view(-1, *[1] * (before.dim() - 1))  # (S, 1 …)
            before.copy_(torch.where(is_frozen, before, held[name]))
        return terms

    def gradients(
        self,
        x: Tensor,
        c: Tensor | None,
        progress: float | Tensor,
        generators: Generators,
        weight: float = 1.0,
    ) -> tuple[Rows, Terms, Tensors]:
        """(S, P) of each learning rate; terms, (S,); what the step made of buffers, (S, *shape)."""
        stack = self.stack
        of = tuple(stack.flat)
        if weight < 1:
            of += (x.new_full((stack.places,), weight, dtype=torch.float64),)

        def loss(of: Rows, held: Tensors, x: Tensor, *c: Tensor) -> tuple[Tensor, Any]:
            rows = of[: len(stack.flat)]
            with self._set(of[len(rows) :]):
                terms, after = self._terms(rows, held, x, c, progress)
            return terms["loss"], (terms, after)

        mapped = vmap(grad(loss, has_aux=True), randomness="different")
        with OwnDraws(generators), _quiet():
            found, (terms, held) = mapped(of, stack.held, x, *_given(c))
        rows = found[: len(stack.flat)]
        self._must_be_read(found[len(rows) :])
        return rows, terms, held

    @torch.no_grad()
    def judge(self, x: Tensor, c: Tensor | None, generators: Generators) -> Terms:
        """The terms of the same rows x (B, *shape) as they are at the end of training, (S,)."""

        def terms(rows: Rows, held: Tensors) -> Terms:
            return self._terms(rows, held, x, _given(c), 1.0)[0]

        mapped = vmap(terms, randomness="different")
        with OwnDraws(generators), _quiet():
            return mapped(tuple(self.stack.flat), self.stack.held)

    def _terms(
        self,
        rows: Rows,
        held: Tensors,
        x: Tensor,
        c: tuple[Tensor, ...],
        progress: float | Tensor,
    ) -> tuple[Terms, Tensors]:
        """Of one place, with what its buffers are afterwards."""
        given = self.stack.parameters_of(rows)
        given |= {name: tensor.clone() for name, tensor in held.items()}
        terms = functional_call(self.stack.skeleton, given, (x, c[0] if c else None, progress))
        return terms, {name: given[name] for name in held}

    @contextmanager
    def _set(self, beta: tuple[Tensor, ...]) -> Iterator[None]:
        """In the precision of the training, and with this weight of KL where there is one."""
        precision = in_bf16() if self.precision == BF16 else nullcontext()
        with precision, rates_weighed(*beta) if beta else nullcontext():
            yield

    def _must_be_read(self, of_beta: tuple[Tensor, ...]) -> None:
        """Raises: Unsupported where the weight of KL changes no loss."""
        if of_beta and not of_beta[0].any():
            raise Unsupported(
                f"warmup={self.budget.warmup} weighs the KL of a trace, and the loss "
                f"{type(self.stack.skeleton.loss).__name__} reads none; train it with warmup=0"
            )

    @torch.no_grad()
    def take(self, found: Rows) -> Tensor:
        """These gradients, each place's clipped by its global norm, for the optimisers; which
        places' steps are not to be taken, (S,), 0 or 1.
        """
        norms = torch.stack([torch.linalg.vector_norm(one, dim=1) for one in found])  # (rates, S)
        norm = torch.linalg.vector_norm(norms, dim=0)
        factor = (self.budget.clip / (norm + 1e-6)).clamp(max=1.0)
        for into, one in zip(self.stack.gradients, found, strict=True):
            torch.mul(one, factor[:, None], out=into)
        if not self.budget.skip:
            return torch.zeros_like(norm)
        return 1 - (norm < self.budget.skip).to(norm)


def _given(c: Tensor | None) -> tuple[Tensor, ...]:
    return () if c is None else (c,)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of operations that vmap does one by one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
