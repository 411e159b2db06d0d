"""What a run will do, worked out and checked before any training: the trials, their keys, and what
is skipped and why.

A trial's key is the SHA-256 of the canonical JSON of its ingredients: two trials with one key would
give the same numbers. Neither the label of a row nor the other trials of the run are among them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

from ..data.data import identity_of
from ..hyperparameters import did_you_mean, listed
from ..registry.registry import Chosen, Dataset, Registry, Variant
from ..samplers import PRIOR
from ..training.budget import FLOAT32, Budget
from ..training.settings import SettingError, chosen_device, split_settings
from .asked import (
    PlanError as PlanError,
    must_be_bearable,
    must_be_labels,
    must_fill_a_stack,
    parse_seeds as parse_seeds,
    settings_grid as settings_grid,
)
from .trial import DRAWS, Json, Trial
from .workers.probe import Probe, Processes
from .workers.processes import Places

HERE = Places()  # installed plugins, the usual folders of data
APART = Processes()


@dataclass(frozen=True)
class Plan:
    """The trials of one run, in the order of the tables, and where to load them from."""

    trials: tuple[Trial, ...]
    source: Places
    columns: tuple[Json, ...] = ()  # of the metrics that will be measured
    request: Json = field(default_factory=dict)  # what was asked for, for run.json
    judged: frozenset[str] = frozenset()  # metrics that control rows stand beside

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(trial.dataset for trial in self.trials))


@dataclass(frozen=True)
class Request:
    """What a run is asked for, as the command line or a suite says it: `variants` × `datasets` ×
    `seeds`, under every combination of the settings `sets`.
    """

    variants: str
    datasets: str
    seeds: str | Sequence[int] = "3"  # see `parse_seeds`
    sets: Mapping[str, Any] = field(default_factory=dict)  # a list of values is a sweep
    metrics: Sequence[str] = ()  # the usual ones unless named
    samplers: str = PRIOR
    importance_samples: int = DRAWS
    device: str = "cpu"
    precision: str = FLOAT32  # of training
    threads: int = 1
    stack: int = 1  # seeds that are trained as one, where they can be
    is_here: bool = True  # trials run on this machine
    reference: bool = False  # the rows that come with the package stand beside


def make_plan(
    registry: Registry, asked: Request, *, source: Places = HERE, probe: Probe = APART
) -> Plan:
    """The plan; data are loaded and variants built once, by the probe, in processes of their own
    unless another is given.

    Raises: PlanError, HyperparameterError, or the registry's error for an unknown name, before
    anything is trained.
    """
    measures = _measures(registry, asked.metrics)
    settings = [split_settings(one) for one in settings_grid(asked.sets)]
    choices = registry.choose_variants(asked.variants)
    seeds = parse_seeds(asked.seeds)
    must_fill_a_stack(seeds, asked.stack)
    sources = registry.choose_datasets(asked.datasets)
    must_be_bearable(len(choices) * len(sources) * len(settings) * len(seeds), "trials")
    must_be_labels([*choices, *sources])
    facts = _facts(sources, probe, source, settings)
    rows = _trials(choices, facts, settings, _shared(registry, asked, measures))
    return Plan(
        trials=_seeded(_with_skips(rows, probe, source), seeds),
        source=source,
        columns=_columns(registry, measures),
        request=_request(asked, seeds, settings),
        judged=_judged(registry, measures),
    )


def _request(asked: Request, seeds: Sequence[int], settings: Sequence[tuple[Json, Json]]) -> Json:
    """What was asked for, as run.json has it."""
    names = ("variants", "datasets", "samplers", "importance_samples")
    request = {name: getattr(asked, name) for name in names}
    if asked.reference:
        request["reference"] = True
    return request | {"seeds": list(seeds), "set": _asked(settings)}


def _shared(registry: Registry, asked: Request, measures: Mapping[str, str]) -> Json:
    """What every trial of the plan has alike, as fields of `Trial`."""
    return {
        "device": chosen_device(asked.device, asked.is_here),
        "precision": asked.precision,
        "threads": asked.threads,
        "stacking": asked.stack,
        "metrics": tuple(asked.metrics),
        "measures": measures,
        "importance_samples": asked.importance_samples,
        "samplers": _samplers(registry, asked.samplers),
    }


def _asked(settings: Sequence[tuple[Json, Json]]) -> Json:
    """Setting -> its value, or the list of its values in a sweep."""
    merged = [budget | spec for budget, spec in settings]
    asked = {}
    for key in merged[0]:
        values = list(dict.fromkeys([one[key] for one in merged]))
        asked[key] = values if len(values) > 1 else values[0]
    return asked


def _measures(registry: Registry, metrics: Sequence[str]) -> dict[str, str]:
    """Metric -> SHA-256 of the file that brings it, of those asked for, else of the usual ones.

    Raises: PlanError for an unknown name.
    """
    for name in metrics:
        if name not in registry.metrics:
            near = did_you_mean(name, registry.metrics)
            raise PlanError(
                f"there is no metric {name!r}{near}; there are {listed(registry.metrics)}"
            )
    return {name: registry.metric_sources[name] for name in metrics or registry.usual_metrics}


def _judged(registry: Registry, metrics: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in metrics if registry.metrics[name].controls)


def _columns(registry: Registry, metrics: Iterable[str]) -> tuple[Json, ...]:
    chosen = [registry.metrics[name] for name in metrics]
    return tuple(asdict(column) for metric in chosen for column in metric.columns)


def _samplers(registry: Registry, text: str) -> tuple[Json, ...]:
    """The samplers, the model's own prior first where it is among them."""
    chosen = [
        {
            "name": c.entry.name,
            "label": c.label,
            "hyperparameters": plain(c.values),
            "source_hash": c.entry.source_hash,
        }
        for c in registry.choose_samplers(text)
    ]
    return tuple(sorted(chosen, key=lambda one: (one["name"] != PRIOR, one["label"])))


