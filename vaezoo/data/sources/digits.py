"""The 8×8 handwritten digits that scikit-learn carries: real data without a download."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import Card, Data, by_split, named
from ..splits import Few, binarised_once, duplicates, shuffled, stratified_subset

CARD = Card(
    title="Optical recognition of handwritten digits, 8×8",
    source="E. Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, doi:10.24432/C50P49; "
    "as in sklearn.datasets.load_digits (the 1,797 digits of the original test set)",
    licence="CC BY 4.0",
    processing="value/16 is the probability of a 1; binarised once from a fixed seed, all splits; "
    "1200/297/300 rows, stratified by digit, by a fixed seed",
)


@tags("image", "binary", "small", "labelled")
def digits(rows: Few = 0) -> Data:
    """Handwritten digits, 1×8×8, binarised once: 1,797 that scikit-learn has on board.

    `rows` of them train, 0 for all.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = torch.from_numpy(pixels).float()
    labels = torch.from_numpy(labels).long()
    split = shuffled(len(grey), 297, 300, "digits", labels=labels)
    split = replace(split, train=split.train[stratified_subset(labels[split.train], rows)])
    x = split.of(binarised_once(grey / 16, "digits").reshape(-1, 1, 8, 8))
    return Data(
        name=named(digits, rows=rows),
        spec=Spec(
            (1, 8, 8), "bernoulli", len(split.train), classes=10, latent=8, hidden=64, network="mlp"
        ),
        card=CARD,
        labels=split.of(labels),
        budget={"epochs": 300, "learning_rate": 4e-3, "patience": 25},
        split_hash=split.sha256,
        duplicates=duplicates(grey[split.train], grey[split.test]),
        **by_split(x),
    )


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [digits]
