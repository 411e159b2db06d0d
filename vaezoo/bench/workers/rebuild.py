"""What a process makes again from the JSON of a trial: registry, data, model, metrics."""

from dataclasses import replace
from functools import cache

from ...core import Model, Spec
from ...data.data import Data
from ...data.files import Files
from ...hooks import Metric
from ...registry.registry import Registry, load_registry
from ...seeds import seeded
from ..trial import Json


def registry_of(source: Json) -> Registry:
    """The registry with the loose files of the run, loaded once a process."""
    return _loaded(source["plugins_dir"])


@cache
def _loaded(plugins_dir: str | None) -> Registry:
    return load_registry(plugins_dir)


def load_data(source: Json, name: str, options: Json) -> Data:
    """The data set of this name with these options."""
    files = Files(source["data_dirs"], offline=source["offline"])
    return registry_of(source).datasets[name].load(files, **options)


def data_of(source: Json, trial: Json) -> Data:
    """The trial's data, with its spec.

    Raises: ValueError where they are not what they were when the run was planned.
    """
    data = load_data(source, trial["data"]["name"], trial["options"])
    if data.hashes != trial["data"]["hashes"]:
        raise ValueError(
            f"data set {data.name} is not what it was when the run was planned: its hashes differ"
        )
    return replace(data, spec=spec_of(trial))


def spec_of(trial: Json) -> Spec:
    return Spec(**trial["spec"] | {"shape": tuple(trial["spec"]["shape"])})


def build_model(source: Json, trial: Json) -> Model:
    """The model, its weights a function of the seed alone: variants that share networks start from
    the same ones.
    """
    variant = registry_of(source).variants[trial["name"]]
    with seeded("weights", trial["seed"]):
        return variant(spec_of(trial), **trial["hyperparameters"])


def metrics_of(source: Json, trial: Json) -> list[Metric]:
    """The metrics that the trial asks for; the usual ones where it names none."""
    registry = registry_of(source)
    return [registry.metrics[name] for name in (trial["metrics"] or registry.usual_metrics)]
