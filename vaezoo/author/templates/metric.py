"""newcomer: a metric; say here in one sentence what it measures."""

from collections.abc import Mapping

from vaezoo.evaluation.context import Evaluation
from vaezoo.hooks import Column, Metric, hookimpl


def measure(evaluation: Evaluation) -> Mapping[str, float]:
    """The largest absolute coordinate of a code of the test split. Put your number here."""
    return {"newcomer": evaluation.codes().units.abs().max().item()}


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    column = Column("newcomer", "", "", table="representation")  # name, unit, which way is better
    return [Metric("newcomer", (column,), measure)]
