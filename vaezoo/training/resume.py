"""Where a training stands between two epochs, and the file that a long one keeps it in: after a
kill the same call goes on from there, and gives the weights that it would have given, to the bit.

All that a training changes is in it: parameters and buffers (the contract knows no other state of a
model), the optimiser's moments, the generators of noise, order and pixels, the learning curve, and
the best weights so far. A training shorter than a minute writes nothing.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..core import Model
from ..data import sealed
from ..registry.guard import own_version
from .budget import Budget, History
from .checkpoint import unshared
from .minibatches import Minibatches

EVERY = 60.0  # seconds of training from one state that is kept to the next

Json = dict[str, Any]


@dataclass
class Course:
    """A training and what it has come to after some epochs."""

    model: Model
    rows: Minibatches
    moments: Sequence[Mapping[str, Tensor]]  # of the optimiser, by the tensors that it moves
    noise: torch.Generator | None = None  # what the model draws from; None: torch's own
    history: History = field(default_factory=History)
    best: dict[str, Tensor] = field(default_factory=dict)  # the weights of the best epoch
    best_loss: float = math.inf

    @property
    def epoch(self) -> int:
        """The last one that has ended; 0 at the start."""
        return len(self.history.rows)

    def is_over(self, budget: Budget) -> bool:
        """Whether it has come to the limit of epochs, or waited in vain for a better one."""
        waited = self.epoch - self.history.best_epoch
        return self.epoch >= budget.epochs or waited >= budget.patience

    def state(self) -> tuple[dict[str, Tensor], Json]:
        """Tensors, on the CPU, and the rest, as JSON has it."""
        best, shared = unshared(self.best)
        tensors = {f"model.{name}": tensor for name, tensor in self.own()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        tensors |= {f"generator.{name}": get() for name, (get, _) in self._generators().items()}
        tensors |= {f"adam.{name}": tensor for name, tensor in self.named_moments()}
        facts = {"history": asdict(self.history), "best_loss": self.best_loss, "shared": shared}
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}, facts

    @torch.no_grad()
    def go_on_from(self, tensors: Mapping[str, Tensor], facts: Json) -> None:
        """Puts everything where it was; the model has the shapes that it had."""
        for name, tensor in self.own():
            tensor.copy_(tensors[f"model.{name}"])
        for name, (_, put) in self._generators().items():
            put(tensors[f"generator.{name}"])

        for name, moment in self.named_moments():
            moment.copy_(tensors[f"adam.{name}"])

        best = dict(_under("best", tensors))
        self.best = best | {name: best[first] for name, first in facts["shared"].items()}
        self.best_loss = facts["best_loss"]
        self.history = History(**facts["history"])

    def own(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers, each once, those among them that no checkpoint has."""
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

    def named_moments(self) -> Iterator[tuple[str, Tensor]]:
        """The optimiser's state, by the tensors in which it lays the parameters out."""
        for i, moments in enumerate(self.moments):
            for name, moment in moments.items():
                yield f"{i}.{name}", moment

    def _generators(self) -> dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]]:
        """Name -> how its state is read and how it is set."""
        order = self.rows.order
        pixels = self.rows.pixels
        found: dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]] = {
            "order": (order.get_state, order.set_state),
            "pixels": (pixels.get_state, pixels.set_state),
        }
        if self.noise is not None:
            return found | {"noise": (self.noise.get_state, self.noise.set_state)}
        found["noise"] = (torch.get_rng_state, torch.set_rng_state)
        device = self.rows.x["train"].device
        if device.type == "cuda":
            found["noise_cuda"] = (
                lambda: torch.cuda.get_rng_state(device),
                lambda state: torch.cuda.set_rng_state(state, device),
            )
        return found


def _under(kind: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if name.startswith(f"{kind}."):
            yield name.removeprefix(f"{kind}."), tensor


def _shapes(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors}


class Bookmark:
    """The file `path` with the state of the one training that `identity` names: its key, or all
    that its numbers depend on. `say` is told in a sentence what happens to it.

    Of `beside` trainings that share the time each counts its part of it; the end of each is kept
    however short it was, since another process takes it up.
    """

    def __init__(
        self,
        path: Path,
        identity: Json,
        say: Callable[[str], object] = print,
        beside: int = 1,
    ) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))  # as it will be read
        self.say = say
        self.beside = beside
        self.seconds = 0.0  # of training before it was taken up again
        self.last = 0.0  # seconds of training when the file was written
        self.pause = 1.0  # in `EVERY`: a large state is written more seldom

    def take_up(self, course: Course) -> None:
        """Goes on from the file, where there is one and it is of this training."""
        if not self.path.exists():
            return
        found = sealed.read(self.path)
        why = "it is damaged" if found is None else self._why_not(course, *found)
        if found is None or why:
            return self._told(f"{self.path.name} is ignored, and training starts anew: {why}")
        course.go_on_from(found[0], json.loads(found[1])["facts"])
        self.seconds = course.history.seconds
        self.last = self.seconds
        self._told(f"training goes on after epoch {course.epoch}")

    def _why_not(self, course: Course, tensors: Mapping[str, Tensor], about: str) -> str:
        """Why the file is not of this training here, in a few words; "" where it is."""
        said = json.loads(about)["identity"]
        here = self._identity(course)
        for name in sorted(said.keys() | here.keys()):
            if said.get(name) != here.get(name):
                return f"its {name} is {said.get(name)}, here it is {here.get(name)}"
        if _shapes(_under("model", tensors)) != _shapes(course.own()):
            return "its tensors are not those of this model"
        if _shapes(_under("adam", tensors)) != _shapes(course.named_moments()):
            return "another version laid its optimiser out"
        return ""

    def _identity(self, course: Course) -> Json:
        """What the file must be of: this training, by this program, on a device of this kind."""
        device = course.rows.x["train"].device
        is_cuda = device.type == "cuda"
        return self.identity | {
            "vaezoo": own_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device)
            if is_cuda
            else f"{device.type} {torch.backends.cpu.get_cpu_capability()}",
        }

    def keep(self, course: Course, is_over: bool) -> None:
        """Writes the file where it is due: some time after it was last written, and when a long
        training is over, for a kill during its evaluation.
        """
        seconds = course.history.seconds
        due = EVERY if is_over else self.last + EVERY * self.pause
        if seconds * self.beside < due and not (is_over and self.beside > 1):
            return
        start = time.monotonic()
        tensors, facts = course.state()
        about = json.dumps({"identity": self._identity(course), "facts": facts})
        try:
            sealed.write(self.path, tensors, about)
        except (OSError, SafetensorError) as error:
            self._told(f"{self.path.name} cannot be written, and training goes on: {error}")
        self.last = seconds
        self.pause = max(1.0, time.monotonic() - start)

    def remove(self) -> None:
        """The training is done with."""
        self.path.unlink(missing_ok=True)

    def _told(self, sentence: str) -> None:
        self.say(f"vaezoo: {sentence}")
