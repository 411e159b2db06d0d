"""There and back between the values of a user's file and x as a model reads it.

x = (value - mean) / deviation, for each column of a vector, channel of a sequence or an image, or
with one number for all. It is computed in float64 before anything is cast: of times in seconds
since 1970 float32 keeps two minutes. A model carries the reader of the data that it was trained on,
and a checkpoint holds it as JSON.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..columns import text_of
from ..core import Spec
from .columns import Column
from .files import BadData

ROWS = 1000  # read at a time: float64 takes eight times the memory of bytes

# How the axes of an image stand in the user's values: as in x, without channels, channels last.
LAYOUTS = ("", "HW", "HWC")


@dataclass(frozen=True)
class Reader:
    """What was done to the values of a file, so that it can be done again and undone."""

    mean: tuple[float, ...] = (0.0,)  # one for all, or one a column or channel
    deviation: tuple[float, ...] = (1.0,)  # the same; 255 for bytes
    names: tuple[str, ...] = ()  # of the columns of a table, in the order of x
    missing: tuple[float, ...] = ()  # values that mark a gap, such as -999
    layout: str = ""  # of images, see LAYOUTS
    classes: tuple[str, ...] = ()  # what the labels 0, 1, … are called
    label: str = ""  # the column that holds them
    left_out: tuple[str, ...] = ()  # columns of the table that are not x
    table: Mapping[str, str] = field(default_factory=dict)  # how a text is read: separator …
    # of a mixed table, in the order of its values; mean and deviation are then theirs
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.mean, *self.deviation)):
            raise BadData("the mean and the deviation of a reader must be finite")
        if not all(value > 0 for value in self.deviation):
            raise BadData("the deviation of a reader must be above 0")
        if self.layout not in LAYOUTS:
            raise BadData(f"a reader's layout is one of {LAYOUTS}, not {self.layout!r}")

    @property
    def moves_values(self) -> bool:
        """Whether x differs from the values."""
        return any(self.mean) or any(value != 1 for value in self.deviation) or bool(self.columns)

    @property
    def likelihood(self) -> str:
        """Of a mixed table, as a spec names it."""
        return f"mixed[columns={text_of(column.kind for column in self.columns)}]"

    def entries(self) -> list[tuple[Column, slice]]:
        """The columns of a mixed table, and which entries of x each takes."""
        found = []
        start = 0
        for column in self.columns:
            stop = start + column.kind.width
            found.append((column, slice(start, stop)))
            start = stop
        return found

    def order_of(self, other: "Reader", who: str) -> list[int]:
        """The places of this reader's columns among another's; none where they stand alike or
        have no names.

        Raises: BadData where the other has columns of another name, or of words.
        """
        if other.columns:
            raise BadData(
                f"{who} is a table of mixed columns, and this model reads numbers; name the file "
                "by arrays[path=…]"
            )
        if not self.names or not other.names or self.names == other.names:
            return []
        must_name_alike(other.names, self.names, who)
        return [other.names.index(name) for name in self.names]

    def read(self, values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Values as they stand in a file, (N, …) -> x (N, *shape)."""
        if self.columns:
            pairs = zip(self.columns, values.double().T, strict=True)
            return torch.cat([column.read(each) for column, each in pairs], 1).to(dtype)
        placed = self.placed(values)
        pieces = [self._standard(piece).to(dtype) for piece in placed.split(ROWS)]
        return torch.cat(pieces) if pieces else placed.to(dtype)

    def back(self, x: Tensor) -> Tensor:
        """x (N, *shape) -> values as they stand in a file, (N, …), float64; codes of words."""
        if self.columns:
            return torch.stack([column.back(x[:, at]) for column, at in self.entries()], 1)
        mean, deviation = self._of_axes(x)
        values = x.double() * deviation + mean
        if self.layout == "HW":
            return values[:, 0]  # (N, 1, H, W) -> (N, H, W)
        return values.movedim(1, -1) if self.layout == "HWC" else values

    def log_jacobian(self, x: Tensor) -> Tensor:
        """log |dx/dvalue|, summed over the entries of x (N, *shape) that are there: (N,), float64.

        log p(value) = log p(x) + log |dx/dvalue|, of a density; a probability has none.
        """
        if self.columns:
            of_columns = [column.log_jacobian(x[:, at]) for column, at in self.entries()]
            return torch.stack(of_columns).sum(0)
        _, deviation = self._of_axes(x)
        each = -deviation.log().expand(x.shape)
        return torch.where(x.isnan(), 0.0, each).flatten(1).sum(1)

    def is_gap(self, values: Tensor) -> Tensor:
        """Which values mark a gap, as NaN does."""
        gaps = values.isnan()
        for mark in self.missing:
            gaps = gaps | (values == mark)
        return gaps

    def placed(self, values: Tensor) -> Tensor:
        """The values with the axes of x, NaN where one of the marks of a gap stands."""
        if self.layout == "HW":
            values = values[:, None]  # (N, H, W) -> (N, 1, H, W)
        if self.layout == "HWC":
            values = values.movedim(-1, 1)  # (N, H, W, C) -> (N, C, H, W)
        if not self.missing:
            return values
        return values.double().masked_fill(self.is_gap(values), torch.nan)

    def _standard(self, values: Tensor) -> Tensor:
        mean, deviation = self._of_axes(values)
        return (values.double() - mean) / deviation

    def _of_axes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation, float64, as they broadcast against x (N, *shape)."""
        mean = torch.tensor(self.mean, dtype=torch.float64, device=x.device)
        deviation = torch.tensor(self.deviation, dtype=torch.float64, device=x.device)
        if x.ndim == 4:  # a channel each, before the two axes of an image
            return mean[:, None, None], deviation[:, None, None]
        return mean, deviation

    def must_suit(self, spec: Spec, who: str) -> None:
        """Raises: BadData where it is not for x of this spec."""
        if self.columns:
            return self._must_suit_columns(spec, who)
        columns = spec.shape[0] if spec.is_image else spec.shape[-1]
        for name in ("mean", "deviation", "names"):
            found = len(getattr(self, name))
            if found not in (1, columns) and not (name == "names" and found == 0):
                raise BadData(
                    f"{who} has a reader with {found} of {name}, "
                    f"and x has {columns} columns: expected 1 or {columns}"
                )

    def _must_suit_columns(self, spec: Spec, who: str) -> None:
        width = sum(column.kind.width for column in self.columns)
        names = tuple(column.name for column in self.columns)
        if spec.shape != (width,) or names != self.names:
            raise BadData(
                f"{who} has a reader of columns that take {width} entries, and x has shape "
                f"{spec.shape}"
            )

    def as_json(self) -> dict[str, Any]:
        """What differs from the defaults: lists, strings and numbers."""
        plain = asdict(self)
        usual = asdict(Reader())
        return {name: value for name, value in plain.items() if value != usual[name]}

    @property
    def sha256(self) -> str:
        """Of what it does to values and of its names; how a text was laid out is no part of it."""
        said = {name: value for name, value in self.as_json().items() if name != "table"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Reader":
        """Raises: BadData where it is no reader, or one of a later version."""
        unknown = values.keys() - {each.name for each in fields(cls)}
        if unknown:
            raise BadData(f"a reader has fields unknown here: {', '.join(sorted(unknown))}")
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()
        }
        try:
            plain["columns"] = tuple(map(Column.from_json, plain.get("columns", ())))
            return cls(**plain)
        except (TypeError, ValueError) as error:
            raise BadData(f"a reader that cannot be read ({error})") from None


def fitted(train: Tensor, is_image: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each column or channel of the training values (N, *shape), those that
    are there; all pixels of an image together. A column of one value keeps deviation 1.

    Raises: BadData where they are beyond float64.
    """
    values = train.double()
    seen = values.flatten()[:, None] if is_image else values.flatten(0, -2)  # (n, columns)
    mean = seen.nanmean(0).nan_to_num()
    centred = seen - mean
    deviation = centred.square().nanmean(0).sqrt().nan_to_num()
    # rounding alone gives a constant 0.1 a deviation of 10⁻¹⁷
    is_constant = deviation <= 1e-12 * mean.abs()
    deviation = torch.where(is_constant, 1.0, deviation)
    if not (mean.isfinite().all() and deviation.isfinite().all()):
        raise BadData("the training values are too large to be standardised")
    return tuple(mean.tolist()), tuple(deviation.tolist())


def must_name_alike(names: Sequence[str], trained_on: Sequence[str], who: str) -> None:
    """Raises: BadData where columns are lacking, or others are there."""
    lacking = [name for name in trained_on if name not in names]
    strange = [name for name in names if name not in trained_on]
    if not lacking and not strange:
        return
    words = [f"lacks {', '.join(lacking)}"] if lacking else []
    words += [f"has {', '.join(strange)}"] if strange else []
    raise BadData(f"{who} {' and '.join(words)}; this model was trained on {', '.join(trained_on)}")
