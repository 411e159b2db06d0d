"""A user's arrays as a data set: split, standardised, with a spec that fits the values."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..core import Spec
from ..distributions import Grid
from ..likelihoods import head
from .checked import LARGE, Checked, checked, where
from .data import SPLITS, Card, Data, by_split
from .files import BadData
from .labels import coded_labels, in_words, unlabelled, words_of
from .long import in_usual_gaps
from .marks import must_be_held, must_hold_no_marks
from .raw import Raw
from .reader import Reader, fitted
from .splits import duplicates, shuffled

Auto = Literal["auto"]
HELD_OUT = 0.15  # of the training rows, for each split that is not given


def own_data(
    raw: Mapping[str, Raw],
    who: str,
    card: Card,
    *,
    likelihood: str = "auto",
    kind: str = "auto",
    gaps: bool = False,
    standardise: bool | Auto = "auto",
    levels: int = 0,
    missing: tuple[float, ...] | None = (),
    channels: str = "auto",
) -> Data:
    """Arrays by split, "train" at least, as they were read -> the data set, with its reader.

    `missing` is the numbers that mark a gap; None where no number does.

    Raises: BadData.
    """
    rows = _in_splits(raw, who, kind, gaps, channels, missing)
    parts = rows.parts
    likelihood = _likelihood(likelihood, parts, standardise)
    moments = _moments(parts, likelihood, standardise, who)
    reader = _reader(raw["train"], parts, moments, missing or (), rows.classes)
    x = _standardised(parts, moments)
    bare = unlabelled(rows.labels, who)
    spec = _spec(x, likelihood, len(rows.classes), levels, bare, who)
    spec = replace(spec, times=in_usual_gaps(raw["train"].times))
    card = _processed(card, parts, reader, rows.labels)
    return assembled(f"arrays[path={who}]", spec, x, card, rows.labels, rows.split_hash, reader)


class _Rows(NamedTuple):
    """All rows in their splits."""

    parts: Checked
    labels: dict[str, Tensor]  # (N,) by split
    classes: tuple[str, ...]
    split_hash: str


def _in_splits(
    raw: Mapping[str, Raw],
    who: str,
    kind: str,
    gaps: bool,
    channels: str,
    missing: tuple[float, ...] | None,
) -> _Rows:
    """The rows as they were read, each value looked at. Raises: BadData."""
    marks = missing or ()
    # what stands at the times of all rows has a gap where a row has none
    may_have_gaps = gaps or bool(raw["train"].times)
    given = checked(raw, who, kind, may_have_gaps, channels, marks)
    must_be_held(marks, raw, who)
    coded, classes = coded_labels(given.labels, who)
    parts, labels, split_hash = split_rows(given, coded, who)
    if parts.kind == "vector" and missing is not None:
        must_hold_no_marks(parts.values["train"], raw["train"], who)
    return _Rows(parts, labels, classes, split_hash)


def assembled(
    name: str,
    spec: Spec,
    x: Mapping[str, Tensor],
    card: Card,
    labels: dict[str, Tensor],
    split_hash: str,
    reader: Reader,
) -> Data:
    """The data set of x (N, *shape) and labels (N,) by split, its repeated rows counted."""
    return Data(
        name=name,
        spec=spec,
        **by_split(x),
        card=card,
        labels=labels,
        split_hash=split_hash,
        duplicates=duplicates(x["train"], x["test"]),
        reader=reader,
    )


def _processed(card: Card, parts: Checked, reader: Reader, coded: Mapping[str, Tensor]) -> Card:
    """The card, with what was done to the values and to the labels."""
    said = [_words(parts, reader), in_words(coded)]
    return replace(card, processing="; ".join(filter(None, said)))


Moments = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation


def _standardised(parts: Checked, moments: Moments) -> dict[str, Tensor]:
    """x by split: the axes stand in their places already, and gaps are NaN."""
    reader = Reader(*moments)
    return {split: reader.read(part) for split, part in parts.values.items()}


def _reader(
    raw: Raw, parts: Checked, moments: Moments, missing: tuple[float, ...], classes: tuple[str, ...]
) -> Reader:
    return Reader(
        *moments,
        names=raw.names,
        missing=missing,
        layout=parts.layout,
        classes=words_of(classes),
        label=raw.label,
        left_out=raw.left_out,
        table=raw.table,
    )


def _words(parts: Checked, reader: Reader) -> str:
    if parts.is_grey and reader.mean == (0.0,):
        return f"{parts.words}; densities are of value/255"
    if not reader.moves_values:
        return parts.words
    one = torch.zeros(1, *parts.values["train"].shape[1:])
    nats = float(reader.log_jacobian(one))
    return (
        f"{parts.words}; standardised with the training split's mean and deviation: densities in "
        f"tables are of that, and of the values as given {nats:+.4g} nats a complete x more"
    )


def split_rows(
    given: Checked, coded: dict[str, Tensor], who: str
) -> tuple[Checked, dict[str, Tensor], str]:
    """All three splits, those that are not given taken from the training rows by a seeded
    permutation; their labels; and the SHA-256 of the indices, "" where all were given.
    """
    train = given.values["train"]
    lacking = [split for split in SPLITS if split not in given.values]
    if not lacking:
        return given, coded, ""
    rows = len(train)
    if rows <= len(lacking):
        raise BadData(
            f"{who} has {rows} row{'s' * (rows > 1)} for training; "
            f"at least {len(lacking) + 1} are needed, one a split"
        )
    n = max(1, round(HELD_OUT * rows))
    n_validation = n * ("validation" in lacking)
    n_test = n * ("test" in lacking)
    y = coded.get("train")
    indices = shuffled(rows, n_validation, n_test, "arrays", rows, labels=y)

    # what was given stays, but for the training rows that moved
    taken = ("train", *lacking)
    values = given.values | {split: train[indices.split(split)] for split in taken}
    labels = coded if y is None else coded | {split: y[indices.split(split)] for split in taken}
    share = f"{HELD_OUT:.0%} of the rows for each split that was not given, by a fixed seed"
    parts = replace(given, values=values, words=f"{given.words}; {share}")
    return parts, labels, indices.sha256


def _moments(parts: Checked, likelihood: str, standardise: bool | Auto, who: str) -> Moments:
    """Mean 0 and deviation 1 for each column of vectors and channel of sequences (all pixels of an
    image together), where that is asked for, or where real values of a table are in units of
    their own.
    """
    train = parts.values["train"]
    is_table = parts.kind != "image"
    if standardise is True or (standardise == "auto" and is_table and _is_real(train, likelihood)):
        return fitted(train, not is_table)
    if parts.is_grey:
        return (0.0,), (255.0,)
    largest = float(train.double().abs().nan_to_num().max())
    if not is_table and standardise == "auto" and largest > LARGE and _is_real(train, likelihood):
        raise BadData(
            f"{who} has images with values up to {largest:g} that are no bytes; divide them or "
            "save them as uint8, or say standardise=true, or standardise=false to train on them"
        )
    return (0.0,), (1.0,)


def _is_real(train: Tensor, likelihood: str) -> bool:
    """Whether the likelihood is a density of any real numbers."""
    of_one = head(Spec(tuple(train.shape[1:]), likelihood))
    return not of_one.is_discrete and bool(of_one.holds(torch.tensor([-1.5, 2.5])).all())


def _present(x: Iterable[Tensor]) -> Tensor:
    """All entries that are not NaN, (n,)."""
    return torch.cat([part[~part.isnan()] for part in x])


def _likelihood(asked: str, parts: Checked, standardise: bool | Auto) -> str:
    if asked != "auto":
        return asked
    if standardise is True:
        return "normal"
    values = parts.values.values()
    are_bits = all(bool(((x == 0) | (x == 1) | x.isnan()).all()) for x in values)
    return "bernoulli" if are_bits else "normal"


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


def _spec(
    x: Mapping[str, Tensor], likelihood: str, classes: int, levels: int, unlabelled: int, who: str
) -> Spec:
    """What fits x. Raises: BadData where x is nothing that the likelihood takes."""
    shape = tuple(x["train"].shape[1:])
    spec = Spec(
        shape,
        likelihood,
        len(x["train"]),
        classes=classes,
        unlabelled=unlabelled,
        has_gaps=any(bool(part.isnan().any()) for part in x.values()),
        levels=_levels_of(x.values(), levels),
    )
    _must_be_supported(x, spec, who)
    if spec.is_sequence:
        return replace(spec, network="rnn")
    is_large = spec.is_image and min(shape[1:]) >= 28
    return replace(spec, network="conv" if is_large else "mlp")
