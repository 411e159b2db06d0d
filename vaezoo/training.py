"""Training, the same for all: Adam, seeded minibatches, validation after every epoch, return to the best one.

What is notable: data are tensors in memory, indexed by a permutation; no `.item()` inside an epoch (terms are read back
once an epoch); one fused optimiser; one generator for each purpose (weights, order, noise, validation noise), so that
two variants with one seed see the same minibatches, and the order does not depend on how much noise a variant draws.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn

from .core import Model, Terms, Unsupported
from .data.data import Data
from .networks import step_mask
from .seeds import generator_for, seeded
from .stepwise import Carry, Stepwise, carried

Row = dict[str, float]  # one epoch: "epoch", "seconds", "train_<term>" and "validation_<term>"


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Budget:
    """What every variant gets. The validation split chooses the epoch; the test split is not looked at."""

    epochs: Annotated[int, Field(ge=1)] = 100
    batch: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    patience: Annotated[int, Field(ge=1)] = 20  # epochs without a better validation loss after which training stops
    clip: Annotated[float, Field(gt=0)] = 100.0  # limit of the gradient's global norm
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8  # Burda et al. 2016 use 1e-4
    pool: Annotated[int, Field(ge=1)] = (
        1  # minibatches of padded sequences that are filled together, by length; 1: by chance
    )
    truncate: Annotated[int, Field(ge=0)] = 0  # steps that a gradient goes back through; 0: all


class Diverged(ArithmeticError):
    """A term became NaN or infinite."""

    def __init__(self, term: str, step: int, epoch: int) -> None:
        super().__init__(f"{term} was not finite at step {step} (epoch {epoch})")
        self.term, self.step, self.epoch = term, step, epoch


@dataclass
class History:
    """The learning curves, and which epoch the model came back to."""

    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0  # spent in training, validation included


Report = Callable[[int, int, Row], None]  # epoch, epochs, its row


def fit(
    model: Model,
    data: Data,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    report: Report | None = None,
    device: torch.device | str = "cpu",
    **changes: Any,
) -> History:
    """Train `model` in place on `data`; `changes` are fields of the budget, such as epochs=50.

    Raises: Diverged at the first epoch with a term that is not finite, BadData for data that is not what its spec says.
    """
    data.must_be_sound("train", "validation")
    budget = budget or Budget(**{**data.budget, **changes})
    _must_truncate(model, data, budget.truncate)
    model.to(device)
    rows = _Rows(data, budget.batch, seed, device, budget.pool)
    stepper = _Stepper(model, budget)
    try:
        with seeded("noise", data.name, seed):
            history = _epochs(model, rows, stepper, budget, report or (lambda *_: None), seed)
    finally:
        stepper.release()
    model.eval()
    with seeded("prior", data.name, seed):
        model.fit_prior(rows.seen_train(), rows.conditions["train"])
    return history


def _must_truncate(model: Model, data: Data, steps: int) -> None:
    """Raises: Unsupported where `steps` would cut sequences and the model cannot go on from a state."""
    if not steps or (data.spec.is_sequence and (data.train.shape[1] <= steps or isinstance(model, Stepwise))):
        return
    raise Unsupported(
        f"truncate={steps} reads sequences piece by piece, and {type(model).__name__} on data of shape {data.spec.shape} "
        "has no state to go on from; train it with truncate=0"
    )


def _epochs(model: Model, rows: "_Rows", stepper: "_Stepper", budget: Budget, report: Report, seed: int) -> History:
    history, best, best_loss, start = History(), {}, math.inf, time.perf_counter()
    for epoch in range(1, budget.epochs + 1):
        model.train()
        row = _train_epoch(model, rows, stepper, budget, epoch)
        row |= _validate(model, rows, seed)
        row["seconds"] = history.seconds = time.perf_counter() - start
        history.rows.append(row)
        monitored = row.get("validation_monitor", row["validation_loss"])
        if monitored < best_loss:
            best_loss, history.best_epoch, best = monitored, epoch, copy.deepcopy(model.state_dict())
        report(epoch, budget.epochs, row)
        if epoch - history.best_epoch >= budget.patience:
            break
    if not best:  # no epoch had a validation loss that is a number
        raise Diverged("validation_loss", len(history.rows) * rows.batches, len(history.rows))
    model.load_state_dict(best)
    return history


def _train_epoch(model: Model, rows: "_Rows", stepper: "_Stepper", budget: Budget, epoch: int) -> Row:
    steps = []
    batches = list(rows.minibatches())
    for i, (x, c) in enumerate(batches):
        progress = (epoch - 1 + i / len(batches)) / budget.epochs
        steps.append(stepper.learn(x, c, progress))
    table = _read_back(steps)
    for i, row in enumerate(table):
        _must_be_finite(row, (epoch - 1) * len(batches) + i + 1, epoch)
    means = {f"train_{name}": sum(row[name] for row in table) / len(table) for name in table[0]}
    return {"epoch": epoch, **means}


@torch.no_grad()
def _validate(model: Model, rows: "_Rows", seed: int) -> Row:
    """The variant's own loss as it stands at the end of training, so that epochs under a schedule can be compared."""
    model.eval()
    with seeded("validation", seed):  # the same noise every epoch: what differs is the model
        batches = list(rows.in_order("validation"))
        table = _read_back([model(x, c, 1.0) for x, c in batches])
    weights = [len(x) for x, _ in batches]
    return {
        f"validation_{name}": sum(w * row[name] for w, row in zip(weights, table, strict=True)) / sum(weights)
        for name in table[0]
    }


