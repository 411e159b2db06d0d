"""Training, the same for all: Adam, seeded minibatches, validation after every epoch, return to the
best one.

What is notable: data are tensors in memory, indexed by a permutation; no `.item()` inside an epoch
(terms are read back once an epoch); one fused optimiser; one generator for each purpose (weights,
order, noise, validation noise), so that two variants with one seed see the same minibatches, and
the order does not depend on how much noise a variant draws.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Model, Terms, Unsupported
from ..data.data import Data
from ..networks import require_bf16
from ..seeds import seeded
from ..stepwise import Stepwise
from .budget import BF16, FLOAT32, PRECISIONS, SKIPPED, Budget, Diverged, EpochLog, History
from .descent import Stepper
from .minibatches import Minibatches
from .resume import Bookmark, Course
from .start import start

Report = Callable[[int, int, EpochLog], None]  # epoch, epochs, its row


def fit(
    model: Model,
    data: Data,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    report: Report | None = None,
    device: torch.device | str = "cpu",
    precision: str = FLOAT32,
    bookmark: Bookmark | None = None,
    **changes: Any,
) -> History:
    """Train `model` in place on `data`; `changes` are fields of the budget, such as epochs=50. With
    a `bookmark`, a long training that was killed goes on from there.

    Raises: Diverged at the first epoch with a term that is not finite, BadData for data that is not
    what its spec says, Unsupported for a model that cannot be trained with this `precision`.
    """
    _must_suit(model, data, precision)
    budget = budget or Budget(**{**data.budget, **changes})
    _must_truncate(model, data, budget.truncate)
    model.to(device)
    model.data_reader = data.reader
    rows = Minibatches(data, budget.batch, seed, device, budget.pool, budget.steps)
    start(model, rows.x["train"], rows.conditions["train"], rows.batch, seed)
    stepper = Stepper(model, budget, precision)
    course = Course(model, rows, stepper.optimizer.moments)
    try:
        with seeded("noise", data.identity, seed):
            _epochs(course, stepper, budget, report or (lambda *_: None), seed, bookmark)
    finally:
        stepper.release()
    finish(model, data, rows, seed)
    return course.history


def finish(model: Model, data: Data, rows: Minibatches, seed: int) -> None:
    """Evaluation mode, and a prior fitted to the codes of the training rows where it is one."""
    model.eval()
    with seeded("prior", data.identity, seed):
        model.fit_prior(rows.seen_train(), rows.conditions["train"])


def _must_suit(model: Model, data: Data, precision: str) -> None:
    """Raises: as `must_train_in`, and BadData for data that is not what its spec says, or that the
    model's likelihood does not speak of.
    """
    must_train_in(precision, model)
    data.must_be_sound("train", "validation")
    data.must_fit(model)


def must_train_in(precision: str, model: Model) -> None:
    """Raises: ValueError for a precision that there is not, Unsupported for one that is not for
    this model.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision == BF16:
        require_bf16(model, model.recipe.variant if model.recipe else type(model).__name__)


def _must_truncate(model: Model, data: Data, steps: int) -> None:
    """Raises: Unsupported where `steps` would cut sequences and the model cannot go on from a
    state.
    """
    if not steps or (
        data.spec.is_sequence and (data.train.shape[1] <= steps or isinstance(model, Stepwise))
    ):
        return
    raise Unsupported(
        f"truncate={steps} reads sequences piece by piece, and {type(model).__name__} "
        f"on data of shape {data.spec.shape} has no state to go on from; "
        "train it with truncate=0"
    )


def _epochs(
    course: Course,
    stepper: Stepper,
    budget: Budget,
    report: Report,
    seed: int,
    bookmark: Bookmark | None,
) -> None:
    if bookmark:
        bookmark.take_up(course)
    for row in course.history.rows:  # of an earlier call
        report(int(row["epoch"]), budget.epochs, row)
    start = time.perf_counter() - course.history.seconds

    while not course.is_over(budget):
        row = _epoch(course, stepper, budget, seed)
        row["seconds"] = course.history.seconds = time.perf_counter() - start
        if bookmark:
            bookmark.keep(course, course.is_over(budget))
        report(course.epoch, budget.epochs, row)

    back_to_best(course)


