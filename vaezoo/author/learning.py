"""The rules of training: the loss falls, and every parameter is reached."""

import torch

from ..training.budget import Budget
from ..training.descent import Stepper
from .case import Broken, Case


def learns(case: Case) -> None:
    """When one minibatch is overfitted for 60 steps, the loss falls, or what early stopping watches
    of two players.

    It ends where five values lie below all of the first five. The steps are the trainer's, with
    its learning-rate factors.
    """
    model = case.build().train()
    stepper = Stepper(model, Budget(learning_rate=5e-3))
    losses: list[float] = []
    watched: list[float] = []  # what early stopping watches
    for step in range(60):
        terms = case.terms(model, 16, 1.0, step)
        stepper.step(terms["loss"])
        losses.append(terms["loss"].item())
        watched.append(terms.get("monitor", terms["loss"]).item())
        if step >= 14 and (_has_fallen(losses) or _has_fallen(watched)):
            return

    first, last = _mean(losses[:5]), _mean(losses[-5:])
    if not (last < first or _mean(watched[-5:]) < _mean(watched[:5])):
        raise Broken(
            f"after 60 steps on one minibatch the loss went from {first:.3f} to {last:.3f}",
            "check its sign; if players pull against each other, "
            "give the term to watch as 'monitor'",
        )


def _has_fallen(values: list[float]) -> bool:
    return max(values[-5:]) < min(values[:5])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def trains_every_parameter(case: Case) -> None:
    """Within thirty steps a gradient reaches every parameter, and none is NaN or infinite."""
    model = case.build().train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    untouched = {name for name, p in model.named_parameters() if p.requires_grad}

    for step in range(30):
        if not untouched:
            return
        adam.zero_grad()
        case.terms(model, 16, (step + 1) / 30, step)["loss"].backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        if bad := [n for n, g in gradients.items() if not g.isfinite().all()]:
            raise Broken(
                f"the gradient of {bad[0]} is not finite",
                "look for √0, |0| to a power, or torch.where over a NaN",
            )
        untouched -= {n for n, g in gradients.items() if g.abs().sum() > 0}
        adam.step()

    if untouched:
        raise Broken(
            f"no gradient reaches {', '.join(sorted(untouched)[:4])}",
            "use it in the loss, make it a buffer, or set requires_grad_(False) if it is fitted "
            "after training",
        )
