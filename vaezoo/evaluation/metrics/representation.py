"""What the codes hold: information about x, the shape of the aggregate posterior q(z), and the
labels.

q(z) is the mixture of q(z|x) over the rows at hand, so `mutual_information` cannot exceed the log
of their number.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from ...core import Latent, Unsupported
from ...distributions import Drawable
from ...hooks import Column, Metric, Table, hookimpl
from ..context import Evaluation
from ..guards import divergence_below_zero, information_outside

ROWS = 2000  # rows of which every pair is looked at
NEIGHBOURS = 5


def aggregate(evaluation: Evaluation) -> Mapping[str, float]:
    """I_q(x; z) = E log q(z|x)/q(z) and KL(q(z) ‖ p(z)) = E log q(z)/p(z) in nats (Hoffman &
    Johnson 2016).
    """
    reason = _no_aggregate(evaluation)
    if reason:
        raise Unsupported(reason)
    rows, x, c = evaluation.part(ROWS)
    latent = evaluation.model.infer(x, c).latents[0]
    log_aggregate = mixture_log_prob(latent.q, latent.z[0], latent.log_q[0])
    evaluation.settings["aggregate_rows"] = len(rows)

    information = latent.log_q[0] - log_aggregate
    divergence = log_aggregate - latent.log_p[0]
    size = latent.log_q[0].abs() + log_aggregate.abs() + latent.log_p[0].abs()
    evaluation.refuse(["mutual_information"], information_outside(information, size))
    evaluation.refuse(["kl_aggregate"], divergence_below_zero("KL(q(z) ‖ p(z))", divergence, size))
    return {
        "mutual_information": float(information.double().mean()),
        "kl_aggregate": float(divergence.double().mean()),
    }


def _no_aggregate(evaluation: Evaluation) -> str:
    if evaluation.model.no_density:
        return evaluation.model.no_density
    if evaluation.is_conditional:
        return "q(z|x, label) is mixed for each label apart"
    latents = evaluation.model.infer(
        evaluation.x[:2], None if evaluation.c is None else evaluation.c[:2]
    ).latents
    if len(latents) > 1 or latents[0].stepwise:
        return "more than one latent variable"
    return "q(z|x) is known only at its own draws" if _is_blind(latents[0]) else ""


def _is_blind(latent: Latent) -> bool:
    """Whether q gives no density of points that it did not draw."""
    try:
        latent.q.log_prob(latent.z)
    except NotImplementedError:
        return True
    return (
        isinstance(latent.q, Drawable) and latent.q.log_prob(latent.z).shape != latent.log_q.shape
    )


def mixture_log_prob(q: Distribution, z: Tensor, own: Tensor | None = None) -> Tensor:
    """log 1/N Σ_j q_j(z_i) of points z (M, *event), (M,), where q is a batch of N, or of (1, N).

    `own` (N,) is log q_i(z_i) where that is known from the draw of z_i, which rounding spares.
    """
    n = q.batch_shape[-1]
    piece = max(1, 2**21 // (n * z[0].numel()))
    parts = []
    for start in range(0, len(z), piece):
        points = z[start : start + piece]
        log_q = q.log_prob(points[:, None].expand(-1, n, *points.shape[1:]))
        if own is not None:
            log_q = torch.diagonal_scatter(log_q, own[start : start + piece], start)
        parts.append(log_q.logsumexp(1) - math.log(n))
    return torch.cat(parts)


def probes(evaluation: Evaluation) -> Mapping[str, float]:
    """Test accuracy of logistic regression and of 5 nearest neighbours, fitted on codes of 10,000
    training rows at most.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not evaluation.data.labels:
        raise Unsupported("the data has no labels")
    if evaluation.is_conditional:
        raise Unsupported("the codes are made with the label")
    fitted = evaluation.codes("train")
    tested = evaluation.codes()
    y = evaluation.data.labels["train"][fitted.rows].numpy()
    y_test = evaluation.data.labels[evaluation.split][tested.rows].numpy()
    judges = {
        "linear_probe": LogisticRegression(max_iter=200),
        "knn": KNeighborsClassifier(NEIGHBOURS),
    }
    scores = {}
    for name, judge in judges.items():
        classifier = make_pipeline(StandardScaler(), judge).fit(fitted.flat.numpy(), y)
        scores[name] = float(classifier.score(tested.flat.numpy(), y_test))
    return scores


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    of_densities = (
        Column("mutual_information", "nats", "", rests_on="q", low=0, rows="aggregate_rows"),
        Column("kl_aggregate", "nats", "lower", rests_on="q,p", low=0, rows="aggregate_rows"),
    )
    of_labels = (
        Column("linear_probe", "", "higher", digits=3, low=0, high=1),
        Column("knn", "", "higher", digits=3, low=0, high=1),
    )
    table = Table("representation")
    return [
        Metric("aggregate", of_densities, aggregate, table),
        Metric("probes", of_labels, probes, table),
    ]
