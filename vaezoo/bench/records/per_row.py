"""rows.safetensors: a number for each test row, of the columns that are means over test rows."""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .opened import arrays_of
from .parsing import Contradicted, Damaged

ROWS = "rows.safetensors"
ROUNDING = 1e-6  # of float32, relative to the mean of the numbers' sizes


@dataclass(frozen=True)
class RowRecord:
    """Column -> (N,), float32: the numbers of the test rows, of which the trial's is the mean."""

    of_rows: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def parsed(cls, content: bytes, means: Mapping[str, float]) -> "RowRecord":
        """What the file has.

        Raises: Damaged where it is no such file, or its means are not those of the trial.
        """
        found = arrays_of(content)
        for column, each in found.items():
            if each.ndim != 1 or each.dtype != np.float32 or not np.isfinite(each).all():
                raise Damaged(f"its {column} is no list of float32 numbers")
            if not _is_mean(means.get(column, math.nan), each):
                raise Contradicted(f"the mean of its {column} is not the trial's")
        return cls(found)

    def with_newer(
        self, newer: Mapping[str, NDArray[np.float32]], columns: Container[str]
    ) -> "RowRecord":
        """The numbers with `newer` in the place of all that they said of these columns."""
        kept = {name: each for name, each in self.of_rows.items() if name not in columns}
        return RowRecord({**kept, **newer})

    def write(self, folder: Path) -> None:
        """The file in this folder; none where there are no numbers."""
        from safetensors.numpy import save_file

        if self.of_rows:
            save_file(dict(self.of_rows), folder / ROWS)


def _is_mean(mean: float, each: NDArray[np.float32]) -> bool:
    """Whether this is the mean of the numbers, up to their rounding."""
    exact = each.astype(float)
    return bool(abs(exact.mean() - mean) <= ROUNDING * np.abs(exact).mean())
