"""log p(x) without an encoder, by annealed importance sampling, and how far it can be off."""

import math
from collections.abc import Mapping

from ...core import Unsupported
from ...hooks import Column, Metric, Table, hookimpl
from ..annealing import ais_log_likelihood, bdmc_gap
from ..context import Evaluation
from ..guards import bound_too_high, divergence_below_zero

ROWS = 64
CHAINS = 16
TEMPERATURES = 200


def annealed(evaluation: Evaluation) -> Mapping[str, float]:
    """-log p(x) of 64 rows by annealed importance sampling, and on as many rows that the model
    drew the gap between its two bounds of log p(x), with the gap's standard error (Grosse et al.
    2015).
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    if evaluation.is_conditional:
        raise Unsupported("it is told the label")
    rows, x, c = evaluation.part(ROWS)
    evaluation.settings |= {"ais_rows": len(x), "ais_chains": CHAINS, "ais_steps": TEMPERATURES}
    found = ais_log_likelihood(evaluation.model, x, c, CHAINS, TEMPERATURES).double()
    lower, upper = bdmc_gap(evaluation.model, len(x), CHAINS, TEMPERATURES)
    gap = (upper - lower).double()

    exact = evaluation.exact_log_p
    exact = None if exact is None else exact[rows]
    name = "the annealed estimate of log p(x)"
    evaluation.refuse(["ais_nll"], bound_too_high(name, found, found, evaluation.is_mass, exact))
    too_low = divergence_below_zero("the gap between the bounds of log p(x)", gap, lower)
    evaluation.refuse(["ais_gap"], too_low)
    return {
        "ais_nll": -float(found.mean()),
        "ais_gap": float(gap.mean()),
        "ais_gap_se": float(gap.std()) / math.sqrt(len(gap)),
    }


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("ais_nll", "nats", "lower"),
        Column("ais_gap", "nats", "lower", digits=3),
        Column("ais_gap_se", "nats", "", digits=3, low=0),
    )
    table = Table("ais", "Annealed importance sampling")
    return [Metric("annealed", columns, annealed, table, asked=True, rests_on="p,px")]
