"""The training of a stack: the seats that are open go through each epoch together.

A seat that has stopped early, has diverged, or has been kept at a later epoch than the others, is
frozen: its weights, moments, buffers and generators stay. So each seat's course is the one that it
has alone.
"""

import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ...core import Model, Terms
from ...data.data import Data
from ...seeds import seed_for
from ..budget import FLOAT32, Budget, Diverged, EpochLog, History
from ..descent import weight_at
from ..minibatches import Minibatches
from ..resume import Bookmark, Course
from ..schedules import FACTORS
from ..start import start
from ..training import (
    back_to_best,
    epoch_row,
    finish,
    mean_of,
    must_be_finite,
    must_train_in,
    note,
    set_mode,
)
from .graphs import Captured
from .reasons import must_be_stackable
from .seats import Report, Seat, Stack
from .steps import Generators, Steps

Table = list[list[dict[str, float]]]  # seat -> step -> term -> value


def fit_stacked(
    model: Model,
    data: Data,
    *,
    seed: int,
    places: int,
    beside: Sequence[Seat] = (),
    budget: Budget,
    report: Report = lambda *_: None,
    device: torch.device | str = "cpu",
    precision: str = FLOAT32,
    bookmark: Bookmark | None = None,
) -> History:
    """`fit` of a model in a stack of so many places; others are trained `beside` it, and their ends
    kept in their bookmarks.

    Raises: as `fit`, for this model alone.
    """
    own = Seat(model, seed, report, bookmark)
    train_stack([own, *beside], data, places, budget, device=device, precision=precision)
    if own.failed:
        raise own.failed
    finish(model, data, own.rows, seed)
    return own.course.history


def train_stack(
    seats: Sequence[Seat],
    data: Data,
    places: int,
    budget: Budget,
    *,
    device: torch.device | str = "cpu",
    precision: str = FLOAT32,
) -> None:
    """Trains the models of all seats in place, each back at its best epoch; `failed` says which
    have none.

    Raises: Unsupported for a model that is not trained in a stack, or not with this `precision`;
    BadData.
    """
    first = seats[0].model
    must_train_in(precision, first)
    must_be_stackable(first, data.spec, budget)
    data.must_be_sound("train", "validation")
    data.must_fit(first)
    rows = Minibatches(data, budget.batch, seats[0].seed, device, budget.pool, budget.steps)
    for seat in seats:
        seat.model.to(device)
        seat.model.data_reader = data.reader
        seat.rows = rows.of_seed(seat.seed)
        start(seat.model, rows.x["train"], rows.conditions["train"], rows.batch, seat.seed)
    stack = Stack(seats, places, budget)
    try:
        _Training(stack, data, budget, precision).go()
    finally:
        stack.release()


