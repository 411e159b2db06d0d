"""Whether a model reads the label: told by what another label changes while the noise stays the
same.

What q and p(x|z) are told and what samples are told are two questions: `m2` infers the class of x
and draws of a class.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..core import Model
from ..seeds import seeded


def infers_by_label(model: Model, x: Tensor, c: Tensor) -> bool:
    """Whether z or log p(x|z) of rows x depends on their labels c (B, classes)."""

    def inferred(c: Tensor) -> tuple[Tensor, Tensor]:
        trace = model.infer(x, c)
        return trace.log_px, trace.z

    return _is_read(inferred, c)


def samples_by_label(model: Model, classes: int, device: torch.device | str = "cpu") -> bool:
    """Whether samples depend on the label."""
    return _is_read(
        lambda c: (model.sample(len(c), c, mean=True),), torch.eye(classes, device=device)
    )


def _is_read(of: Callable[[Tensor], tuple[Tensor, ...]], c: Tensor) -> bool:
    """Whether of(c) is another once every label is the next one."""
    found = []
    for labels in (c, c.roll(1, -1)):
        with seeded("reads the label"):
            found.append([value.nan_to_num() for value in of(labels)])
    return any(not torch.equal(*pair) for pair in zip(*found, strict=True))
