"""The breast cancer measurements that scikit-learn carries: the smallest real data set on which
papers compare imputation.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import SPLITS, Card, Data, by_split, named
from ..splits import duplicates, shuffled

Rows = Literal["apart", "all"]


@tags("vector", "real", "small", "labelled")
def cancer(splits: Rows = "apart") -> Data:
    """Breast cancer, Wisconsin: 569 × 30 measurements of cell nuclei, standardised.

    With splits=all each split has all rows: papers on imputation fill the rows that they train on.
    """
    x, y = _standardised()
    rows = shuffled(len(x), 85, 85, "cancer", labels=y)
    is_all = splits == "all"
    return Data(
        name=named(cancer, splits=splits),
        # one tensor where all splits are the same, by which others know that they are
        **by_split(dict.fromkeys(SPLITS, x) if is_all else rows.of(x)),
        spec=Spec(
            (30,), "normal", len(x) if is_all else len(rows.train), classes=2, latent=10, hidden=128
        ),
        card=Card(
            "Breast cancer, Wisconsin, diagnostic",
            "W. Wolberg, O. Mangasarian, N. Street, W. Street 1993, UCI Machine Learning "
            "Repository, doi:10.24432/C5DW2B; as in sklearn.datasets.load_breast_cancer",
            "CC BY 4.0",
            "mean 0 and deviation 1 of each column, over all rows; "
            + ("all rows in every split" if is_all else "399/85/85 rows by a fixed seed"),
        ),
        labels=dict.fromkeys(SPLITS, y) if is_all else rows.of(y),
        budget={"epochs": 300, "patience": 30},
        split_hash="" if is_all else rows.sha256,
        duplicates=None if is_all else duplicates(x[rows.train], x[rows.test]),
    )


def _standardised() -> tuple[Tensor, Tensor]:
    """The measurements (569, 30), mean 0 and deviation 1 in each column, and the labels (569,)."""
    from sklearn.datasets import load_breast_cancer

    raw, labels = load_breast_cancer(return_X_y=True)
    standard = (raw - raw.mean(0)) / raw.std(0)
    return torch.from_numpy(standard).float(), torch.from_numpy(labels).long()


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [cancer]
