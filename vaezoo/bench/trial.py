"""A trial: one variant × data set × seed × budget, and the key that says which numbers it will
give.

A trial's key is the SHA-256 of the canonical JSON of its ingredients: two trials with one key would
give the same numbers. Neither the label of a row nor the other trials of the run are among them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ..hooks import PRIOR
from ..training.budget import stated

PROTOCOL = 3  # raised when numbers of old trials stop being comparable with new ones
DRAWS = 100  # K unless another is asked for
Json = dict[str, Any]
OWN: Json = {"name": PRIOR, "label": PRIOR, "hyperparameters": {}, "source_hash": ""}


# What is measured has an identity of its own: a new metric needs no new training.
NOT_IN_KEY = ("variant", "dataset", "options", "metrics", "measures", "skip", "alone")


@dataclass(frozen=True)
class Trial:
    """One variant × data set × seed × budget. All fields but `NOT_IN_KEY` enter
    the key.
    """

    variant: str  # the label of its row, such as "beta[beta=4.0]"
    name: str
    hyperparameters: Json
    plugin: Json  # distribution, version, module, source_hash
    dataset: str
    data: Json  # name, options (without paths), hashes of the splits: what it is, not where
    spec: Json
    seed: int
    budget: Json
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    stacking: int = 1  # places of the stack that it is trained in
    metrics: tuple[str, ...] = ()  # empty for all
    importance_samples: int = DRAWS  # K of the estimate of log p(x)
    # name, label, hyperparameters, source_hash: the sample metrics of each
    samplers: tuple[Json, ...] = (OWN,)
    options: Json = field(default_factory=dict)  # of the data set, all of them
    measures: Json = field(default_factory=dict)  # metric -> SHA-256 of the file that brings it
    skip: str = ""  # why it cannot be trained
    alone: str = ""  # why it is not trained in a stack, where that was asked for

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Trial":
        """The trial of its fields, as JSON has them."""
        lists = {"metrics": tuple(facts["metrics"]), "samplers": tuple(facts["samplers"])}
        return cls(**{**facts, **lists})

    @property
    def ingredients(self) -> Json:
        """All that the numbers of this trial depend on."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_IN_KEY}
        return facts | {"budget": stated(self.budget), "protocol": PROTOCOL}

    @cached_property
    def key(self) -> str:
        return key_of(self.ingredients)

    @property
    def controls(self) -> str:
        """The file with the control rows of its data set."""
        return controls_file(self.data["hashes"], self.spec["likelihood"])

    @property
    def title(self) -> str:
        return f"{self.variant} on {self.dataset}, seed {self.seed}"


def controls_file(hashes: Mapping[str, str], likelihood: str) -> str:
    """The file with the control rows of data of these hashes, by the content of all splits."""
    content = hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode())
    name = re.sub(r"[^\w.]+", "-", likelihood).strip("-")
    return f"controls/{content.hexdigest()[:12]}-{name}.json"


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def key_of(ingredients: Any) -> str:
    """The key of a trial: names of files may hold halves of letters, which have one too.

    Raises: ValueError for infinities.
    """
    return hash_of(canonical(ingredients))


def hash_of(text: str) -> str:
    """The SHA-256 of a canonical text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value."""
    return _CANONICAL.encode(value)