class _Training:
    """What goes on from epoch to epoch."""

    def __init__(self, stack: Stack, data: Data, budget: Budget, precision: str) -> None:
        self.stack = stack
        self.seats = stack.seats
        self.budget = budget
        self.device = self.seats[0].rows.x["train"].device
        self.noise = [self._generator("noise", data.identity, seat.seed) for seat in self.seats]
        self.spare = [self._generator("spare", s) for s in range(stack.places)]
        self.steps = Steps(stack, budget, precision)
        self.captured: Captured | None = None
        self.frozen = torch.zeros(stack.places, dtype=torch.float32, device=self.device)
        for seat, moments, noise in zip(self.seats, stack.optimizers, self.noise, strict=True):
            seat.course = Course(seat.model, seat.rows, moments.moments, noise)

    def _generator(self, *names: object) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed_for(*names))

    def go(self) -> None:
        """Until no seat is open."""
        for seat in self.seats:
            if seat.bookmark:
                seat.bookmark.take_up(seat.course)
            for row in seat.course.history.rows:  # of an earlier call
                seat.report(int(row["epoch"]), self.budget.epochs, row)
        while open_ones := [seat for seat in self.seats if seat.is_open(self.budget)]:
            epoch = min(seat.course.epoch for seat in open_ones)
            self._epoch([seat for seat in open_ones if seat.course.epoch == epoch], epoch + 1)
        for seat in self.seats:
            self._end(seat)

    def _end(self, seat: Seat) -> None:
        try:
            if not seat.failed:
                back_to_best(seat.course)
        except Diverged as error:
            seat.failed = error

    def _epoch(self, active: Sequence[Seat], epoch: int) -> None:
        """One more of the seats that stand at it."""
        begin = time.perf_counter()
        at = [s for s, seat in enumerate(self.seats) if seat in active]
        rows = self._trained(at, epoch)
        going_on = [s for s in at if not self.seats[s].failed]
        self._fill_up(set(at) - set(going_on))
        for s, judged in zip(going_on, self._judged(going_on), strict=True):
            rows[s] |= judged
        each = (time.perf_counter() - begin) / len(at)  # seconds
        for s in going_on:
            self._note(self.seats[s], rows[s], each)

    def _fill_up(self, failed: Iterable[int]) -> None:
        """Their places repeat a seat that has not failed. Of weights that are NaN a factorisation
        or a draw would raise, at the cost of all seats.
        """
        sound = [s for s, seat in self._numbered() if not seat.failed]
        for s in failed if sound else ():
            self.stack.repeat(sound[0], s)

    def _note(self, seat: Seat, row: EpochLog, seconds: float) -> None:
        course = seat.course
        note(course, row)
        course.history.seconds += seconds
        row["seconds"] = course.history.seconds
        if seat.bookmark:
            seat.bookmark.keep(course, course.is_over(self.budget))
        seat.report(course.epoch, self.budget.epochs, row)

    def _trained(self, at: Sequence[int], epoch: int) -> dict[int, EpochLog]:
        """Place -> the means of its terms over an epoch; a place that diverged has failed."""
        set_mode(self.stack.skeleton, is_training=True)
        self.frozen.fill_(1.0)
        self.frozen[list(at)] = 0.0
        count = self.seats[0].rows.batches
        found = []
        for i, (x, c) in enumerate(self._minibatches(at)):
            found.append(self._learn(x, c, (epoch - 1 + i / count) / self.budget.epochs, at))
        rows = {}
        for s, table in enumerate(_read_back(found, len(self.seats))):
            if s in at:
                rows[s] = self._means(s, table, epoch)
        return rows

    def _means(self, s: int, table: list[dict[str, float]], epoch: int) -> EpochLog:
        try:
            for i, row in enumerate(table):
                must_be_finite(row, (epoch - 1) * len(table) + i + 1, epoch)
        except Diverged as error:
            self.seats[s].failed = error
        return epoch_row(epoch, table)

    def _learn(self, x: Tensor, c: Tensor | None, progress: float, at: Sequence[int]) -> Terms:
        scale = FACTORS[self.budget.schedule](progress)
        factor = torch.tensor(scale, dtype=torch.float32, device=self.device)
        weight = weight_at(progress, self.budget)
        # A graph has its generators for good, and one of a seat that waits must stand still.
        is_whole = all(s in at or not seat.is_open(self.budget) for s, seat in self._numbered())
        if self.device.type == "cuda" and is_whole and weight == 1:
            self.captured = self.captured or Captured(
                self.steps, self._drawing(range(len(self.seats)))
            )
            return self.captured.learn(x, c, progress, factor, self.frozen)
        return self.steps.learn(x, c, progress, factor, self.frozen, self._drawing(at), weight)

    def _numbered(self) -> Iterator[tuple[int, Seat]]:
        return enumerate(self.seats)

    def _drawing(self, at: Sequence[int]) -> Generators:
        """What each place draws from: one that is frozen in vain."""
        return [self.noise[s] if s in at else self.spare[s] for s in range(self.stack.places)]

    def _minibatches(self, at: Sequence[int]) -> Iterator[tuple[Tensor, Tensor | None]]:
        """(S, B, *shape) and conditions (S, B, C), each place's in its own order; a frozen one sees
        what the first does that is not.
        """
        for batches in zip(*[self.seats[s].rows.minibatches() for s in at], strict=True):
            own = dict(zip(at, batches, strict=True))
            each = [own.get(s, batches[0]) for s in range(self.stack.places)]
            labels = [c for _, c in each if c is not None]
            yield torch.stack([x for x, _ in each]), torch.stack(labels) if labels else None

    def _judged(self, at: Sequence[int]) -> list[EpochLog]:
        """The terms of the validation split, of each of these places."""
        if not at:
            return []
        set_mode(self.stack.skeleton, is_training=False)
        generators = list(self.spare)
        for s in at:  # the same noise every epoch
            generators[s] = self._generator("validation", self.seats[s].seed)
        batches = list(self.seats[0].rows.in_order("validation"))
        found = [self.steps.judge(x, c, generators) for x, c in batches]
        weights = [len(x) for x, _ in batches]
        tables = _read_back(found, len(self.seats))
        return [_weighted(tables[s], weights) for s in at]


def _weighted(table: list[dict[str, float]], weights: Sequence[int]) -> EpochLog:
    return {f"validation_{name}": mean_of(name, table, weights) for name in table[0]}


def _read_back(steps: Sequence[Terms], seats: int) -> Table:
    """The terms of many steps as Python floats, with one transfer."""
    names = list(steps[0])
    flat = torch.stack([torch.stack([terms[name] for name in names]) for terms in steps])
    by_seat = flat[:, :, :seats].permute(2, 0, 1).tolist()  # (seats, steps, names)
    return [[dict(zip(names, row, strict=True)) for row in table] for table in by_seat]