def _facts(
    choices: Sequence[Chosen[Dataset]],
    probe: Probe,
    places: Places,
    settings: Sequence[tuple[Json, Json]],
) -> list[tuple[Chosen[Dataset], Json]]:
    """Each data set with what it is: see `_facts_of`."""
    sizes = [size for _, size in settings]
    return [(choice, _facts_of(choice, probe, places, sizes)) for choice in choices]


def _facts_of(choice: Chosen[Dataset], probe: Probe, places: Places, sizes: Sequence[Json]) -> Json:
    """Spec, hashes and budget of a data set.

    Raises: PlanError where it cannot be loaded, SettingError where one of the sizes asks for a
    likelihood that its values do not suit.
    """
    answer = probe.describe(places, choice.entry.name, plain(choice.values), sizes)
    if "error" in answer:
        raise PlanError(f"data set {choice.label}: {answer['error']}")
    for why in filter(None, answer["unfit"]):
        raise SettingError(why)
    return answer


def _trials(
    choices: Sequence[Chosen[Variant]],
    facts: Sequence[tuple[Chosen[Dataset], Json]],
    settings: Sequence[tuple[Json, Json]],
    shared: Json,
) -> list[Trial]:
    """A trial for each row: data sets outermost, then settings, then variants, which is the order
    of the tables.
    """
    rows = []
    for (data, described), setting in product(facts, settings):
        rows += [_trial(choice, data, described, *setting, shared) for choice in choices]
    return rows


def _trial(
    choice: Chosen[Variant],
    data: Chosen[Dataset],
    facts: Json,
    budget: Json,
    spec: Json,
    shared: Json,
) -> Trial:
    plugin = choice.entry.plugin_for(choice.values)
    return Trial(
        variant=choice.label,
        name=choice.entry.name,
        hyperparameters=plain(choice.values),
        plugin={
            name: str(getattr(plugin, name))
            for name in ("distribution", "version", "module", "source_hash")
        },
        dataset=data.label,
        data={
            "name": data.entry.name,
            "options": identity_of(plain(data.values)),
            "hashes": facts["hashes"],
        },
        options=plain(data.values),
        spec=facts["spec"] | spec,
        seed=0,
        budget=asdict(Budget(**{**facts["budget"], **budget})),
        **shared,
    )


def _with_skips(rows: list[Trial], probe: Probe, places: Places) -> list[Trial]:
    """The rows, those that say `Unsupported` when they are built marked with the reason, and those
    that are not trained in a stack with theirs.

    A builder that crashes is planned all the same: its trial fails with the cause.
    """
    answers = probe.why_not(places, rows)
    found = []
    for row, answer in zip(rows, answers, strict=True):
        why = answer.get("alone", "")
        stacking = 1 if why else row.stacking
        found.append(replace(row, skip=answer.get("skip", ""), alone=why, stacking=stacking))
    return found


def _seeded(rows: list[Trial], seeds: Sequence[int]) -> tuple[Trial, ...]:
    """One trial a seed; rows that are the same trial under two labels once."""
    trials = [replace(row, seed=seed) for row in rows for seed in seeds]
    return tuple({trial.key: trial for trial in reversed(trials)}.values())[::-1]


def plain(value: Any) -> Any:
    """The value as JSON would give it back."""
    return json.loads(json.dumps(value, default=str))
