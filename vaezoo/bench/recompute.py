"""Numbers computed again from the weights: what no manifest can say of a folder of results.

A forger who edits a number can write a manifest that fits. He cannot write weights that give it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from ..core import Unsupported
from ..data.files import BadData, MissingData
from .records import Ingredients, Record
from .store import WEIGHTS, Store
from .trial import Trial
from .verify import Fault, Verdict
from .workers.processes import Places
from .workers.rebuild import (
    build_model,
    data_of,
    evaluation_of,
    metrics_of,
    registry_of,
)

USUAL = "likelihood"
# Between machines and versions of torch a number moves in its last digits; a nat or a share that
# someone wants to gain does not hide there.
RELATIVE = 1e-3
ABSOLUTE = 1e-3


def recomputed_verdict(
    verdict: Verdict,
    out: Path | str,
    count: int,
    metric: str = USUAL,
    places: Places | None = None,
    seed: int | None = None,
) -> Verdict:
    """The verdict, with every number of `count` trials that their weights do not give. Trials are
    chosen at random, so that nobody knows before which; by this seed where one is given.
    """
    store = Store(out)
    able = [
        one
        for one in store.records()[0]
        if one.is_done and metric in (one.measures or {}) and store.has_weights(one.key)
    ]
    if not able:
        why = f"no trial has both weights and the metric {metric}: nothing was measured again"
        return replace(verdict, faults=(*verdict.faults, ("trials", why)))
    chooser = SystemRandom() if seed is None else Random(seed)
    chosen = chooser.sample(able, min(count, len(able)))
    faults = list(verdict.faults)
    for record in chosen:
        faults += _differences(store, record, metric, places or Places())
    return replace(verdict, faults=tuple(faults), measured=len(chosen))


def _differences(store: Store, record: Record, metric: str, places: Places) -> Iterator[Fault]:
    where = f"trials/{record.key}"
    trial = trial_of(record, metric)
    other = _other_code(record, metric, places)
    if other:
        yield f"{where}/trial.json", other
        return
    from ..training.checkpoint import CheckpointError

    try:
        found = _measured(store, trial, places)
    except (CheckpointError, Unsupported, BadData, MissingData, ValueError) as why:
        yield f"{where}/{WEIGHTS}", f"{metric} could not be computed again: {why}"
        return
    for column, again in found.items():
        said = record.metrics.get(column, math.nan)
        if not math.isclose(said, again, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            if math.isnan(said) and math.isnan(again):
                continue
            yield f"{where}/trial.json", f"{column} is {said:.6g}, and its weights give {again:.6g}"


def trial_of(record: Record, metric: str) -> Trial:
    """The trial that such a record is of, with this metric alone."""
    made_of: Ingredients = record.ingredients
    facts: dict[str, Any] = dict(made_of.stored)
    facts.pop("protocol", None)
    if "samplers" in facts:
        facts["samplers"] = tuple(facts["samplers"])
    return Trial(
        variant=record.variant,
        dataset=record.dataset,
        metrics=(metric,),
        options=facts["data"].get("options", {}),
        measures={metric: (record.measures or {}).get(metric, "")},
        **facts,
    )


def _other_code(record: Record, metric: str, places: Places) -> str:
    """Why the numbers may differ in honesty; "" where they may not."""
    registry = registry_of(places)
    variant = registry.variants.get(record.ingredients.name)
    if variant is None:
        return f"there is no variant {record.ingredients.name!r} here to compute it again with"
    data = record.ingredients.stored.get("data", {}).get("name")
    if data not in registry.datasets:
        return f"there is no data set {data!r} here to compute it again on"
    if variant.plugin.source_hash != record.ingredients.plugin.get("source_hash"):
        return "it was trained by another text of its plugin than is installed here"
    if registry.metric_sources.get(metric) != (record.measures or {}).get(metric):
        return f"it was measured by other code of the metric {metric} than is installed here"
    return ""


def _measured(store: Store, trial: Trial, places: Places) -> dict[str, float]:
    """What the metric says of the trial's weights."""
    import torch

    from ..evaluation.measuring import measure
    from ..training.checkpoint import restore

    before = torch.get_num_threads()
    torch.set_num_threads(trial.threads)
    try:
        data = data_of(places, trial)
        weights = store.trials / trial.key / WEIGHTS
        model = restore(build_model(places, trial), weights).eval()
        found = measure(evaluation_of(model, data, trial), metrics_of(places, trial))
    finally:
        torch.set_num_threads(before)
    return {name: float(value) for name, value in found.items()}
