"""How often a model that classifies is right."""

from collections.abc import Mapping

import torch

from ...core import Unsupported
from ...hooks import Column, Metric, Table, hookimpl
from ...row_mean import RowMean
from ..context import Evaluation


def accuracy(evaluation: Evaluation) -> Mapping[str, float]:
    """The share of rows whose most probable class is their label."""
    if not evaluation.data.labels:
        raise Unsupported("the data has no labels")
    y = evaluation.data.labels[evaluation.split].to(evaluation.device).split(1000)
    right = [
        evaluation.model.classify(x).argmax(-1) == own
        for x, own in zip(evaluation.x.split(1000), y, strict=True)
    ]
    return {"accuracy": RowMean(torch.cat(right))}


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (Column("accuracy", "", "higher", digits=3, panel=True, low=0, high=1),)
    return [Metric("accuracy", columns, accuracy, Table("labels"))]
