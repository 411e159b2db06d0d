"""Adam, by torch's fused kernel, and Adamax, on flat tensors."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import cast

import torch
from torch import Tensor


class FlatAdam:
    """Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, with a learning rate for each tensor.

    `torch.optim.Adam` calls the same kernel; what it does around it, for hooks, profilers and
    groups, costs as much as the arithmetic where the model is small. Its first step also loads
    torch's compiler, two seconds of each process.
    """

    def __init__(
        self, tensors: Sequence[Tensor], rates: Sequence[float], epsilon: float = 1e-8
    ) -> None:
        self.tensors = tensors
        self.rates = rates
        self.epsilon = epsilon
        self.moments = [
            {
                "step": torch.zeros((), dtype=torch.float32, device=tensor.device),
                "exp_avg": torch.zeros_like(tensor),
                "exp_avg_sq": torch.zeros_like(tensor),
            }
            for tensor in tensors
        ]

    def step(self, factor: float = 1.0) -> None:
        """One step, at this factor of the learning rates."""
        self._step(factor, None)

    def step_unless(self, is_frozen: Tensor, factor: Tensor) -> None:
        """The same, or nothing where `is_frozen` is 1 and not 0. Both are of no axis, and lie where
        the tensors do, float32: the host does not wait for them.
        """
        self._step(factor, is_frozen)

    @torch.no_grad()
    def _step(self, factor: float | Tensor, is_frozen: Tensor | None) -> None:
        for rate, group in self._by_rate.items():
            moments = [self.moments[i] for i in group]
            steps = [one["step"] for one in moments]
            torch._foreach_add_(steps, 1)
            if is_frozen is not None:
                torch._foreach_sub_(steps, [is_frozen] * len(steps))
            torch._fused_adam_(
                [self.tensors[i] for i in group],
                [cast(Tensor, self.tensors[i].grad) for i in group],
                [one["exp_avg"] for one in moments],
                [one["exp_avg_sq"] for one in moments],
                [],
                steps,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate * factor,
                weight_decay=0.0,
                eps=self.epsilon,
                maximize=False,
                found_inf=is_frozen,
            )

    @cached_property
    def _by_rate(self) -> dict[float, list[int]]:
        """Rate -> the places of its tensors, which one call of the kernel moves."""
        found: dict[float, list[int]] = {}
        for i, rate in enumerate(self.rates):
            found.setdefault(rate, []).append(i)
        return found


class FlatAdamax:
    """Adamax (Kingma & Ba 2015, arXiv:1412.6980, algorithm 2): m / u in place of m / √v.

    u = max(β₂ u, |g| + ε), so that ε keeps its place in `torch.optim.Adamax`.
    """

    def __init__(
        self, tensors: Sequence[Tensor], rates: Sequence[float], epsilon: float = 1e-8
    ) -> None:
        self.tensors = tensors
        self.rates = rates
        self.epsilon = epsilon
        self.moments = [
            {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(tensor),
                "exp_inf": torch.zeros_like(tensor),
            }
            for tensor in tensors
        ]

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """One step, at this factor of the learning rates."""
        for tensor, rate, moments in zip(self.tensors, self.rates, self.moments, strict=True):
            gradient = cast(Tensor, tensor.grad)
            steps = moments["step"].add_(1).item()
            mean = moments["exp_avg"].lerp_(gradient, 1 - 0.9)
            largest = moments["exp_inf"].mul_(0.999)
            torch.maximum(largest, gradient.abs().add_(self.epsilon), out=largest)
            tensor.addcdiv_(mean, largest, value=-rate * factor / (1 - 0.9**steps))


OPTIMIZERS: Mapping[str, Callable[..., FlatAdam | FlatAdamax]] = {
    "adam": FlatAdam,
    "adamax": FlatAdamax,
}
