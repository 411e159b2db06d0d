"""What a model costs. Training time is filled in by whoever trained it."""

from collections.abc import Mapping

from ...hooks import Column, Metric, hookimpl
from ..context import Evaluation


def cost(evaluation: Evaluation) -> Mapping[str, float]:
    """Numbers that training fits, a second player's included."""
    return {"parameters": float(sum(p.numel() for p in evaluation.model.parameters()))}


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    return [Metric("cost", (Column("parameters", "", "", digits=0, low=0),), cost)]
