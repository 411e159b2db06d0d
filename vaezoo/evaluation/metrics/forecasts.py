"""Forecasts as distributions: the share of steps that their intervals hold, and CRPS."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core import Unsupported
from ...hooks import Column, Metric, Table, hookimpl
from ...likelihoods import head
from ...stepwise import Stepwise
from ..context import Evaluation
from ..prediction import forecast
from .sequence import window_of

# a further draw lies between the r-th smallest and the r-th largest of 20 r - 1 in 9 of 10 cases
PATHS = 19
PARTICLES = 259  # of a filter, which needs many: a path each


def crps(draws: Tensor, x: Tensor) -> Tensor:
    """E|x̂ - x| - ½ E|x̂ - x̂'| of draws x̂ (K, …) at x (…), in the units of x, without bias in K
    (Gneiting & Raftery 2007, eq. 21; Ferro 2014, the fair form).
    """
    k = len(draws)
    ordered = draws.sort(0).values
    rank = torch.arange(1, k + 1).to(draws).view(-1, *[1] * x.ndim)
    spread = ((2 * rank - k - 1) * ordered).sum(0) / (k * (k - 1))  # ½ mean |x̂ - x̂'|
    return (draws - x).abs().mean(0) - spread


def covered(draws: Tensor, x: Tensor) -> Tensor:
    """Whether x (…) lies in the interval of 90 % of draws (K, …), K + 1 a multiple of 20."""
    r = (len(draws) + 1) // 20
    ordered = draws.sort(0).values
    return (ordered[r - 1] <= x) & (x <= ordered[-r])


def forecasts(evaluation: Evaluation) -> Mapping[str, float]:
    """The share of x_t that lie in the forecasts' intervals of 90 %, and the forecasts' continuous
    ranked probability score, over the window and the rows of `one_step_error`.
    """
    rows, x, c, start = window_of(evaluation)
    evaluation.say_given_label("forecasts_are")
    is_stepwise = isinstance(evaluation.model, Stepwise)
    evaluation.settings |= {
        "forecast_rows": len(rows),
        "forecast_by": f"{PARTICLES} particles, or {PATHS} paths where no filter is needed",
    }
    with evaluation.noise("forecasts"):
        paths = forecast(
            evaluation.model,
            x,
            c,
            start,
            x.shape[1],
            PARTICLES if is_stepwise else PATHS,
            evaluation.data.spec.has_gaps,
        )
    truth = x[:, start:].double()
    seen = ~truth.isnan()
    draws = paths.draws.double()
    if not draws.isfinite().all():
        raise Unsupported("the model's forecasts are not finite")
    answer = {"crps": float(crps(draws, truth)[seen].mean())}
    if head(evaluation.data.spec).is_discrete:
        evaluation.say("forecast_coverage", "x has few values, and an interval of 90 % holds more")
        return answer
    return answer | {"forecast_coverage": float(covered(draws, truth)[seen].double().mean())}


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("crps", "", "lower", digits=4, low=0),
        Column("forecast_coverage", "", "", digits=3, low=0, high=1),
    )
    table = Table("forecasts", apart="forecasts_are")
    return [Metric("forecasts", columns, forecasts, table, asked=True, rests_on="q,p,px")]
