"""A user's own data: arrays or a table in a file, checked value by value before any training
starts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...core import Spec
from ...distributions import Grid
from ...hooks import hookimpl, tags
from ...likelihoods import head
from ..checked import Checked, checked, where
from ..data import SPLITS, Card, Data, by_split, named
from ..files import BadData
from ..reading import read_columns
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
    parts = checked(read_columns(Path(path).expanduser()), path, kind, gaps)
    split_hash = ""
    if len(parts.x) < len(SPLITS):
        parts, split_hash = _split(parts, path)
    if standardise:
        parts = _standardised(parts)
    coded, classes = _coded(parts.labels, path)
    spec = _spec(parts.x, likelihood, classes, levels)
    _must_be_supported(parts.x, spec, path)

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
        **by_split(parts.x),
        card=Card(Path(path).name, f"the user's file {path}", "the user's own", parts.words),
        labels=coded,
        split_hash=split_hash,
        duplicates=duplicates(parts.x["train"], parts.x["test"]),
    )


def _split(given: Checked, who: str) -> tuple[Checked, str]:
    """All three splits, those that are not given taken from the training rows by a seeded
    permutation; and the SHA-256 of the indices.
    """
    train = given.x["train"]
    lacking = [split for split in SPLITS if split not in given.x]
    rows = len(train)
    if rows <= len(lacking):
        raise BadData(
            f"{who} has {rows} row{'s' * (rows > 1)} for training; "
            f"at least {len(lacking) + 1} are needed, one a split"
        )
    n = max(1, round(HELD_OUT * rows))
    n_validation = n * ("validation" in lacking)
    n_test = n * ("test" in lacking)
    y = given.labels["train"]
    indices = shuffled(rows, n_validation, n_test, "arrays", rows, labels=y)

    # what was given stays, but for the training rows that moved
    taken = ("train", *lacking)
    x = given.x | {split: train[indices.split(split)] for split in taken}
    labels = given.labels | {
        split: None if y is None else y[indices.split(split)] for split in taken
    }
    share = f"{HELD_OUT:.0%} of the rows for each split that was not given, by a fixed seed"
    return Checked(x, labels, f"{given.words}; {share}"), indices.sha256


def _standardised(given: Checked) -> Checked:
    """Mean 0 and deviation 1 for each column of vectors and channel of sequences (all pixels of an
    image together).
    """
    train = given.x["train"].double()
    seen = train.flatten()[:, None] if train.ndim == 4 else train.flatten(0, -2)  # (n, columns)
    mean = seen.nanmean(0)
    deviation = (seen - mean).square().nanmean(0).sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    x = {split: ((part.double() - mean) / deviation).float() for split, part in given.x.items()}
    words = "standardised with the training split's mean and deviation: densities are of that"
    return replace(given, x=x, words=f"{given.words}; {words}")


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
                f"{who} ({split}) has {value:g} {where(outside)}; "
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
    parts = codes.split([len(given[s]) for s in SPLITS])
    return dict(zip(SPLITS, parts, strict=True)), len(values)


def _spec(x: Mapping[str, Tensor], likelihood: str, classes: int, levels: int) -> Spec:
    shape = tuple(x["train"].shape[1:])
    spec = Spec(
        shape,
        _likelihood(x) if likelihood == "auto" else likelihood,
        len(x["train"]),
        classes=classes,
        has_gaps=any(bool(part.isnan().any()) for part in x.values()),
        levels=_levels_of(x.values(), levels),
    )
    if spec.is_sequence:
        return replace(spec, network="rnn")
    is_large = spec.is_image and min(shape[1:]) >= 28
    return replace(spec, network="conv" if is_large else "mlp")


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [arrays]
