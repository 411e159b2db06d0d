"""One computation in float32 beside itself in float64."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

RAW = (-50.0, -15.0, -3.0, -1e-3, 0.0, 0.5, 4.0, 15.0, 50.0)
SCALES = (1e-3, 0.1, 1.0, 30.0, 1e3)


class Case(NamedTuple):
    leaves: dict[str, Tensor]
    compute: Callable[..., list[Tensor]]
    tolerance: float = 2e-6


def grid(*axes) -> tuple[Tensor, ...]:
    """All combinations, one long tensor for each axis."""
    return tuple(torch.tensor(one) for one in zip(*product(*axes), strict=True))


def in_both(case: Case) -> None:
    """Values agree; gradients are finite and agree."""
    values, gradients = _computed(case, torch.float32)
    exact, exact_gradients = _computed(case, torch.float64)
    for i, (value, other) in enumerate(zip(values, exact, strict=True)):
        assert other.isfinite().all(), i
        worst = ((value.double() - other).abs() / (1 + other.abs())).max().item()
        assert worst < case.tolerance, f"value {i} is off by {worst:.1e}"
    for name, gradient, other in zip(case.leaves, gradients, exact_gradients, strict=True):
        if other is None:
            continue
        assert gradient.isfinite().all(), name
        assert other.isfinite().all(), name
        worst = ((gradient.double() - other).abs().max() / (1 + other.abs().max())).item()
        assert worst < 10 * case.tolerance, f"the gradient of {name} is off by {worst:.1e}"


def _computed(case: Case, dtype: torch.dtype) -> tuple[list[Tensor], tuple[Tensor | None, ...]]:
    """The values, and the gradient of their sum for each leaf."""
    leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in case.leaves.items()}
    values = case.compute(**leaves)
    total = sum((value.sum() for value in values), torch.zeros(()))
    return values, torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
