"""The 8×8 handwritten digits that scikit-learn carries: real data without a download."""

from collections.abc import Callable

import torch

from ..core import Spec
from ..hooks import hookimpl, tags
from .data import Card, Data
from .splits import binarised_once, duplicates, shuffled

CARD = Card(
    title="Optical recognition of handwritten digits, 8×8",
    source="E. Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, doi:10.24432/C50P49; "
    "as in sklearn.datasets.load_digits (the 1,797 digits of the original test set)",
    licence="CC BY 4.0",
    processing="value/16 is the probability of a 1; binarised once from a fixed seed, all splits; "
    "1200/297/300 rows, stratified by digit, by a fixed seed",
)


@tags("image", "binary", "small", "labelled")
def digits() -> Data:
    """Handwritten digits, 1×8×8, binarised once: 1,797 rows that scikit-learn has on board."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey, labels = torch.from_numpy(pixels).float(), torch.from_numpy(labels).long()
    rows = shuffled(len(grey), 297, 300, "digits", labels=labels)
    x = rows.of(binarised_once(grey / 16, "digits").reshape(-1, 1, 8, 8))
    return Data(
        name="digits",
        spec=Spec((1, 8, 8), "bernoulli", len(rows.train), classes=10, latent=8, hidden=128, network="mlp"),
        card=CARD,
        labels=rows.of(labels),
        budget={"epochs": 100, "learning_rate": 3e-3, "patience": 20},
        split_hash=rows.sha256,
        duplicates=duplicates(grey[rows.train], grey[rows.test]),
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
    )


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [digits]
