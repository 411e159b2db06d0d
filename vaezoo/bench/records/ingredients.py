"""What a trial's numbers depend on, as trial.json keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ...hooks import PRIOR
from ..trial import Json, canonical, hash_of
from .checks import count, file_name, label, mapping, of_type, once, shared, text_of, texts
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
    around: tuple[str, str] = ("", "")  # what stands before and after the seed where it is hashed

    @classmethod
    def from_json(cls, facts: Any) -> "Ingredients":
        """Raises: Damaged."""
        stored = dict(mapping(facts, "ingredients"))
        seed = _seed(stored.pop("seed", None))
        # all but the seed is mostly what other trials say too
        text = " ".join(f"{name!r} {text_of(value)}" for name, value in stored.items())
        alike = once(f"ingredients {text}", partial(cls._unseeded, stored))
        return replace(alike, seed=seed, stored={**alike.stored, "seed": seed})

    @classmethod
    def _unseeded(cls, facts: Json) -> "Ingredients":
        stored = {name: shared(value) for name, value in facts.items()}
        plugin = mapping(stored.get("plugin"), "ingredients.plugin")
        spec = mapping(stored.get("spec"), "ingredients.spec")
        return cls(
            stored=stored,
            name=file_name(stored.get("name"), "ingredients.name"),
            seed=0,
            likelihood=label(spec.get("likelihood"), "ingredients.spec.likelihood"),
            distribution=of_type(str, plugin.get("distribution"), "plugin.distribution"),
            module=label(plugin.get("module"), "ingredients.plugin.module"),
            plugin=plugin,
            hyperparameters=mapping(stored.get("hyperparameters", {}), "hyperparameters"),
            spec=spec,
            budget=mapping(stored.get("budget", {}), "ingredients.budget"),
            hashes=_hashes_of_data(stored),
            samplers=_sampler_labels(stored),
            around=_around_the_seed(stored),
        )

    @property
    def key(self) -> str:
        """The key that a trial of these ingredients has."""
        return hash_of(str(self.seed).join(self.around))


def _around_the_seed(facts: Json) -> tuple[str, str]:
    """The two pieces of the canonical text of facts and a seed. Raises: Damaged for infinities."""
    try:
        before = {name: value for name, value in facts.items() if name < "seed"}
        after = {name: value for name, value in facts.items() if name > "seed"}
        begin = canonical(before).removesuffix("}") + "," * bool(before) + '"seed":'
        return begin, "," * bool(after) + canonical(after).removeprefix("{")
    except ValueError:
        raise Damaged("an ingredient is no finite number") from None


def _seed(value: Any) -> int:
    return count(value, "ingredients.seed", 2**64)


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
