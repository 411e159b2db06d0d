"""How far the codes stray."""

from vaezoo.hooks import Column, Metric, hookimpl


def measure(evaluation):
    """The largest absolute coordinate of a code of the test split."""
    return {"largest_code": evaluation.codes().units.abs().max().item()}


@hookimpl
def vaezoo_metrics():
    return [Metric("extreme", (Column("largest_code", "", "", table="representation"),), measure)]
