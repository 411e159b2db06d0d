"""Any data set with entries taken away at random, and the truth kept to judge what is put in their place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ..hooks import hookimpl, tags
from ..hyperparameters import Fraction
from ..seeds import generator_for
from .data import SPLITS, Data, named
from .files import BadData, Files

Mechanism = Literal["mcar", "mnar"]


@tags("missing", "derived")
def holes(files: Files, of: str = "digits", missing: Fraction = 0.3, mechanism: Mechanism = "mcar") -> Data:
    """Another data set with a share of its entries missing everywhere: by chance (mcar), or rather where x is large (mnar).

    Raises: BadData for data that is binarised anew in every minibatch.
    """
    from ..registry import load  # the registry loads this module

    source = load().choose_datasets(of)[0].load(files)
    if source.spec.is_dynamic:
        raise BadData(f"holes need fixed values, and {of} is binarised anew in every minibatch; take its static form")
    name = named(holes, of=of, missing=missing, mechanism=mechanism)
    x = {split: _cut(source, split, missing, mechanism, name) for split in SPLITS}
    words = {"mcar": "each entry by chance", "mnar": "by chance, in proportion to σ((x - mean)/deviation)"}[mechanism]
    card = replace(
        source.card, processing=f"{source.card.processing}; then {missing:.0%} of the entries taken away, {words}"
    )
    return replace(
        source,
        name=name,
        spec=replace(source.spec, has_gaps=True),
        card=card,
        exact=None,
        truth={split: source.split(split) for split in SPLITS},
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
    )


def _cut(source: Data, split: str, missing: float, mechanism: str, name: str) -> Tensor:
    """A split with NaN where an entry is taken away."""
    x = source.split(split)
    chance = torch.full_like(x, missing) if mechanism == "mcar" else _by_value(x, source.train, missing)
    gone = torch.rand(x.shape, generator=generator_for("holes", name, split)) < chance
    return torch.where(gone, torch.nan, x)


def _by_value(x: Tensor, train: Tensor, missing: float) -> Tensor:
    """The chance that each entry is taken away: rising with its own value, `missing` in the mean over the training split."""
    seen = train[~train.isnan()]
    centre, width = seen.mean(), seen.std().clamp_min(1e-6)
    weight = torch.sigmoid((seen - centre) / width).mean()
    return (missing * torch.sigmoid((x - centre) / width) / weight).clamp_max(1)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [holes]
