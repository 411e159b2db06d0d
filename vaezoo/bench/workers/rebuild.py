"""What a process makes again from a trial: registry, data, model, metrics."""

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ...core import Model, Spec
from ...data.data import Data
from ...data.files import Files
from ...hooks import Metric
from ...registry.registry import Registry, load_registry
from ...seeds import seeded
from ..trial import Json, Trial
from .processes import Places

if TYPE_CHECKING:
    from ...evaluation.context import Evaluation


def registry_of(places: Places) -> Registry:
    """The registry with the loose files of the run, loaded once a process."""
    return _loaded(places.plugins_dir)


@cache
def _loaded(plugins_dir: str | None) -> Registry:
    return load_registry(plugins_dir)


def load_data(places: Places, name: str, options: Json) -> Data:
    """The data set of this name with these options."""
    files = Files(places.data_dirs, offline=places.offline)
    return registry_of(places).datasets[name].load(files, **options)


def data_of(places: Places, trial: Trial) -> Data:
    """The trial's data, with its spec.

    Raises: ValueError where they are not what they were when the run was planned.
    """
    data = load_data(places, trial.data["name"], trial.options)
    if data.hashes != trial.data["hashes"]:
        raise ValueError(
            f"data set {data.name} is not what it was when the run was planned: its hashes differ"
        )
    return replace(data, spec=spec_of(trial))


def spec_of(trial: Trial) -> Spec:
    return Spec.of(trial.spec)


def build_model(places: Places, trial: Trial) -> Model:
    """The model, its weights a function of the seed alone: variants that share networks start from
    the same ones.
    """
    variant = registry_of(places).variants[trial.name]
    with seeded("weights", trial.seed):
        return variant(spec_of(trial), **trial.hyperparameters)


def evaluation_of(model: Model, data: Data, trial: Trial) -> "Evaluation":
    """What the metrics of the trial look at."""
    from ...evaluation.context import Evaluation

    return Evaluation(
        model,
        data,
        trial.seed,
        device=trial.device,
        importance_samples=trial.importance_samples,
    )


def metrics_of(places: Places, trial: Trial) -> list[Metric]:
    """The metrics that the trial asks for; the usual ones where it names none."""
    registry = registry_of(places)
    return [registry.metrics[name] for name in (trial.metrics or registry.usual_metrics)]
