"""One view told from the others: how probable the true one is, and whether the class is the same.

log p(x_v|x_rest) is estimated by the mixture of K draws from q(z|x_rest),

    log Σ_k w_k p(x_v|z_k) / Σ_k w_k,  w_k = p(x_rest|z_k) p(z_k) / q(z_k|x_rest)

which for any K is itself a density of x_v: in the mean over the data it is never above that of the
exact conditional, and a poor q(z|x_rest) makes it worse and not better.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ...core import Spec, Trace, Unsupported
from ...data.data import Data
from ...hooks import Column, Metric, Table, hookimpl
from ...likelihoods import head
from ...seeds import generator_for
from ...views import are_there, split_views, without_views
from ..baselines import INDEPENDENT, PAIRS, SHUFFLED, independent_log_p
from ..context import Evaluation
from ..of_views import Classifier, classifiers_of, data_of_view

DRAWS = 100  # unless another K is asked for
ROWS = 1000


def views(evaluation: Evaluation) -> Mapping[str, float]:
    """Each view told from all others, on 1,000 rows at most: -log p(x_v|x_rest) in nats for the
    true one, and the share of generated ones whose class is that of the row; means over the views.
    """
    _must_have_views(evaluation.data)
    if evaluation.is_conditional:
        raise Unsupported("it is told the label")
    found: dict[str, float] = {}
    if evaluation.no_density:
        evaluation.say("view_nll", evaluation.no_density)
    else:
        found |= _likelihoods(evaluation)
    if evaluation.data.labels:
        found |= _coherence(evaluation)
    else:
        for column in ("coherence", "coherence_first", "coherence_last"):
            evaluation.say(column, "the data has no labels")
    return found


def _must_have_views(data: Data) -> None:
    if len(data.spec.views) < 2:
        raise Unsupported("x is not said to be several views")


def _told(evaluation: Evaluation, k: int) -> Iterator[tuple[int, Tensor, Tensor, Trace]]:
    """(view, x, row numbers, trace of the other views) in pieces, of rows with that view and
    another.
    """
    spec = evaluation.data.spec
    rows, x, c = evaluation.part(ROWS)
    there = are_there(x, spec)  # (V, B)
    size = max(1, evaluation.entries // (k * spec.size))
    for i in range(len(spec.views)):
        kept = there[i] & (there.sum(0) > 1)
        for own in kept.nonzero().squeeze(1).split(size):
            given = without_views(x[own], spec, (i,))
            labels = None if c is None else c[own]
            yield i, x[own], rows[own.cpu()], evaluation.model.infer(given, labels, k)


def _likelihoods(evaluation: Evaluation) -> dict[str, float]:
    spec = evaluation.data.spec
    k = evaluation.importance_samples or DRAWS
    evaluation.settings |= {"view_draws": k}
    of_view: dict[int, list[Tensor]] = {}
    for i, x, _, trace in _told(evaluation, k):
        others = [j for j in range(len(spec.views)) if j != i]
        log_p = trace.px.log_prob(without_views(x, spec, others))  # (K, B)
        told = (trace.log_w + log_p).logsumexp(0) - trace.log_w.logsumexp(0)
        of_view.setdefault(i, []).append(-told)
    return {"view_nll": _mean([torch.cat(parts) for parts in of_view.values()])}


def _mean(of_views: list[Tensor]) -> float:
    """The mean over views of means over rows."""
    return float(torch.stack([values.double().mean() for values in of_views]).mean())


def _coherence(evaluation: Evaluation) -> dict[str, float]:
    """By draws of x for discrete data, by means for others, as samples are."""
    spec = evaluation.data.spec
    is_discrete = head(spec).is_discrete
    y = evaluation.data.labels[evaluation.split]
    classes = classifiers_of(evaluation.data, evaluation.cache)
    right: dict[int, list[Tensor]] = {}
    for i, _, rows, trace in _told(evaluation, 1):
        made = (trace.px.sample() if is_discrete else trace.px.mean)[0]
        found = classes[i](split_views(made.cpu(), spec)[i])
        right.setdefault(i, []).append(found == y[rows])
    return _columns([torch.cat(right[i]) for i in sorted(right)])


def _columns(right: list[Tensor]) -> dict[str, float]:
    """Of whether the class is right, (N,) a view."""
    return {
        "coherence": _mean(right),
        "coherence_first": float(right[0].double().mean()),
        "coherence_last": float(right[-1].double().mean()),
    }


def joint(evaluation: Evaluation) -> Mapping[str, float]:
    """The share of draws of p(x) all of whose views are of one class."""
    _must_have_views(evaluation.data)
    if not evaluation.data.labels:
        raise Unsupported("the data has no labels")
    classes = classifiers_of(evaluation.data, evaluation.cache)
    return {"joint_coherence": _agreement(evaluation.samples, evaluation.data.spec, classes)}


def _agreement(x: Tensor, spec: Spec, classes: list[Classifier]) -> float:
    found = _classes(x, spec, classes)
    return float((found == found[0]).all(0).double().mean())


def _classes(x: Tensor, spec: Spec, classes: list[Classifier]) -> Tensor:
    """(V, N)."""
    parts = zip(classes, split_views(x, spec), strict=True)
    return torch.stack([of_view(part) for of_view, part in parts])


def controls(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The control rows: every entry on its own for the likelihood, real pairs and pairs put
    together by chance for the classes.
    """
    if len(data.spec.views) < 2:
        return {}
    rows: dict[str, dict[str, float]] = {}
    apart = [independent_log_p(data_of_view(data, i), split) for i in range(len(data.spec.views))]
    known = [-log_p for log_p in apart if log_p is not None]
    if len(known) == len(apart):
        rows[INDEPENDENT] = {"view_nll": _mean(known)}
    if not data.labels:
        return rows

    x = data.split(split)
    whole = are_there(x, data.spec).all(0)
    y = data.labels[split][whole]
    found = _classes(x[whole], data.spec, classifiers_of(data))  # (V, N)
    g = generator_for("controls", "shuffled pairs", data.identity)
    by_chance = torch.stack([row[torch.randperm(len(row), generator=g)] for row in found])
    for name, classes in ((PAIRS, found), (SHUFFLED, by_chance)):
        one_class = float((classes == classes[0]).all(0).double().mean())
        rows[name] = {**_columns(list(classes == y)), "joint_coherence": one_class}
    return rows


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("view_nll", "nats", "lower", panel=True, panel_controls=True, rests_on="q,p,px"),
        Column("coherence", "", "higher", digits=3, panel=True, panel_controls=True, low=0, high=1),
        Column("coherence_first", "", "higher", digits=3, low=0, high=1),
        Column("coherence_last", "", "higher", digits=3, low=0, high=1),
    )
    of_samples = (Column("joint_coherence", "", "higher", table="views", digits=3, low=0, high=1),)
    table = Table("views", "Views told from one another")
    return [
        Metric("views", columns, views, table, controls=controls, rests_on="q,px"),
        Metric("joint_coherence", of_samples, joint, of="samples"),
    ]
