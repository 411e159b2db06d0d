"""Images of one vertical stripe."""

import torch

from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.hooks import hookimpl, tags
from vaezoo.hyperparameters import Count


@tags("image", "binary")
def stripes(side: Count = 8, rows: Count = 300) -> Data:
    """Black images with one white column."""
    column = torch.randint(side, (3 * rows,), generator=torch.Generator().manual_seed(0))
    x = (torch.arange(side) == column[:, None]).float()[:, None, None].expand(-1, 1, side, side).clone()
    card = Card("Stripes", "docs/write-a-part.md", "MIT", "generated; three splits of equal size")
    spec = Spec((1, side, side), n_train=rows, classes=side, latent=2, hidden=32)
    train, validation, test = x.split(rows)
    labels = dict(zip(("train", "validation", "test"), column.split(rows)))
    return Data(f"stripes[side={side}]", spec, train, validation, test, card, labels)


@hookimpl
def vaezoo_datasets():
    return [stripes]
