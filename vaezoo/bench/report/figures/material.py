"""What a figure is drawn from: rows, and what their trials left in files."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...store import Store
from ..catalogue import Catalogue
from ..rows import Row

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

    def arrays(self, name: str) -> list[tuple[str, Arrays]]:
        """(row's name, arrays of figures.safetensors) of the first seed of each row that has the
        array of this name.
        """
        found = [(row.name, self._arrays(row)) for row in self.rows]
        return [(row, arrays) for row, arrays in found if name in arrays]

    def _arrays(self, row: Row) -> Arrays:
        from safetensors.numpy import load_file

        path = self.store.trials / row.done[0].key / "figures.safetensors"
        return load_file(path) if path.is_file() else {}

    def curves(self, row: Row) -> list[Curve]:
        """Of every seed, from history.csv."""
        found = []
        for trial in row.done:
            path = self.store.trials / trial.key / "history.csv"
            if path.is_file():
                with path.open(encoding="utf-8") as file:
                    lines = [line for line in csv.DictReader(file) if line.get("validation_loss")]
                epochs = [float(line["epoch"]) for line in lines]
                losses = [float(line["validation_loss"]) for line in lines]
                found.append(Curve(epochs, losses, trial.best_epoch))
        return found