def _read_back(steps: list[Terms]) -> list[dict[str, float]]:
    """The terms of many steps as Python floats, with one transfer."""
    names = list(steps[0])
    values = torch.stack([torch.stack([terms[name].reshape(()) for name in names]) for terms in steps]).tolist()
    return [dict(zip(names, row, strict=True)) for row in values]


def _must_be_finite(terms: Mapping[str, float], step: int, epoch: int) -> None:
    for name, value in terms.items():
        if not math.isfinite(value):
            raise Diverged(name, step, epoch)


class _Stepper:
    """Adam on the model's parameters, which it lays end to end: one flat tensor for each learning rate.

    Every parameter and its gradient become views of the flat ones. A parameter that two parts share is counted once.
    """

    def __init__(self, model: Model, budget: Budget) -> None:
        by_factor: dict[float, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # fitted after training, or moved by other means
                continue
            by_factor.setdefault(model.lr.get(name.split(".")[0], 1.0), []).append(parameter)
        self.model, self.truncate = model, budget.truncate
        self.clip, self.flat = budget.clip, [_flattened(parameters) for parameters in by_factor.values()]
        groups = [{"params": [p], "lr": budget.learning_rate * f} for f, p in zip(by_factor, self.flat, strict=True)]
        self.adam = torch.optim.Adam(groups, eps=budget.adam_epsilon, fused=True)

    def learn(self, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        """The terms of one minibatch, after a step down its loss; where it is truncated, a step for each piece of it.

        A piece begins in the state that the piece before ended with, and the terms of a minibatch are sums over its pieces
        (Williams & Peng 1990, "truncated back-propagation through time").
        """
        if not self.truncate or x.shape[1] <= self.truncate:
            return self._descend(self.model(x, c, progress))
        carry, total = Carry(), Terms()
        for piece in x.split(self.truncate, 1):
            with carried(carry):
                terms = self.model(piece, c, progress)
            total = {name: value + total.get(name, 0.0) for name, value in self._descend(terms).items()}
        return total

    def _descend(self, terms: Terms) -> Terms:
        self.step(terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of the loss, the gradient's global norm clipped."""
        for p in self.flat:
            cast(Tensor, p.grad).zero_()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.flat, self.clip)
        self.adam.step()

    def release(self) -> None:
        """Give every parameter a tensor of its own again."""
        for p in (p for p in self.model.parameters() if p.requires_grad):
            p.data, p.grad = p.data.clone(), None


def _flattened(parameters: list[nn.Parameter]) -> Tensor:
    """The parameters end to end in one tensor, of which they are views from now on, gradients likewise."""
    flat = torch.cat([p.detach().flatten() for p in parameters])
    flat.grad = torch.zeros_like(flat)
    start = 0
    for p in parameters:
        end = start + p.numel()
        p.data = flat[start:end].view_as(p)
        p.grad = flat.grad[start:end].view_as(p)
        start = end
    return flat


class _Rows:
    """The splits on the device, and the order in which minibatches are drawn from them.

    A minibatch of padded sequences is cut to its own longest row: padding changes no result, only the time it takes.
    """

    def __init__(self, data: Data, batch: int, seed: int, device: torch.device | str, pool: int = 1) -> None:
        self.data, self.batch, self.pool = data, min(batch, len(data.train)), pool
        self.lengths = {name: _lengths(data, name) for name in ("train", "validation")}  # on the CPU: no transfer a step
        self.x = {name: data.split(name).to(device) for name in ("train", "validation")}
        self.conditions = {name: _to(data.condition(name), device) for name in ("train", "validation")}
        self.order, self.pixels = generator_for("order", data.name, seed), generator_for("pixels", data.name, seed)
        if self.x["train"].device.type != "cpu":
            self.pixels = torch.Generator(device).manual_seed(self.pixels.initial_seed())

    @property
    def batches(self) -> int:
        """Minibatches of an epoch."""
        return len(self.data.train) // self.batch

    def minibatches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """One epoch in a new order, rows that do not fill a batch left for another epoch."""
        for rows in self._order():
            x, c = self._rows("train", rows)
            yield self.data.binarised(x, self.pixels), c

    def _order(self) -> list[Tensor]:
        """The rows of each minibatch; of `pool` minibatches at a time, the first gets the shortest sequences, and so on."""
        n, lengths = len(self.data.train), self.lengths["train"]
        order = torch.randperm(n, generator=self.order)[: n // self.batch * self.batch]
        if lengths is None or self.pool == 1:
            return list(order.split(self.batch))
        pools = [part[lengths[part].argsort(stable=True)] for part in order.split(self.pool * self.batch)]
        batches = [rows for part in pools for rows in part.split(self.batch)]
        return [batches[i] for i in torch.randperm(len(batches), generator=self.order)]

    def in_order(self, split: str, size: int = 1000) -> Iterator[tuple[Tensor, Tensor | None]]:
        for rows in torch.arange(len(self.x[split])).split(size):
            yield self._rows(split, rows)

    def _rows(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        lengths, c, here = self.lengths[split], self.conditions[split], rows.to(self.x[split].device)
        x = self.x[split][here] if lengths is None else self.x[split][:, : int(lengths[rows].max())][here]
        return x, None if c is None else c[here]

    def seen_train(self) -> Tensor:
        """The training split as a model sees it, binarised once where it is dynamic."""
        return self.data.binarised(self.x["train"], self.pixels)


def _lengths(data: Data, split: str) -> Tensor | None:
    """The steps of each row, (N,), one at least; None where no row is padded."""
    if not (data.spec.is_sequence and data.spec.has_gaps):
        return None
    return step_mask(data.split(split)).sum(1).clamp_min(1)


def _to(x: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if x is None else x.to(device)
