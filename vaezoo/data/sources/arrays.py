"""A user's own data: arrays or a table in a file, checked value by value before any training
starts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...core import Spec
from ...distributions import Grid
from ...hooks import hookimpl, tags
from ...likelihoods import head
from ..data import SPLITS, Card, Data, named
from ..files import BadData
from ..reading import Raw, read_columns
from ..splits import duplicates, shuffled

Kind = Literal["auto", "vector", "image", "sequence"]
Levels = Annotated[int, Field(ge=0)]
HELD_OUT = 0.15  # of the training rows, for each split that is not given


@tags("user")
def arrays(
    path: str,
    likelihood: str = "auto",
    kind: Kind = "auto",
    gaps: bool = False,
    standardise: bool = False,
    levels: Levels = 0,
) -> Data:
    """Your own data from .npy, .npz, .csv or .parquet.

    `gaps` allows NaN, for padding and missing entries. `levels` is how many values an entry can
    take, for likelihoods on levels; 0 reads it from the data.

    Raises: MissingData, BadData.
    """
    raw = read_columns(Path(path).expanduser())
    x, labels, words = _values(raw, path, kind, gaps)
    split_hash = ""
    if len(x) < 3:
        x, labels, split_hash = _split(x, labels, path)
        words += f"; {HELD_OUT:.0%} of the rows for each split that was not given, by a fixed seed"
    if standardise:
        x = _standardised(x)
        words = (
            words
            + "; standardised with the training split's mean and deviation: densities are of that"
        )
    chosen = _likelihood(x) if likelihood == "auto" else likelihood
    coded, classes = _coded(labels, path)
    spec = _spec(x, chosen, classes, _levels_of(x.values(), levels))
    _must_be_supported(x, spec, path)
    name = named(
        arrays,
        path=path,
        likelihood=likelihood,
        kind=kind,
        gaps=gaps,
        standardise=standardise,
        levels=levels,
    )
    return Data(
        name=name,
        spec=spec,
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        card=Card(Path(path).name, f"the user's file {path}", "the user's own", words),
        labels=coded,
        split_hash=split_hash,
        duplicates=duplicates(x["train"], x["test"]),
    )


def _values(
    raw: Mapping[str, Raw], who: str, kind: str, gaps: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor | None], str]:
    """x (N, *shape), float32, and the labels, by split; and what was done, in words."""
    for split, part in raw.items():
        _must_be_numbers(part.x, f"{who} ({split})")
        _must_be_rows(part, f"{who} ({split})")
    is_bytes = all(part.x.dtype == np.uint8 for part in raw.values())
    chosen = _kind(raw["train"], kind, is_bytes, gaps, who)
    highest = max(part.x.max() for part in raw.values())
    scale, words = (
        (255.0, "value/255")
        if is_bytes and chosen == "image" and highest > 1
        else (1.0, "values as given")
    )
    x = {split: _shaped(_float32(part.x) / scale, chosen, who) for split, part in raw.items()}
    for split, part in raw.items():
        _must_be_finite(x[split], part, f"{who} ({split})", gaps)
        if x[split].shape[1:] != x["train"].shape[1:]:
            found = tuple(x[split].shape[1:])
            wanted = tuple(x["train"].shape[1:])
            remedy = (
                "; pad with NaN to one length and say gaps=true" if chosen == "sequence" else ""
            )
            raise BadData(f"{who}: one x of {split} has shape {found}, of train {wanted}{remedy}")
    labels = {s: _checked_labels(part, f"{who} ({s})") for s, part in raw.items()}
    return x, labels, f"{words}, read as {chosen}s"


def _float32(x: np.ndarray) -> Tensor:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return torch.from_numpy(x.astype(np.float32))


def _must_be_numbers(x: np.ndarray, who: str) -> None:
    if x.dtype.kind not in "biuf":
        raise BadData(
            f"{who} is of type {x.dtype}; expected real numbers: float, int, uint8 or bool"
        )


def _must_be_rows(part: Raw, who: str) -> None:
    shape = part.x.shape
    if len(shape) not in (2, 3, 4):
        raise BadData(
            f"{who} has shape {shape}; expected (N, D) vectors, (N, T, C) sequences, (N, H, "
            "W) or (N, C, H, W) images"
        )
    if not shape[0]:
        raise BadData(f"{who} has no rows: its shape is {shape}")
    if not part.x.size:
        raise BadData(
            f"{who} holds x of no numbers (a sequence of length 0?): its shape is {shape}"
        )


def _kind(raw: Raw, kind: str, is_bytes: bool, gaps: bool, who: str) -> str:
    """What the axes mean: said by the user, or plain from shape and type."""
    dims = raw.x.ndim
    fitting = {2: ("vector",), 3: ("sequence", "image"), 4: ("image",)}[dims]
    if kind != "auto" and (kind not in fitting or (raw.is_sequence and kind != "sequence")):
        raise BadData(
            f"{who} has shape {raw.x.shape}, which is no set of {kind}s; "
            f"it can be {' or '.join(fitting)}"
        )
    if kind != "auto" or dims != 3:
        return fitting[0] if kind == "auto" else kind
    if raw.is_sequence or gaps:
        return "sequence"
    if is_bytes:
        return "image"
    raise BadData(
        f"{who} has shape {raw.x.shape}: (N, T, C) sequences or (N, H, "
        "W) images? say kind=sequence or kind=image"
    )


def _shaped(x: Tensor, kind: str, who: str) -> Tensor:
    if kind == "image" and x.ndim == 4 and x.shape[1] > 4 and x.shape[3] <= 4:
        raise BadData(
            f"{who} has shape {tuple(x.shape)}, with the channels last; expected (N, C, H, W)"
        )
    return x[:, None] if kind == "image" and x.ndim == 3 else x


def _must_be_finite(x: Tensor, raw: Raw, who: str, may_have_gaps: bool) -> None:
    if x.isinf().any():
        raise BadData(
            f"{who} has an infinite value (or one too large for float32) "
            f"{_where(x.isinf(), raw.ids)}"
        )
    empty = x.flatten(1).isnan().all(1)
    if empty.any():
        raise BadData(
            f"{who}: {_row(int(empty.int().argmax()), raw.ids)} is all NaN, an x of length 0; "
            "leave it out"
        )
    gaps = x.isnan()
    if raw.lengths is not None:  # behind the end of a sequence of a list there is padding
        gaps &= (torch.arange(x.shape[1]) < torch.from_numpy(raw.lengths)[:, None])[..., None]
    if gaps.any() and not may_have_gaps:
        raise BadData(
            f"{who} has NaN {_where(gaps, raw.ids)}; fill or remove it, "
            "or say gaps=true if it marks padding or a gap"
        )


AXES = {1: (), 2: ("column",), 3: ("step", "channel"), 4: ("channel", "line", "column")}


def _where(bad: Tensor, ids: tuple[object, ...] = ()) -> str:
    """The place of the first bad entry, such as "in row 3, column 2"."""
    row, *place = bad.nonzero()[0].tolist()
    inside = [f"{axis} {i}" for axis, i in zip(AXES[bad.ndim], place, strict=True)]
    return f"in {', '.join([_row(row, ids), *inside])} (counted from 0)"


def _row(i: int, ids: tuple[object, ...]) -> str:
    return f"the sequence of id {ids[i]}" if ids else f"row {i}"


def _checked_labels(part: Raw, who: str) -> Tensor | None:
    if part.labels is None:
        return None
    y = np.asarray(part.labels)
    if y.shape != part.x.shape[:1]:
        raise BadData(
            f"{who} has {len(part.x)} rows and labels of shape {y.shape}; expected one label a row"
        )
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == y.round()).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "biu":
        raise BadData(f"{who} has labels of type {y.dtype}; expected whole numbers")
    return torch.from_numpy(y.astype(np.int64))


def _split(
    x: dict[str, Tensor], labels: dict[str, Tensor | None], who: str
) -> tuple[dict[str, Tensor], dict[str, Tensor | None], str]:
    """The splits that are not given, taken from the training rows by a seeded permutation."""
    rows = len(x["train"])
    lacking = [split for split in SPLITS if split not in x]
    if rows <= len(lacking):
        raise BadData(
            f"{who} has {rows} row{'s' * (rows > 1)} for training; "
            f"at least {len(lacking) + 1} are needed, one a split"
        )
    n = max(1, round(HELD_OUT * rows))
    parts = shuffled(
        rows,
        n * ("validation" in lacking),
        n * ("test" in lacking),
        "arrays",
        rows,
        labels=labels["train"],
    )
    y = labels["train"]
    new_y: dict[str, Tensor | None] = dict.fromkeys(SPLITS) if y is None else {**parts.of(y)}
    taken = ("train", *lacking)
    return (
        x | {split: part for split, part in parts.of(x["train"]).items() if split in taken},
        labels | {split: part for split, part in new_y.items() if split in taken},
        parts.sha256,
    )


def _standardised(x: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean 0 and deviation 1 for each column of vectors and channel of sequences (all pixels of an
    image together).
    """
    train = x["train"].double()
    seen = train.flatten()[:, None] if train.ndim == 4 else train.flatten(0, -2)
    mean = seen.nanmean(0)
    deviation = (seen - mean).square().nanmean(0).sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return {split: ((part.double() - mean) / deviation).float() for split, part in x.items()}


