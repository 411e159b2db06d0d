"""The rule of a trained model: evaluation refuses none of its numbers.

Where float32 ends is seen after training and on raw data, not on the first weights and rows of
unit scale.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Normal

from ..data.data import SPLITS, Card, Data
from ..evaluation.context import Evaluation
from ..evaluation.measuring import Measured, measure
from ..evaluation.metrics import likelihood, representation
from ..hooks import Metric
from ..likelihoods import head
from ..training.budget import Budget, Diverged
from ..training.training import fit
from .case import Broken, Case

ROWS = (128, 32, 64)  # of train, validation and test
BUDGET = Budget(epochs=25, batch=32, learning_rate=5e-3, patience=25)  # a hundred steps
DRAWS = 32
ASKED = ("likelihood", "aggregate")
KINDS = ("vector", "sequence", "image", "large image", "grey image", "views")  # first taken counts


def refuses_nothing_once_trained(case: Case) -> None:
    """After a hundred steps and `fit_prior`, on rows of each scale, no number is refused, in
    float32 and in float64. It looks at one kind of data; scales other than 1 are for real x alone.
    """
    earlier = KINDS[: KINDS.index(case.kind)]
    if any(not replace(case, kind=kind).refusal for kind in earlier):
        return
    is_real = head(case.spec).support.check(torch.tensor([-1.0, 2.0])).all()
    for scale in case.scales if is_real else (1.0,):
        _must_be_possible(case, scale, is_real)


def _must_be_possible(case: Case, scale: float, is_real: bool) -> None:
    data = _data(case, scale, is_real)
    model = case.build()
    try:
        fit(model, data, budget=BUDGET)
    except Diverged as error:
        raise Broken(
            f"on rows of scale {scale:g}, {error}",
            "look for what overflows, or divides by a scale that can reach 0",
        ) from None
    for kind in (torch.float32, torch.float64):
        seen = _measured(Evaluation(model.to(kind), replace(data, test=data.test.to(kind))))
        for column, what in seen.refused.items():
            raise Broken(
                f"after a hundred steps on rows of scale {scale:g}, {column} is refused in "
                f"{str(kind).removeprefix('torch.')}: {what}",
                "compute log densities from the draw itself, or in float64, or keep the network's "
                "numbers where they can be resolved",
            )


def _measured(evaluation: Evaluation) -> Measured:
    evaluation.importance_samples = DRAWS
    return measure(evaluation, _metrics())


def _metrics() -> list[Metric]:
    every = likelihood.vaezoo_metrics() + representation.vaezoo_metrics()
    return [metric for metric in every if metric.name in ASKED]


def _data(case: Case, scale: float, is_real: bool) -> Data:
    """Rows of the case's kind; real ones are of N(0, scale²), so that log p(x) is known."""
    x, c = case.rows(sum(ROWS))
    parts = dict(zip(SPLITS, (scale * x if is_real else x).split(ROWS), strict=True))
    classes = {} if c is None else dict(zip(SPLITS, c.argmax(1).split(ROWS), strict=True))
    exact = partial(_log_density, scale=scale) if is_real and not case.spec.has_gaps else None
    card = Card("rows of the check", "generated here", "MIT, as vaezoo", "none")
    return Data("check", case.spec, **parts, card=card, labels=classes, exact=exact)


def _log_density(x: Tensor, scale: float) -> Tensor:
    """log N(x; 0, scale²), (N, *shape) -> (N,)."""
    return Normal(0.0, scale).log_prob(x.double()).flatten(1).sum(1)
