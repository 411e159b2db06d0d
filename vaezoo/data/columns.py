"""One column of a mixed table: there and back between its values and the entries of x.

A value is a number; of a column of words the place of its word in `words`, from 0 on. A gap is NaN,
in all entries that the column takes. Numbers are standardised, amounts too, by their logarithms; a
count is divided by a power of two, so that x is of the size of 1 and the count comes back exactly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..columns import WORDED, Kind
from .files import BadData

LARGEST_SCALE = 2**16
LARGEST_COUNT = 2**24  # beyond it float32 does not tell counts apart


@dataclass(frozen=True)
class Column:
    """A column with what was fitted to its training rows."""

    name: str
    type: str  # one of `columns.TYPES`
    words: tuple[str, ...] = ()  # of yes or no, categories and ordinals, in the order of the codes
    mean: float = 0.0  # of a number, of the logarithm of an amount
    deviation: float = 1.0  # the same; of a count the scale

    def __post_init__(self) -> None:
        try:
            kind = self.kind
        except (ValueError, OverflowError) as error:
            raise BadData(f"the column {self.name!r}: {error}") from None
        wanted = 2 if kind.type == "yesno" else kind.size
        if kind.type in WORDED and len(self.words) != wanted:
            raise BadData(f"the column {self.name!r} of type {kind.type} has two words")
        if len(set(self.words)) < len(self.words):
            raise BadData(f"the column {self.name!r} has a word twice")
        if not (math.isfinite(self.mean) and 0 < self.deviation < math.inf):
            raise BadData(f"the column {self.name!r} has a mean or a deviation that cannot be")

    @property
    def kind(self) -> Kind:
        """What a likelihood knows of it. Raises: ValueError."""
        if self.type == "count":
            return Kind("count", int(self.deviation))
        return Kind(self.type, len(self.words) if self.type in ("category", "ordinal") else 0)

    @property
    def is_density(self) -> bool:
        """Whether its law is a density, of which units matter."""
        return self.type in ("number", "amount")

    def fitted(self, values: Tensor) -> "Column":
        """With mean and deviation or scale of training values (N,), float64, those that are there.
        A column of one value keeps deviation 1.
        """
        seen = values[~values.isnan()]
        if self.type == "count":
            size = float(seen.square().mean().sqrt()) if len(seen) else 1.0
            power = round(math.log2(min(max(size, 1.0), LARGEST_SCALE)))
            return replace(self, deviation=float(2**power))
        if not self.is_density or not len(seen):
            return self
        if self.type == "amount":
            seen = seen.log()
        mean = float(seen.mean())
        deviation = float((seen - mean).square().mean().sqrt())
        is_constant = deviation <= 1e-12 * abs(mean)
        return replace(self, mean=mean, deviation=1.0 if is_constant else deviation)

    def read(self, values: Tensor) -> Tensor:
        """(N,) float64 -> (N, width) float64.

        Raises: BadData where an amount is not above 0, or a count is none.
        """
        self.must_hold(values)
        gaps = values.isnan()[:, None]
        if self.type == "number":
            return ((values - self.mean) / self.deviation)[:, None]
        if self.type == "amount":
            return ((values.log() - self.mean) / self.deviation)[:, None]
        if self.type == "count":
            return (values / self.deviation)[:, None]
        codes = values.nan_to_num().long()
        if self.type == "category":
            entries = F.one_hot(codes, len(self.words)).double()
        else:  # one entry less than words: 1 for each that the word is beyond
            entries = (codes[:, None] > torch.arange(len(self.words) - 1)).double()
        return entries.masked_fill(gaps, torch.nan)

    def back(self, x: Tensor) -> Tensor:
        """(N, width) -> (N,) float64: of means the word with the largest probability, of an ordinal
        the median, of an amount e to the mean of its logarithm, and whole counts.
        """
        x = x.double()
        if self.type == "number":
            return x[:, 0] * self.deviation + self.mean
        if self.type == "amount":
            return (x[:, 0] * self.deviation + self.mean).exp()
        if self.type == "count":
            return (x[:, 0] * self.deviation).round().clamp_min(0)
        gaps = x.isnan().any(1)
        codes = x.argmax(1) if self.type == "category" else (x > 0.5).sum(1)
        return codes.double().masked_fill(gaps, torch.nan)

    def log_jacobian(self, x: Tensor) -> Tensor:
        """log |dx/dvalue| of (N, width), 0 for a gap and for words and counts, which have
        probabilities: (N,) float64.
        """
        if not self.is_density:
            return torch.zeros(len(x), dtype=torch.float64, device=x.device)
        entry = x[:, 0].double()
        each = torch.full_like(entry, -math.log(self.deviation))
        if self.type == "amount":
            each = each - (entry * self.deviation + self.mean)
        return torch.where(entry.isnan(), 0.0, each)

    def must_hold(self, values: Tensor, who: str = "the column") -> None:
        """Raises: BadData where values (N,) are none of its type."""
        if self.type == "number":
            return
        bad, needs = self._outside(values)
        if bad.any():
            row = int(bad.int().argmax())
            raise BadData(
                f"{who} {self.name!r} of type {self.type} has {values[row].item():g} in row {row} "
                f"(counted from 0); expected {needs}"
            )

    def _outside(self, values: Tensor) -> tuple[Tensor, str]:
        if self.type == "amount":
            return values <= 0, "numbers above 0"
        bad = (values < 0) | (values != values.round()) & ~values.isnan()
        if self.type == "count":
            return bad | (values > LARGEST_COUNT), f"the counts 0, 1, 2, … up to {LARGEST_COUNT:,}"
        most = len(self.words) - 1
        return bad | (values > most), f"the codes 0 … {most} of its words"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Column":
        """Raises: BadData, TypeError."""
        return cls(**{**values, "words": tuple(values.get("words", ()))})
