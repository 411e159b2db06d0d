"""Sequences: prediction one step ahead and free running, the likelihood by a particle filter, and
TimeGAN's two scores.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...core import Unsupported
from ...distributions import to_length
from ...fivo import FIVO
from ...hooks import Column, Metric, Table, hookimpl
from ...networks import step_mask
from ...row_mean import RowMean
from ...stepwise import Stepwise
from .. import judges
from ..batches import batches
from ..context import Evaluation
from ..guards import bound_too_high
from ..prediction import draws_of_means, squared_error
from .likelihood import per_step

PARTICLES = 16  # of the filter that estimates the likelihood
PREDICTING = 256  # particles of the filter that predicts
DRAWS = 4  # of q, of a model that needs no filter to predict
ROWS = 64
AHEAD = 8
FILTERED = 128  # sequences that are filtered at a time
OF_FILTER = ("filter_nll", "filter_nll_per_step", "filter_nll_mean_per_step")
ONE_STEP = "sequences of one step: there is no next one to predict"
MOST = 512  # sequences of each kind that a judge is trained on


def _must_be_sequence(evaluation: Evaluation) -> None:
    if not evaluation.data.spec.is_sequence:
        raise Unsupported("not a sequence")


class Window(NamedTuple):
    """The rows of which a few steps are predicted."""

    rows: Tensor
    x: Tensor  # (B, stop, C), up to the last step
    c: Tensor | None
    start: int  # the first step that is predicted


def window_of(evaluation: Evaluation) -> Window:
    """At most `AHEAD` steps from the middle of the sequence of median length, of `ROWS` sequences
    that are long enough.
    """
    _must_be_sequence(evaluation)
    lengths = step_mask(evaluation.x).sum(1)
    start = max(1, int(lengths.median()) // 2)
    stop = min(start + AHEAD, int(lengths.max()))
    if start >= stop:
        raise Unsupported(ONE_STEP)
    rows, x, c = evaluation.part(ROWS, among=(lengths >= stop).nonzero().squeeze(1))
    return Window(rows, x[:, :stop], c, start)


def prediction(evaluation: Evaluation) -> Mapping[str, float]:
    """Root mean squared error of the mean prediction, from real steps and from the model's own,
    over the same steps, without the noise of the draws of which the mean is taken.

    The window of `AHEAD` steps begins in the middle of the sequence of median length; shorter
    sequences do not count.
    """
    rows, x, c, start = window_of(evaluation)
    stop = x.shape[1]
    evaluation.say_given_label("prediction_is")
    evaluation.settings |= {
        "predicted_steps": f"{start + 1} to {stop}",
        "predicted_rows": len(rows),
        "predicted_by": f"{PREDICTING} particles, or {DRAWS} draws where no filter is needed",
    }
    with evaluation.noise("prediction"):
        draws = PREDICTING if isinstance(evaluation.model, Stepwise) else DRAWS
        guesses = draws_of_means(
            evaluation.model, x, c, start, stop, draws, evaluation.data.spec.has_gaps
        )
    forced, free = (_error(x[:, start:], guess) for guess in guesses)
    return {"one_step_error": forced, "free_running_error": free, "exposure_gap": free - forced}


def _error(x: Tensor, draws: Tensor) -> float:
    found = squared_error(draws.double(), x.double())[~x.isnan()]
    return float(found.mean().clamp_min(0).sqrt())


def filtered(evaluation: Evaluation) -> Mapping[str, float]:
    """-log p̂(x) of a particle filter with q as its proposal (Maddison et al. 2017, algorithm 1),
    in all normalisations.
    """
    _must_be_sequence(evaluation)
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    x = evaluation.x
    loss = FIVO(PARTICLES)
    evaluation.settings["particles"] = PARTICLES
    # short ones together: a piece takes as long as its longest
    order = step_mask(x).sum(1).argsort(stable=True)
    with evaluation.noise("filter"):
        parts = [
            loss.filter(evaluation.model, piece)[0]
            for piece, _ in batches(x[order], None, FILTERED)
        ]
    nll = -torch.cat(parts)[order.argsort()]
    exact = evaluation.exact_log_p
    name = "the particle filter's estimate of log p(x)"
    evaluation.refuse(OF_FILTER, bound_too_high(name, -nll, nll, evaluation.is_mass, exact))
    return {"filter_nll": RowMean(nll)} | per_step("filter_nll", nll, x)


def scores(evaluation: Evaluation) -> Mapping[str, float]:
    """A classifier of real and generated sequences, and a predictor trained on generated ones, both
    scored on this split.

    The classifier learns from the training split and as many draws, of the same lengths.
    """
    _must_be_sequence(evaluation)
    with evaluation.noise("judges"):
        real = evaluation.part(MOST, "train").x
        real_test = evaluation.part(MOST).x
        fake = _generated(evaluation, real, "train")
        fake_test = _generated(evaluation, real_test, "test")

        real = judges.windows(real)
        fake = judges.windows(fake)
        real_test = judges.windows(real_test)
        fake_test = judges.windows(fake_test)
        evaluation.settings |= {"judged": len(real_test), "judged_steps": real_test.shape[1]}
        answer = {"discriminative_score": judges.discriminative(real, fake, real_test, fake_test)}
        if real_test.shape[1] > 1:
            return answer | {"predictive_score": judges.predictive(fake, real_test)}
        evaluation.say("predictive_score", ONE_STEP)
        return answer


def _generated(evaluation: Evaluation, real: Tensor, name: str) -> Tensor:
    """Draws of x, with the lengths of the real rows."""
    c = evaluation.labels_for(len(real), "judges", name)
    fake = to_length(evaluation.draw(len(real), c), real.shape[1])
    there = step_mask(real)[..., None]
    if not fake.isfinite().logical_or(~there).all():
        raise Unsupported("the model's samples are not finite")
    return torch.where(there, fake, torch.nan) if evaluation.data.spec.has_gaps else fake


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    of_steps = (
        Column("one_step_error", "", "lower", digits=4, low=0),
        Column("free_running_error", "", "lower", digits=4, low=0),
        Column("exposure_gap", "", "", digits=4),
    )
    of_paths = (
        Column(OF_FILTER[0], "nats", "lower", digits=2),
        *(Column(name, "nats per step", "lower", digits=3) for name in OF_FILTER[1:]),
    )
    of_draws = (
        Column(
            "discriminative_score", "", "lower", "sequence", digits=3, panel=True, low=0, high=0.5
        ),
        Column("predictive_score", "", "lower", "sequence", digits=4, low=0),
    )

    table = Table("sequence", apart="prediction_is")
    return [
        Metric("prediction", of_steps, prediction, table),
        Metric("filter", of_paths, filtered, table),
        Metric("judges", of_draws, scores, of="samples"),
    ]
