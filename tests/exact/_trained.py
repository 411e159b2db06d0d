"""Small models after some steps of training, each trained once."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from vaezoo.core import Model

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Model)


def descended(model: M, x: Tensor, steps: int, rate: float = 0.01) -> M:
    """The model after so many steps of Adam down its own loss of the rows x."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        model(x)["loss"].backward()
        optimiser.step()
    return model


def once(build: Callable[P, T]) -> Callable[P, T]:
    """What `build` gives for its arguments, made once; every call has a copy of its own.

    Only of what leaves torch's generators as they were, as all does that is made under `seeded`.
    """
    kept = cache(build)

    @wraps(build)
    def copied(*args: P.args, **options: P.kwargs) -> T:
        return deepcopy(kept(*args, **options))

    return copied
