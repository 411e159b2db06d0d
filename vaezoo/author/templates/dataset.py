"""newcomer: a data set; say here in one sentence what the rows are."""

from collections.abc import Callable

import torch

from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.hooks import hookimpl, tags
from vaezoo.hyperparameters import Count


@tags("image", "binary")
def newcomer(side: Count = 8, rows: Count = 300) -> Data:
    """Black images with one white column. Put your rows here: x (N, *shape) of each split."""
    column = torch.randint(side, (3 * rows,), generator=torch.Generator().manual_seed(0))
    is_white = torch.arange(side) == column[:, None]  # (N, side)
    x = is_white.float()[:, None, None].repeat(1, 1, side, 1)  # (N, 1, side, side)
    train, validation, test = x.split(rows)
    spec = Spec((1, side, side), n_train=rows, classes=side, latent=2, hidden=32)
    card = Card("title", "where it comes from", "its licence", "what was done to it")
    labels = dict(zip(("train", "validation", "test"), column.split(rows), strict=True))
    return Data("newcomer", spec, train, validation, test, card, labels)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [newcomer]