def _present(x: Iterable[Tensor]) -> Tensor:
    """All entries that are not NaN, (n,)."""
    return torch.cat([part[~part.isnan()] for part in x])


def _likelihood(x: Mapping[str, Tensor]) -> str:
    values = _present(x.values())
    return "bernoulli" if ((values == 0) | (values == 1)).all() else "normal"


def _must_be_supported(x: Mapping[str, Tensor], spec: Spec, who: str) -> None:
    likelihood = head(spec)
    for split, part in x.items():
        outside = ~likelihood.holds(part)
        if outside.any():
            value = part[tuple(outside.nonzero()[0])].item()
            at = f"with levels={spec.levels}" if isinstance(likelihood.support, Grid) else ""
            raise BadData(
                f"{who} ({split}) has {value:g} {_where(outside)}; "
                f"likelihood={spec.likelihood} needs {likelihood.values} {at}".rstrip()
            )


def _levels_of(x: Iterable[Tensor], levels: int) -> int:
    """The levels that were asked for, else the fewest on whose grid all values lie; 256 where there
    are none, or where bytes were read.
    """
    if levels:
        return levels
    values = _present(x).unique()
    steps = values.diff()
    if len(steps) == 0 or values[0] < 0 or values[-1] > 1:
        return 256
    found = round(1 / float(steps.min())) + 1
    fits = 2 <= found <= 65_536 and bool(Grid(found).check(values).all())
    is_bytes = bool(Grid(256).check(values).all())
    return found if fits and not is_bytes else 256


def _coded(labels: Mapping[str, Tensor | None], who: str) -> tuple[dict[str, Tensor], int]:
    """The labels as 0 … classes-1, in their order, and how many classes there are."""
    given = {split: y for split, y in labels.items() if y is not None}
    if not given:
        return {}, 0
    if len(given) < len(SPLITS):
        raise BadData(
            f"{who} has labels for {', '.join(given)} only; give them for every split or for none"
        )
    values, codes = torch.cat([given[s] for s in SPLITS]).unique(return_inverse=True)
    return dict(zip(SPLITS, codes.split([len(given[s]) for s in SPLITS]), strict=True)), len(values)


def _spec(x: Mapping[str, Tensor], likelihood: str, classes: int, levels: int) -> Spec:
    shape = tuple(x["train"].shape[1:])
    has_gaps = any(bool(part.isnan().any()) for part in x.values())
    spec = Spec(
        shape, likelihood, len(x["train"]), classes=classes, has_gaps=has_gaps, levels=levels
    )
    network = (
        "rnn" if spec.is_sequence else "conv" if spec.is_image and min(shape[1:]) >= 28 else "mlp"
    )
    return replace(spec, network=network)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [arrays]
