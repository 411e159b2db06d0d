"""What a trial's numbers depend on, as trial.json keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...hooks import PRIOR
from ..trial import Json, key_of
from .checks import count, file_name, label, mapping, of_type, shared, texts
from .parsing import Damaged


@dataclass(frozen=True)
class Ingredients:
    """All that a trial's numbers depend on. `stored` is their JSON; the key is its hash."""

    stored: Json
    name: str
    seed: int
    likelihood: str
    distribution: str  # of the plugin
    module: str
    plugin: Json
    hyperparameters: Json = field(default_factory=dict)
    spec: Json = field(default_factory=dict)
    budget: Json = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)  # split -> SHA-256 of the data
    samplers: tuple[str, ...] = (PRIOR,)  # their labels

    @classmethod
    def from_json(cls, facts: Any) -> "Ingredients":
        # all but the seed is mostly what other trials say too
        stored = {k: shared(v) for k, v in mapping(facts, "ingredients").items()}
        plugin = mapping(stored.get("plugin"), "ingredients.plugin")
        spec = mapping(stored.get("spec"), "ingredients.spec")
        return cls(
            stored=stored,
            name=file_name(stored.get("name"), "ingredients.name"),
            seed=_seed(stored),
            likelihood=label(spec.get("likelihood"), "ingredients.spec.likelihood"),
            distribution=of_type(str, plugin.get("distribution"), "plugin.distribution"),
            module=label(plugin.get("module"), "ingredients.plugin.module"),
            plugin=plugin,
            hyperparameters=mapping(stored.get("hyperparameters", {}), "hyperparameters"),
            spec=spec,
            budget=mapping(stored.get("budget", {}), "ingredients.budget"),
            hashes=_hashes_of_data(stored),
            samplers=_sampler_labels(stored),
        )

    @property
    def key(self) -> str:
        """The key that a trial of these ingredients has. Raises: Damaged for infinities."""
        try:
            return key_of(self.stored)
        except ValueError:
            raise Damaged("an ingredient is no finite number") from None


def _seed(ingredients: Json) -> int:
    return count(ingredients.get("seed"), "ingredients.seed", 2**64)


def _hashes_of_data(ingredients: Json) -> dict[str, str]:
    """Split -> SHA-256, of data whose name and options are such."""
    data = mapping(ingredients.get("data", {}), "ingredients.data")
    of_type(str, data.get("name", ""), "ingredients.data.name")
    mapping(data.get("options", {}), "ingredients.data.options")
    return texts(data.get("hashes", {}), "ingredients.data.hashes")


def _sampler_labels(ingredients: Json) -> tuple[str, ...]:
    asked = of_type(list, ingredients.get("samplers", [{"label": PRIOR}]), "ingredients.samplers")
    facts = [mapping(one, "ingredients.samplers") for one in asked]
    return tuple(label(one.get("label"), "ingredients.samplers") for one in facts)
