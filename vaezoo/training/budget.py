"""What a training costs and what it leaves: the budget, the learning curves, and the word for a
loss that is no number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from .schedules import Schedule

FLOAT32 = "float32"
BF16 = "bf16"  # training multiplies in bfloat16, see `networks.in_bf16`; evaluation never does
PRECISIONS = (FLOAT32, BF16)
Optimizer = Literal["adam", "adamax"]
EpochLog = dict[str, float]  # one epoch: "epoch", "seconds", "train_<term>" and "validation_<term>"


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Budget:
    """What every variant gets. The validation split chooses the epoch; the test split is not looked
    at.
    """

    epochs: Annotated[int, Field(ge=1, le=10**9)] = 100
    batch: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    # epochs without a better validation loss after which training stops
    patience: Annotated[int, Field(ge=1)] = 20
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        100.0  # limit of the gradient's global norm
    )
    adam_epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        1e-8  # Burda et al. 2016 use 1e-4; Adamax's too
    )
    # minibatches of padded sequences that are filled together, by length; 1: by chance
    pool: Annotated[int, Field(ge=1)] = 1
    truncate: Annotated[int, Field(ge=0)] = 0  # steps that a gradient goes back through; 0: all
    # minibatches of an epoch, however many rows there are; 0: one pass over them
    steps: Annotated[int, Field(ge=0)] = 0
    schedule: Schedule = "constant"  # of the learning rate
    optimizer: Optimizer = "adam"
    # epochs over which the weight of KL rises from 0 to 1; 0: it is 1 throughout
    warmup: Annotated[int, Field(ge=0)] = 0
    # norm of the gradient, before it is clipped, from which on a step is not taken; 0: all are
    skip: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


# Fields that came after trials had been published. At these values they are in no key, so that the
# keys of those trials stay what they are.
LATER: dict[str, Any] = {
    "steps": 0,
    "schedule": "constant",
    "optimizer": "adam",
    "warmup": 0,
    "skip": 0.0,
}
SKIPPED = "skipped_updates"  # the term that counts them, where there may be any


def stated(budget: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a budget that a key is made of."""
    return {name: value for name, value in budget.items() if LATER.get(name, ...) != value}


class Diverged(ArithmeticError):
    """A term became NaN or infinite."""

    def __init__(self, term: str, step: int, epoch: int) -> None:
        super().__init__(f"{term} was not finite at step {step} (epoch {epoch})")
        self.term = term
        self.step = step
        self.epoch = epoch


@dataclass
class History:
    """The learning curves, and which epoch the model came back to."""

    rows: list[EpochLog] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0  # spent in training, validation included

    @property
    def skipped(self) -> float | None:
        """Steps that were not taken, over all epochs; None where every step was to be."""
        found = [row[f"train_{SKIPPED}"] for row in self.rows if f"train_{SKIPPED}" in row]
        return sum(found) if found else None
