"""Two labelled data sets side by side: a row of one, and a row of the other of the same class."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ...core import Spec, View
from ...hooks import hookimpl, tags
from ...hyperparameters import Fraction
from ...seeds import generator_for
from ..data import SPLITS, Card, Data, by_split, named
from ..files import BadData


@tags("views", "labelled", "derived")
def paired(
    load: Callable[[str], Data], of: str = "digits", beside: str = "digits", missing: Fraction = 0.0
) -> Data:
    """Each row of a labelled data set with a row of another of the same class, as two views.

    By a fixed seed, within each split: all rows of `of`, the rows of a class of `beside` about
    equally often. Of `missing` of the training rows one view is taken away, either by chance.
    `load` gives the data of a name.

    Raises: BadData for two data sets that do not fit together.
    """
    first = load(of)
    second = load(beside)
    _must_fit(first, second)
    name = named(paired, of=of, beside=beside, missing=missing)
    rows = {split: _partners(first, second, split, name) for split in SPLITS}
    spec = _spec(first, second)
    x = {split: _side_by_side(first, second, split, rows[split], spec.shape) for split in SPLITS}
    x["train"] = _with_gaps(x["train"], spec.views[0].size, missing, name)
    return Data(
        name=name,
        spec=spec,
        card=_card(first, second, missing),
        labels=first.labels,
        budget=first.budget,
        split_hash=_hash(first, second, rows),
        **by_split(x),
    )


def _spec(first: Data, second: Data) -> Spec:
    """That of the first, for both views, and as wide as either asks for."""
    one = first.spec
    other = second.spec
    shape = _shape(one, other)
    return replace(
        one,
        shape=shape,
        latent=max(one.latent, other.latent),
        hidden=max(one.hidden, other.hidden),
        network=one.network if len(shape) == 3 else "mlp",
        has_gaps=True,
        views=_views(first, second),
    )


def _side_by_side(
    first: Data, second: Data, split: str, rows: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """x (N, *shape) of a split, each row with the row of `second` that `rows` (N,) names."""
    others = second.split(split)[rows]
    sides = first.split(split).flatten(1), others.flatten(1)
    return torch.cat(sides, 1).unflatten(1, shape)


def _must_fit(first: Data, second: Data) -> None:
    for data in (first, second):
        if not data.labels or data.spec.unlabelled:
            raise BadData(f"paired needs a label for every row, and {data.name} has none for some")
        if data.spec.is_sequence or data.spec.views:
            raise BadData(
                f"paired takes vectors and images; {data.name} has sequences, or views already"
            )
    one, other = first.spec, second.spec
    for field in ("likelihood", "classes", "is_dynamic", "levels"):
        if getattr(one, field) != getattr(other, field):
            raise BadData(
                f"paired has one likelihood for both views, and classes that are the same: "
                f"{field} is {getattr(one, field)} in {first.name} and {getattr(other, field)} in "
                f"{second.name}"
            )
    for split in SPLITS:
        lacking = set(first.labels[split].tolist()) - set(second.labels[split].tolist())
        if lacking:
            raise BadData(
                f"{second.name} ({split}) has no row of the classes {sorted(lacking)}, which "
                f"{first.name} has"
            )


def _partners(first: Data, second: Data, split: str, name: str) -> Tensor:
    """(N,): for each row of `first` the row of `second` that stands beside it.

    The rows of a class are permuted on both sides and gone through in circles; one more on the
    other side, so that of the same data no row stands beside itself.
    """
    g = generator_for("paired", name, split)
    y = first.labels[split]
    found = torch.empty(len(y), dtype=torch.int64)
    for label in y.unique():
        rows = (y == label).nonzero().squeeze(1)
        others = (second.labels[split] == label).nonzero().squeeze(1)
        if second.name == first.name and len(rows) == 1:
            raise BadData(
                f"{first.name} ({split}) has one row of the class {int(label)}, which has no other "
                "to stand beside"
            )
        order = torch.randperm(len(rows), generator=g)
        if second.name != first.name:
            others = others[torch.randperm(len(others), generator=g)]
            found[rows[order]] = others[torch.arange(len(rows)) % len(others)]
        else:
            found[rows[order]] = others[order.roll(1)]
    return found


def _views(first: Data, second: Data) -> tuple[View, View]:
    """Called as the data sets are, without options."""
    one, other = (data.name.partition("[")[0] for data in (first, second))
    return (
        View(one, first.spec.shape),
        View(other if other != one else f"other {other}", second.spec.shape),
    )


def _shape(one: Spec, other: Spec) -> tuple[int, ...]:
    """Images of one size are channels of one image; anything else is flattened."""
    if one.is_image and other.is_image and one.shape[1:] == other.shape[1:]:
        return (one.shape[0] + other.shape[0], *one.shape[1:])
    return (one.size + other.size,)


def _with_gaps(x: Tensor, width: int, missing: float, name: str) -> Tensor:
    """x (N, *shape), the first `width` entries or the others NaN in a share of the rows."""
    if not missing:
        return x
    g = generator_for("paired", name, "missing")
    is_poor = torch.rand(len(x), generator=g) < missing
    lacks_first = torch.rand(len(x), generator=g) < 0.5
    flat = x.flatten(1).clone()
    flat[is_poor & lacks_first, :width] = torch.nan
    flat[is_poor & ~lacks_first, width:] = torch.nan
    return flat.view_as(x)


def _card(first: Data, second: Data, missing: float) -> Card:
    words = f"of each training row in {missing:.0%} one view taken away" if missing else ""
    processing = [
        f"{first.name}: {first.card.processing}",
        f"{second.name}: {second.card.processing}",
        "paired by class within each split, by a fixed seed",
    ]
    licences = dict.fromkeys([first.card.licence, second.card.licence])
    sources = dict.fromkeys([first.card.source, second.card.source])
    return Card(
        f"{first.card.title}, beside {second.card.title}",
        "; ".join(sources),
        "; ".join(licences),
        "; ".join([*processing, *([words] if words else [])]),
    )


def _hash(first: Data, second: Data, rows: Mapping[str, Tensor]) -> str:
    h = hashlib.sha256(f"{first.split_hash}:{second.split_hash}:".encode())
    for split in SPLITS:
        h.update(rows[split].numpy().astype("<i8").tobytes())
    return h.hexdigest()


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [paired]
