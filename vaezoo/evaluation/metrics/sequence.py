"""Sequences: prediction one step ahead and free running, the likelihood by a particle filter, and
TimeGAN's two scores.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...core import Unsupported
from ...data.data import Data
from ...distributions import to_length
from ...fivo import FIVO
from ...hooks import Column, Metric, Table, hookimpl
from ...networks import step_mask
from ...row_mean import RowMean
from ...seeds import generator_for, seeded
from ...stepwise import Stepwise
from .. import judges
from ..baselines import APART, CONTROLS, NOISE, REAL, apart, as_there, mean_of
from ..batches import batches
from ..context import Evaluation
from ..guards import bound_too_high
from ..prediction import draws_of_means, squared_error
from ..subset import some_rows
from .likelihood import EXACT, per_step

PARTICLES = 64  # of the filter that estimates the likelihood
PREDICTING = 256  # particles of the filter that predicts
DRAWS = 4  # of q, of a model that needs no filter to predict
ROWS = 64
AHEAD = 8
FILTERED = 128  # sequences that are filtered at a time
OF_FILTER = ("filter_nll", "filter_nll_per_step", "filter_nll_mean_per_step")
ONE_STEP = "sequences of one step: there is no next one to predict"
MEAN = "mean of the training rows"
LAST = "last step again"
MOST = 512  # sequences of each kind that a judge is trained on
JUDGES = 3  # judges that are trained for a control row


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
    start, stop, among = _steps(evaluation.x)
    if start >= stop:
        raise Unsupported(ONE_STEP)
    rows, x, c = evaluation.part(ROWS, among=among)
    return Window(rows, x[:, :stop], c, start)


def _steps(x: Tensor) -> tuple[int, int, Tensor]:
    """The first step of the window, the one after its last, and the rows that are long enough."""
    lengths = step_mask(x).sum(1)
    start = max(1, int(lengths.median()) // 2)
    stop = min(start + AHEAD, int(lengths.max()))
    return start, stop, (lengths >= stop).nonzero().squeeze(1)


def naive(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The control rows of `prediction`: the mean of the training rows at each step, and the last
    step that was seen.
    """
    if not data.spec.is_sequence:
        return {}
    start, stop, among = _steps(data.split(split))
    if start >= stop:
        return {}
    x = data.split(split)[some_rows(data, split, ROWS, among)].double()
    truth = x[:, start:stop]
    mean = data.train.double().nanmean(0)[start:stop]
    held = x[:, start - 1 : start]
    return {
        MEAN: _naive_errors(mean, mean, truth),
        LAST: _naive_errors(x[:, start - 1 : stop - 1], held, truth),
    }


def _naive_errors(one_step: Tensor, free: Tensor, truth: Tensor) -> dict[str, float]:
    guesses = {"one_step_error": one_step, "free_running_error": free}
    return {
        name: float((guess - truth).square().nanmean().sqrt()) for name, guess in guesses.items()
    }


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
    evaluation.settings["filter_particles"] = PARTICLES
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


def exact_of_paths(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The control row of the filter: -log p(x) where it is known, which the mean of -log p̂(x) is
    no less than.
    """
    if not data.spec.is_sequence or data.exact is None:
        return {}
    x = data.split(split)
    nll = -data.exact(x)
    return {EXACT: {"filter_nll": float(nll.double().mean())} | per_step("filter_nll", nll, x)}


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

        found, settings = _judged(Judged(real, fake, real_test, fake_test))
    evaluation.settings |= settings
    if "predictive_score" not in found:
        evaluation.say("predictive_score", ONE_STEP)
    return found


class Judged(NamedTuple):
    """Sequences (N, T, C) each: what judges learn from, and what they are scored on."""

    real: Tensor
    fake: Tensor
    real_test: Tensor
    fake_test: Tensor


def _judged(of: Judged) -> tuple[dict[str, float], dict[str, int]]:
    """Both scores, the second where there is a next step; and on what."""
    real, fake, real_test, fake_test = (judges.windows(x) for x in of)
    settings = {"judged": len(real_test), "judged_steps": real_test.shape[1]}
    answer = {"discriminative_score": judges.discriminative(real, fake, real_test, fake_test)}
    if real_test.shape[1] > 1:
        answer["predictive_score"] = judges.predictive(fake, real_test)
    return answer, settings


def controls(data: Data, seed: int = 0) -> dict[str, dict[str, float]]:
    """The control rows of the judges, each the mean over a few trainings: other real rows, the same
    steps in any order, Gaussian noise.

    Real rows to learn from are half of the training rows that a model's judges learn from where
    there are no more: the other half stands for the model. In the test it is the validation split.
    """
    if not data.spec.is_sequence:
        return {}
    rows: dict[str, list[dict[str, float]]] = {}
    for draw in range(seed, seed + JUDGES):
        with seeded("controls", "judges", data.identity, draw):
            for name, of in _made_up(data, draw).items():
                rows.setdefault(name, []).append(_judged(of)[0])
    return {name: mean_of(scores) for name, scores in rows.items()}


def _made_up(data: Data, draw: int) -> dict[str, Judged]:
    """Control row -> what its judges see."""
    g = generator_for("controls", "judged", data.identity, draw)
    train = data.train[torch.randperm(len(data.train), generator=g)]
    half = min(MOST, len(train) // 2)
    real = train[:half]
    test = data.test[some_rows(data, "test", MOST)]

    # other draws for the test than to learn from
    noise = as_there(CONTROLS[NOISE](data, len(real), draw), real)
    noise_test = as_there(CONTROLS[NOISE](data, len(test), draw + JUDGES), test)
    return {
        REAL: Judged(real, train[half : 2 * half], test, data.validation[:MOST]),
        APART: Judged(real, apart(data, real, g), test, apart(data, test, g)),
        NOISE: Judged(real, noise, test, noise_test),
    }


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
        Metric("prediction", of_steps, prediction, table, controls=naive, rests_on="q,p,px"),
        Metric("filter", of_paths, filtered, table, controls=exact_of_paths, rests_on="q,p,px"),
        Metric("judges", of_draws, scores, of="samples", controls=controls),
    ]
