"""Three 8×8 digits in the three channels of one image: 1,000 modes, one for each number from 000 to
999.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count
from ...seeds import generator_for, seeded
from ..data import Card, Data, Modes, by_split, named
from .digits import CARD, digits

OTHERS = 1000  # rows of validation and of test


@tags("image", "binary", "modes")
def stacked_digits(rows: Count = 10_000) -> Data:
    """Three of `digits` as the channels of one image, 3×8×8, binarised once.

    Its modes are the 1,000 numbers.
    """
    name = named(stacked_digits, rows=rows)
    single = digits()
    sizes = {"train": rows, "validation": OTHERS, "test": OTHERS}
    x = {s: _stacked(single.split(s), n, name, s) for s, n in sizes.items()}
    return Data(
        name=name,
        spec=Spec((3, 8, 8), "bernoulli", rows, latent=16, hidden=256, network="mlp"),
        card=Card(
            "Stacked digits",
            CARD.source,
            CARD.licence,
            "three digits drawn with replacement, from the same split of `digits`; "
            f"{rows}/{OTHERS}/{OTHERS} rows; modes as a linear classifier sees them, "
            "right on 86 % of single digits; after Metz et al. 2017, arXiv:1611.02163",
        ),
        budget={"epochs": 60, "learning_rate": 2e-3, "patience": 15},
        modes=Modes(1000, 10_000, lambda x: numbers(x), is_strict=False),
        **by_split(x),
    )


def _stacked(single: Tensor, rows: int, *names: object) -> Tensor:
    which = torch.randint(len(single), (rows, 3), generator=generator_for("stacked digits", *names))
    return single[which].squeeze(2)


def numbers(x: Tensor) -> Tensor:
    """(N, 3, 8, 8) -> (N,) in 0 … 999: what a classifier reads, channel by channel."""
    weight, bias = _classifier()
    digit = (x.flatten(2) @ weight.T + bias).argmax(-1)  # (N, 3)
    return digit @ torch.tensor([100, 10, 1])


@cache
def _classifier() -> tuple[Tensor, Tensor]:
    """Weights (10, 64) and bias (10,) of a logistic regression on `digits`, its training split."""
    from sklearn.linear_model import LogisticRegression

    data = digits()
    with seeded("stacked digits", "classifier"):
        fitted = LogisticRegression(max_iter=500, C=0.1).fit(
            data.train.flatten(1).numpy(), data.labels["train"].numpy()
        )
    return torch.tensor(fitted.coef_).float(), torch.tensor(fitted.intercept_).float()


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [stacked_digits]
