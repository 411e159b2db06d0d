"""What a figure is drawn from: rows, and what their trials left in files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...manifest import as_listed
from ...records import Damaged, HistoryRecord, arrays_of
from ...store import Store
from ...text import say
from ..catalogue import Catalogue
from ..families import NONE
from ..rows import Row
from .canvas import PAGE

Arrays = dict[str, np.ndarray]


class Curve(NamedTuple):
    """How one trial learned: its validation loss by epoch, and the epoch that was returned to."""

    epochs: list[float]
    losses: list[float]
    best_epoch: int


@dataclass(frozen=True)
class Material:
    """The rows of one data set, or of the whole run, that have a trial that is done.

    `catalogue` says of every column its unit, and which direction is better.
    """

    rows: Sequence[Row]
    store: Store
    catalogue: Catalogue
    dataset: str = ""  # "" for the whole run
    width: float = PAGE  # inches that the figure should be wide
    families: Mapping[str, str] = field(default_factory=dict)  # name of a variant -> its family

    def family(self, row: Row) -> str:
        """The name of the family of a row's variant."""
        return self.families.get(row.trials[0].ingredients.name, NONE.name)

    def arrays(self, name: str) -> list[tuple[str, Arrays]]:
        """(row's name, arrays of figures.safetensors) of the first seed of each row that has the
        array of this name.
        """
        read = ((row.name, self._arrays(row)) for row in self.rows)
        return [(row, arrays) for row, arrays in read if name in arrays]

    def _arrays(self, row: Row) -> Arrays:
        path = self.store.trials / row.done[0].key / "figures.safetensors"
        try:
            return arrays_of(as_listed(path))
        except FileNotFoundError:
            return {}
        except Damaged as why:
            _set_aside(path, str(why))
            return {}

    def curves(self, row: Row) -> list[Curve]:
        """Of every seed, from history.csv."""
        found = []
        for trial in row.done:
            points = self._validation_losses(self.store.trials / trial.key / "history.csv")
            if points is not None:
                epochs = [epoch for epoch, _ in points]
                losses = [loss for _, loss in points]
                found.append(Curve(epochs, losses, trial.best_epoch))
        return found

    def _validation_losses(self, path: Path) -> list[tuple[float, float]] | None:
        """(epoch, loss), or None where the file is missing or damaged."""
        try:
            return HistoryRecord.parsed(as_listed(path)).column("validation_loss")
        except FileNotFoundError:
            return None
        except Damaged as why:
            _set_aside(path, str(why))
            return None


def _set_aside(path: Path, why: str) -> None:
    say(f"{path} is set aside: {why}")
