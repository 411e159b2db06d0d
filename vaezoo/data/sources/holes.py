"""Any data set with entries taken away at random, and the truth kept to judge what is put in their
place.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ...hooks import hookimpl, tags
from ...hyperparameters import Fraction
from ...seeds import generator_for
from ..data import SPLITS, Data, by_split, named
from ..files import BadData

Mechanism = Literal["mcar", "mnar"]


@tags("missing", "derived")
def holes(
    load: Callable[[str], Data],
    of: str = "digits",
    missing: Fraction = 0.3,
    mechanism: Mechanism = "mcar",
) -> Data:
    """Another data set with a share of its entries missing everywhere.

    Each goes by chance (mcar), or rather where x is large (mnar). `load` gives the data of a name.

    Raises: BadData for data that is binarised anew in every minibatch, and where nothing would be
    left.
    """
    if missing == 1:
        raise BadData("holes[missing=1] would take every entry away; missing= is a share below 1")
    source = load(of)
    if source.reader is not None and source.reader.columns:
        raise BadData(
            f"{of} is a table of mixed columns, whose words take several entries each; the metric "
            "`cells` hides and fills its cells"
        )
    if source.spec.is_dynamic:
        raise BadData(
            f"holes need fixed values, and {of} is binarised anew in every minibatch; "
            "take its static form"
        )
    name = named(holes, of=of, missing=missing, mechanism=mechanism)
    x = {split: _cut(source, split, missing, mechanism, name) for split in SPLITS}
    for split in SPLITS:
        if source.split(split) is source.train:  # the same rows lack the same entries
            x[split] = x["train"]
    words = {"mcar": "each entry by chance", "mnar": "by chance σ(a + (x - mean)/deviation)"}[
        mechanism
    ]
    card = replace(
        source.card,
        processing=f"{source.card.processing}; "
        f"then {missing:.0%} of the entries taken away, {words}",
    )
    return replace(
        source,
        name=name,
        spec=replace(source.spec, has_gaps=True),
        card=card,
        exact=None,
        truth={split: source.split(split) for split in SPLITS},
        **by_split(x),
    )


def _cut(source: Data, split: str, missing: float, mechanism: str, name: str) -> Tensor:
    """A split with NaN where an entry is taken away. A row that would lose all keeps one: an x of
    nothing is no x.
    """
    x = source.split(split)
    if mechanism == "mcar" or not missing:
        chance = torch.full_like(x, missing)
    else:
        chance = _by_value(x, source.train, missing)
    draws = torch.rand(x.shape, generator=generator_for("holes", name, split))
    gone = draws < chance

    # of a row that would lose all, the entry with the largest draw stays
    last = draws.masked_fill(x.isnan(), -1).flatten(1).argmax(1)  # (N,)
    is_last = F.one_hot(last, x[0].numel()).bool().view_as(x)
    emptied = (gone | x.isnan()).flatten(1).all(1).view(-1, *[1] * (x.ndim - 1))
    return torch.where(gone & ~(emptied & is_last), torch.nan, x)


def _by_value(x: Tensor, train: Tensor, missing: float) -> Tensor:
    """σ(a + (x - mean)/deviation), the chance that an entry is taken away; a makes it `missing` in
    the mean over train.
    """
    seen = train[~train.isnan()].double()
    centre = seen.mean()
    width = seen.std().clamp_min(1e-6)
    steep = (seen - centre) / width
    low = -100.0
    high = 100.0
    for _ in range(60):  # bisection: the mean rises with a
        a = (low + high) / 2
        low, high = (a, high) if torch.sigmoid(a + steep).mean() < missing else (low, a)
    return torch.sigmoid(a + (x - centre) / width).to(x)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [holes]
