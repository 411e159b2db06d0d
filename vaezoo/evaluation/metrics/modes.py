"""How many of the known modes of generated data a model's draws reach."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ...core import Unsupported
from ...data.data import Data, Modes
from ...hooks import Column, Metric, Table, hookimpl
from ..baselines import CONTROLS, FLOOR, REAL
from ..context import Evaluation

NONE = -1  # the mode of a draw that is near no mode


def modes(evaluation: Evaluation) -> Mapping[str, float]:
    """Modes that at least one draw reaches, and KL of the draws' frequencies over the modes to the
    data's, in nats.

    Metz et al. 2017 (arXiv:1611.02163, §3.3.1) and Lin et al. 2018 (arXiv:1712.04086, §4.1), as
    many draws as the data says.
    """
    known = evaluation.data.modes
    if known is None:
        raise Unsupported("the data has no known modes")
    with evaluation.noise("modes"):
        draws = _drawn(evaluation, known.draws)
    evaluation.settings |= {"mode_draws": known.draws, "modes": known.count}
    if not known.is_strict:
        evaluation.say("high_quality", "every picture has a mode here, noise too")
    answer = reached(known, draws)
    if "mode_kl" not in answer:
        evaluation.say("mode_kl", "no draw is near a mode")
    return answer


def reached(known: Modes, draws: Tensor) -> dict[str, float]:
    """What the draws (N, *shape) reach; of modes that every x has, the share says nothing and is
    left out, and so is the KL where no draw is near a mode.
    """
    found = known.of(draws)
    counts = torch.bincount(found[found != NONE], minlength=known.count)
    answer = {"modes_found": float((counts > 0).sum())}
    if counts.sum():
        answer["mode_kl"] = divergence(counts)
    if not known.is_strict:
        return answer
    return answer | {"high_quality": float((found != NONE).double().mean())}


def controls(data: Data, seed: int = 0) -> dict[str, dict[str, float]]:
    """The control rows: as many draws as of a model, training rows and what is made up without one.

    There are too few test rows: a thousand of `stacked_digits` reach two modes in three.
    """
    if data.modes is None:
        return {}
    rows = {}
    for name, make in CONTROLS.items():
        shown = REAL if name == FLOOR else name
        rows[shown] = reached(data.modes, make(data, data.modes.draws, seed))
    return rows


def _drawn(evaluation: Evaluation, n: int, most: int = 1000) -> Tensor:
    """n draws of x on the CPU."""
    labels = evaluation.labels_for(n, "modes")
    parts = []
    for start in range(0, n, most):
        rows = min(most, n - start)
        given = None if labels is None else labels[start : start + rows]
        parts.append(evaluation.draw(rows, given).cpu())
    return torch.cat(parts)


def divergence(counts: Tensor) -> float:
    """KL of the frequencies (M,) to the uniform distribution, in nats: log M - entropy. 0 if even,
    log M if one has all.
    """
    p = counts.double() / counts.sum()
    return math.log(len(p)) + float(torch.special.xlogy(p, p).sum())


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("modes_found", "", "higher", digits=1, panel=True, low=0),
        Column("mode_kl", "nats", "lower", digits=3, panel=True, low=0),
        Column("high_quality", "", "higher", digits=3, low=0, high=1),
    )
    return [Metric("modes", columns, modes, Table("modes"), of="samples", controls=controls)]
