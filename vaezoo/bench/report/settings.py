"""In which settings the rows of one name differ."""

from collections.abc import Sequence
from typing import Any

from ..records import Record
from ..trial import canonical
from .alike import Swept, usual

Json = dict[str, Any]
UNSAID = {"precision": "float32"}  # the one value that goes without saying


def settings_apart(rows: Sequence[Json], swept: Swept) -> list[str]:
    """Of each of the rows of one name, given all settings of each: those in which they differ,
    those that are swept, and those that no row may pass over in silence, as this row has them.
    """
    names_of_all = set().union(*rows) if len(rows) > 1 else ()
    differ = {name for name in names_of_all if _values_of(name, rows) > 1}
    found = []
    for mine in rows:
        names = differ | {name for name in swept if name in mine}
        names |= {name for name, usual in UNSAID.items() if mine.get(name) not in (None, usual)}
        found.append(", ".join(f"{name}={_short(mine.get(name))}" for name in sorted(names)))
    return found


def _values_of(name: str, settings: Sequence[Json]) -> int:
    """How many values this setting has among these."""
    return len({canonical(one.get(name)) for one in settings})


def settings_of(record: Record) -> Json:
    """All settings of a trial, by their names."""
    made_of = record.ingredients
    names = ("device", "precision", "threads", "stacking", "protocol", "metrics")
    flat: Json = {name: made_of.stored.get(name) for name in names}
    flat["importance_samples"] = made_of.stored.get("importance_samples")
    flat["samplers"] = ",".join(made_of.samplers)
    flat |= made_of.spec | usual() | made_of.budget | made_of.hyperparameters
    return flat | {"data": dict(made_of.hashes), "plugin": made_of.module}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= 24 else text[:21] + "…"
