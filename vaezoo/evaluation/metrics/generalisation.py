"""The bound on rows that were trained on, that chose the epoch, and that were neither."""

from collections.abc import Mapping

from ...core import Unsupported
from ...hooks import Column, Metric, Table, hookimpl
from ..bounds import estimate_all
from ..context import Evaluation

ROWS = 1000
DRAWS = 4
SPLITS = ("train", "validation")


def generalisation(evaluation: Evaluation) -> Mapping[str, float]:
    """The bound on 1,000 rows of the training and the validation split, and by how much that of the
    training rows is above that of the split which is measured; all from the same few draws a row.
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    evaluation.say_given_label("generalisation_is")
    train, validation, own = (_bound(evaluation, name) for name in (*SPLITS, evaluation.split))
    return {
        "elbo_train": train,
        "elbo_validation": validation,
        "generalisation_gap": train - own,
    }


def _bound(evaluation: Evaluation, split: str) -> float:
    _, x, c = evaluation.part(ROWS, split)
    if split == "train":
        x = evaluation.data.binarised(x.cpu(), evaluation.generator("pixels")).to(x)
    with evaluation.noise("generalisation", split):
        found = estimate_all(evaluation.model, x, c, DRAWS, evaluation.entries)
    return float(found.elbo.double().mean())


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("elbo_train", "nats", "", lead=1),
        Column("elbo_validation", "nats", "", lead=2),
        Column("generalisation_gap", "nats", "", lead=3),
    )
    table = Table("generalisation", apart="generalisation_is")
    return [Metric("generalisation", columns, generalisation, table, rests_on="q,p,px")]
