"""Records made by hand, as tests write them."""

import hashlib
from collections.abc import Sequence
from typing import Any

from vaezoo.bench.records import Record

COMMON: dict[str, Any] = {
    "hyperparameters": {},
    "data": {},
    "budget": {},
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
    "stacking": 1,
    "metrics": [],
    "protocol": 1,
}


def as_records(trials: Sequence[dict[str, Any]]) -> list[Record]:
    """Trials with a short word for a key, and little in their ingredients, as records."""
    found = []
    for trial in trials:
        key = hashlib.sha256(trial["key"].encode()).hexdigest()
        ingredients = COMMON | trial["ingredients"]
        found.append(Record.model_validate(trial | {"key": key, "ingredients": ingredients}))
    return found
