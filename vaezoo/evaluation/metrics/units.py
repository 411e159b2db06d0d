"""How much each unit of the code is used: by its movement with x, and by its KL."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, distributions as D

from ...core import Latent, Model, Unsupported
from ...hooks import Column, Metric, hookimpl
from ..context import Evaluation

LEAST = 0.01  # of a variance (Burda et al. 2016) and of a KL in nats, above which a unit is used


def active_units(evaluation: Evaluation) -> Mapping[str, float]:
    """How many units the model uses: those with Var_x E_q[z_j] > 0.01 (Burda et al. 2016,
    arXiv:1509.00519); of a stepwise latent the variance over x at equal t, in the mean over t.
    """
    codes = evaluation.codes()
    if codes.is_discrete:
        raise Unsupported("a discrete latent has no mean")
    return {"active_units": float((codes.variance > LEAST).sum())}


def kl_of_units(evaluation: Evaluation) -> Mapping[str, float]:
    """E_x KL(q(z_j|x) ‖ p(z_j)) of the unit that tells most and of the one that tells least, and
    how many tell more than 0.01 nats.
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    each = mean_of_each(evaluation.model, evaluation.batches())
    return {
        "kl_largest": float(each.max()),
        "kl_smallest": float(each.min()),
        "kl_units": float((each > LEAST).sum()),
    }


def mean_of_each(model: Model, rows: Iterable[tuple[Tensor, Tensor | None]]) -> Tensor:
    """(D,): E_x KL(q(z_j|x) ‖ p(z_j)) of every unit over batches of x and its condition, in nats,
    float64 on the CPU.

    Raises: Unsupported where the KL is no sum over units.
    """
    parts = []
    n = 0
    for x, c in rows:
        latents = model.infer(x, c).latents
        parts.append(torch.cat([of_each_unit(latent).double().cpu() for latent in latents]))
        n += len(x)
    return torch.stack(parts).sum(0) / n


def of_each_unit(latent: Latent) -> Tensor:
    """(D,): the KL of each unit, summed over the rows, in nats.

    Raises: Unsupported where q or p ties units together.
    """
    if not (isinstance(latent.q, D.Independent) and isinstance(latent.p, D.Independent)):
        raise Unsupported("the KL is not a sum over units")
    q = latent.q.base_dist
    p = latent.p.base_dist
    if not (isinstance(q, D.Normal) and isinstance(p, D.Normal)):
        raise Unsupported("the KL of each unit is known for Normals")
    each = D.kl_divergence(q, p)  # (…, B, *event)
    each = each.expand(*latent.z.shape[:2], *each.shape[each.ndim - len(latent.q.event_shape) :])
    return each.mean(0).sum(0).flatten()


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    active = (Column("active_units", "", "", "elbo", digits=1, lead=5, panel=True, low=0),)
    of_kl = (
        Column("kl_largest", "nats", "", "elbo", digits=3, low=0),
        Column("kl_smallest", "nats", "", "elbo", digits=3, low=0),
        Column("kl_units", "", "", "elbo", digits=1, low=0),
    )
    return [
        Metric("active_units", active, active_units),
        Metric("kl_of_units", of_kl, kl_of_units, rests_on="q,p"),
    ]