def back_to_best(course: Course) -> None:
    """Raises: Diverged where no epoch had a validation loss that is a number."""
    if not course.best:
        raise Diverged("validation_loss", course.epoch * course.rows.batches, course.epoch)
    course.model.load_state_dict(course.best)


def _epoch(course: Course, stepper: Stepper, budget: Budget, seed: int) -> EpochLog:
    """The row of one epoch more, its seconds aside."""
    model = course.model
    set_mode(model, is_training=True)
    row = _train_epoch(model, course.rows, stepper, budget, course.epoch + 1)
    row |= _validate(model, course.rows, seed)
    note(course, row)
    return row


def note(course: Course, row: EpochLog) -> None:
    """The course after one epoch more, its weights kept where none were better."""
    model = course.model
    course.history.rows.append(row)
    monitored = row.get("validation_monitor", row["validation_loss"])
    if monitored < course.best_loss:
        course.best_loss = monitored
        course.history.best_epoch = course.epoch
        course.best = _state_of(model)


def set_mode(model: Model, *, is_training: bool) -> None:
    """As `model.train(is_training)` does. It sets the mode of every part by way of a check whether
    the mode is a parameter, which on small data was a twentieth of a training.
    """
    parts = list(model.modules())
    if type(model).eval is not nn.Module.eval or not all(map(_has_plain_mode, parts)):
        model.train() if is_training else model.eval()
        return
    for part in parts:
        part.__dict__["training"] = is_training


def _has_plain_mode(part: nn.Module) -> bool:
    """Whether its mode is an attribute and nothing else: a scripted part keeps it elsewhere."""
    kind = type(part)
    return kind.train is nn.Module.train and kind.__setattr__ is nn.Module.__setattr__


def _state_of(model: Model) -> dict[str, Any]:
    """The state of the model as it now is, in tensors of its own."""
    state = model.state_dict()
    for name, value in state.items():
        # clone, for a deep copy of each small tensor took a twentieth of a training on small data
        state[name] = value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
    return state


def _train_epoch(
    model: Model, rows: Minibatches, stepper: Stepper, budget: Budget, epoch: int
) -> EpochLog:
    steps = []
    batches = list(rows.minibatches())
    for i, (x, c) in enumerate(batches):
        progress = (epoch - 1 + i / len(batches)) / budget.epochs
        steps.append(stepper.learn(x, c, progress))
    table = _read_back(steps)
    for i, row in enumerate(table):
        must_be_finite(row, (epoch - 1) * len(batches) + i + 1, epoch)
    return epoch_row(epoch, table)


def epoch_row(epoch: int, table: Sequence[Mapping[str, float]]) -> EpochLog:
    """The means of the terms over an epoch's minibatches; of steps that were not taken, how
    many.
    """
    ones = [1] * len(table)
    means = {f"train_{name}": mean_of(name, table, ones) for name in table[0] if name != SKIPPED}
    if SKIPPED in table[0]:
        means[f"train_{SKIPPED}"] = sum(row[SKIPPED] for row in table)
    return {"epoch": epoch, **means}


@torch.no_grad()
def _validate(model: Model, rows: Minibatches, seed: int) -> EpochLog:
    """The variant's own loss as it stands at the end of training, so that epochs under a schedule
    can be compared.
    """
    set_mode(model, is_training=False)
    with seeded("validation", seed):  # the same noise every epoch: what differs is the model
        batches = list(rows.in_order("validation"))
        table = _read_back([model(x, c, 1.0) for x, c in batches])
    weights = [len(x) for x, _ in batches]
    return {f"validation_{name}": mean_of(name, table, weights) for name in table[0]}


def mean_of(name: str, table: Sequence[Mapping[str, float]], weights: Sequence[int]) -> float:
    """One term over all minibatches."""
    total = sum(weight * row[name] for weight, row in zip(weights, table, strict=True))
    return total / sum(weights)


def _read_back(steps: list[Terms]) -> list[dict[str, float]]:
    """The terms of many steps as Python floats, with one transfer."""
    names = list(steps[0])
    flat = torch.stack([terms[name].reshape(()) for terms in steps for name in names])
    values = flat.view(len(steps), len(names)).tolist()
    return [dict(zip(names, row, strict=True)) for row in values]


def must_be_finite(terms: Mapping[str, float], step: int, epoch: int) -> None:
    for name, value in terms.items():
        if not math.isfinite(value):
            raise Diverged(name, step, epoch)
