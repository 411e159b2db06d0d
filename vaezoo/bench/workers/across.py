"""What the figure of views is drawn from: test rows, and each view as a model tells it from the
others.
"""

import torch
from torch import Tensor

from ...core import Model
from ...data.data import Data
from ...views import are_there, split_views, without_views

ROWS = 8


def across(model: Model, data: Data, device: str) -> dict[str, Tensor]:
    """The views of the first test rows that have all of them, "view_0", "view_1", …, and of each
    the mean of p(x|z) for one draw of z from the others, "told_0", "told_1", …
    """
    spec = data.spec
    if not spec.views:
        return {}
    rows = are_there(data.test, spec).all(0).nonzero().squeeze(1)[:ROWS]
    x = data.test[rows].to(device)
    c = data.condition("test")
    labels = None if c is None else c[rows].to(device)
    arrays = {f"view_{i}": view for i, view in enumerate(split_views(x, spec))}
    for i in range(len(spec.views)):
        mean = model.infer(without_views(x, spec, (i,)), labels).px.mean[0]
        arrays[f"told_{i}"] = split_views(mean, spec)[i]
    return {name: torch.as_tensor(value) for name, value in arrays.items()}
