"""Pairs of sprites that differ in few factors, which nobody names: weak supervision of factors.

Locatello et al. 2020, arXiv:2002.02886, §5: k of the five factors are drawn anew, the others are
shared.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count
from ...seeds import generator_for
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words
from .sprites import FACTORS, SIDE, render

VALUES = torch.tensor(list(FACTORS.values()))


@tags("image", "binary", "generated", "labelled", "factors")
def sprite_pairs(
    rows: Count = 4608, changed: Annotated[int, Field(ge=1, le=len(FACTORS))] = 1
) -> Data:
    """Pairs of sprites in two channels, 2×32×32: `changed` of five factors are drawn anew.

    Labels and factors are those of the first sprite.
    """
    name = named(sprite_pairs, rows=rows, changed=changed)
    factors = {s: drawn_factors(n, changed, name, s) for s, n in sizes(rows).items()}
    x = {s: _rendered(pair) for s, pair in factors.items()}
    return Data(
        name=name,
        spec=Spec(
            (2, SIDE, SIDE),
            "bernoulli",
            rows,
            classes=FACTORS["shape"],
            latent=8,
            hidden=256,
            network="conv",
        ),
        card=Card(
            "Pairs of sprites",
            f"{GENERATED}; Locatello et al. 2020, arXiv:2002.02886, §5, on vaezoo's sprites",
            LICENCE,
            f"factors of the first sprite uniform, {changed} of five drawn anew for the second; "
            f"{sizes_in_words(rows)}",
            ("a factor that is drawn anew may keep its value",),
        ),
        labels={s: pair[:, 0, 0] for s, pair in factors.items()},
        factors={s: pair[:, 0] for s, pair in factors.items()},
        budget={"epochs": 60, "patience": 10},
        **by_split(x),
    )


def drawn_factors(rows: int, changed: int, name: str, split: str) -> Tensor:
    """(N, 2, 5): of both sprites of each pair."""
    generator = generator_for("sprite pairs", name, split)
    first = _uniform(rows, generator)
    order = torch.rand(rows, len(FACTORS), generator=generator).argsort(1)
    second = torch.where(order < changed, _uniform(rows, generator), first)
    return torch.stack([first, second], 1)


def _uniform(rows: int, generator: torch.Generator) -> Tensor:
    """(N, 5)."""
    return (torch.rand(rows, len(FACTORS), generator=generator) * VALUES).long()


def _rendered(factors: Tensor) -> Tensor:
    """(N, 2, 5) -> (N, 2, 32, 32); small pieces stay in the processor's cache."""
    images = torch.cat([render(some) for some in factors.flatten(0, 1).split(64)])
    return images.reshape(-1, 2, SIDE, SIDE)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [sprite_pairs]
