"""One seed's part in a stack, and the tensors that all seeds share."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...core import Model
from ..adam import FlatAdam
from ..budget import Budget, Diverged, EpochLog
from ..descent import by_factor
from ..minibatches import Minibatches
from ..resume import Bookmark, Course

Report = Callable[[int, int, EpochLog], None]
Slot = tuple[str, int, int, torch.Size]  # of a parameter in its row: name, start, end, shape


@dataclass
class Seat:
    """A seed that is trained with others: its model in place, its curve through `report`."""

    model: Model
    seed: int
    report: Report = lambda *_: None
    bookmark: Bookmark | None = None
    failed: Diverged | None = None
    course: Course = field(init=False)  # from where training begins
    rows: Minibatches = field(init=False)

    def is_open(self, budget: Budget) -> bool:
        """Whether it is to be trained on."""
        return self.failed is None and not self.course.is_over(budget)


class Stack:
    """The weights of all seats, (S, P) for each learning rate, of which those of the models are
    views; likewise buffers, (S, *shape), and Adam's moments. Places without a seat repeat the
    first, and stay as they are; that of a seat that has failed repeats one that has not.
    """

    def __init__(self, seats: Sequence[Seat], places: int, budget: Budget) -> None:
        self.seats = seats
        self.places = places
        # What `functional_call` gives other weights. It is nobody's model: where two parts are one
        # module, it leaves a tensor of vmap behind.
        self.skeleton = copy.deepcopy(seats[0].model)
        self.slots: list[list[Slot]] = []
        self.flat: list[Tensor] = []  # (S, P) of each rate
        rates = []
        for factor, parameters in by_factor(self.skeleton).items():
            rates.append(budget.learning_rate * factor)
            self._lay_out(factor, parameters)
        self.gradients = [torch.zeros_like(flat) for flat in self.flat]
        self.held = {name: self._held(name) for name, _ in _held_by(self.skeleton)}
        self.optimizers = [self._optimizer(s, rates, budget) for s in range(len(seats))]

    def _lay_out(self, factor: float, parameters: Sequence[nn.Parameter]) -> None:
        names = {p: name for name, p in self.skeleton.named_parameters()}
        slots = []
        start = 0
        for p in parameters:
            slots.append((names[p], start, start + p.numel(), p.shape))
            start += p.numel()
        own = [by_factor(seat.model)[factor] for seat in self.seats]
        rows = [torch.cat([p.detach().flatten() for p in each]) for each in own]
        flat = torch.stack(_filled_up(rows, self.places))
        for s, each in enumerate(own):
            for p, (_, start, end, shape) in zip(each, slots, strict=True):
                p.data = flat[s, start:end].view(shape)
        self.slots.append(slots)
        self.flat.append(flat)

    def _held(self, name: str) -> Tensor:
        own = [dict(_held_by(seat.model))[name] for seat in self.seats]
        stacked = torch.stack(_filled_up([one.detach() for one in own], self.places))
        for s, tensor in enumerate(own):
            tensor.data = stacked[s]
        return stacked

    def _optimizer(self, s: int, rates: Sequence[float], budget: Budget) -> FlatAdam:
        rows = [flat[s] for flat in self.flat]
        for row, gradient in zip(rows, self.gradients, strict=True):
            row.grad = gradient[s]
        return FlatAdam(rows, rates, budget.adam_epsilon)

    def parameters_of(self, rows: Sequence[Tensor]) -> dict[str, Tensor]:
        """Name -> parameter, of one place's rows (P,)."""
        found = {}
        for row, slots in zip(rows, self.slots, strict=True):
            for name, start, end, shape in slots:
                found[name] = row[start:end].view(shape)
        return found

    @torch.no_grad()
    def repeat(self, s: int, into: int) -> None:
        """The weights and buffers of place s in another place too."""
        for stacked in (*self.flat, *self.held.values()):
            stacked[into] = stacked[s]

    def release(self) -> None:
        """Give every model tensors of its own again."""
        for seat in self.seats:
            for tensor in (*seat.model.parameters(), *seat.model.buffers()):
                tensor.data = tensor.data.clone()


def _held_by(model: Model) -> Iterator[tuple[str, Tensor]]:
    """What Adam does not move: buffers, and parameters that are moved by other means."""
    yield from model.named_buffers()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            yield name, parameter


def _filled_up(found: list[Tensor], places: int) -> list[Tensor]:
    return found + [found[0]] * (places - len(found))
