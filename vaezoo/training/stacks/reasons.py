"""What cannot be trained in a stack, and why: its seeds are trained one by one."""

import torch

from ...core import Model, Spec, Unsupported
from ..budget import Budget

ROWS = 4  # of the step that is tried


def why_alone(model: Model, spec: Spec, budget: Budget) -> str:
    """Why the seeds of this model are trained one by one, in a few words; "" where they are
    stacked. A step of two places is tried, on rows of zeros.
    """
    why = _known(model, spec, budget)
    if why:
        return why
    from .trying import tried

    x = torch.zeros(ROWS, *spec.shape)
    c = torch.zeros(ROWS, spec.classes) if spec.classes else None
    try:
        tried(model, x, c, budget)
    except Exception as error:  # of a plugin, and of torch at a plugin's code
        return str(error).strip().partition("\n")[0][:160] or type(error).__name__
    return ""


def must_be_stackable(model: Model, spec: Spec, budget: Budget) -> None:
    """Raises: Unsupported with the reason, as far as it is known without a step."""
    if why := _known(model, spec, budget):
        raise Unsupported(f"it is not trained in a stack: {why}; train it without --stack")


def _known(model: Model, spec: Spec, budget: Budget) -> str:
    if model.unstackable:
        return model.unstackable
    if spec.is_sequence and spec.has_gaps:
        return "its sequences are of several lengths, and each minibatch has its own"
    if budget.truncate:
        return f"truncate={budget.truncate} carries a state from piece to piece"
    if budget.optimizer != "adam":
        return f"{budget.optimizer} is not stacked"
    return ""
