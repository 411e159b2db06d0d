"""A trial as trial.json keeps it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from ...hooks import PRIOR, Column, Table
from ..trial import Json, Trial, canonical
from .checks import (
    controls_name,
    count,
    descriptions,
    label,
    mapping,
    number,
    numbers,
    of_type,
    reason,
    shared,
    storable,
    texts,
)
from .ingredients import Ingredients
from .parsing import Damaged

STATUSES = ("done", "skipped", "diverged", "failed", "timeout", "oom", "cancelled")
DIVERGENCE = ("step", "epoch", "term")  # of a trial that diverged
# fields of any trial: name, what it is where the file does not say it, and how it is read
ALWAYS: tuple[tuple[str, Any, Callable[[Any, str], Any]], ...] = (
    ("key", None, partial(of_type, str)),
    ("variant", None, label),
    ("dataset", None, label),
    ("reason", "", reason),
    ("columns", [], partial(descriptions, Column)),
    ("tables", [], partial(descriptions, Table)),
    ("total_seconds", 0.0, number),
    ("resources", {}, numbers),
)
# what trial.json holds of a trial that is done, and of no other
DONE = (
    "metrics",
    "reasons",
    "refused",
    "settings",
    "evaluation_seconds",
    "measures",
    "prior",
    "best_epoch",
    "epochs",
)


@dataclass(frozen=True)
class SamplerRecord:
    """What the metrics of samples say where codes come from one further sampler."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # metric -> what it took

    @classmethod
    def from_json(cls, facts: Any) -> "SamplerRecord":
        stored = mapping(facts, "samplers")
        return cls(
            numbers(stored.get("metrics"), "samplers"),
            texts(stored.get("reasons", {}), "samplers.reasons"),
            texts(stored.get("refused", {}), "samplers.refused"),
            numbers(stored.get("seconds", {}), "samplers.seconds"),
        )

    def with_newer(self, newer: "SamplerRecord", columns: set[str]) -> "SamplerRecord":
        """What is newer in the place of what it said of these columns."""
        return SamplerRecord(
            {**_without(self.metrics, columns), **newer.metrics},
            {**_without(self.reasons, columns), **newer.reasons},
            {**_without(self.refused, columns), **newer.refused},
            {**self.seconds, **newer.seconds},
        )


@dataclass(frozen=True)
class Record:
    """One trial, as trial.json has it. A number that the JSON has as null is NaN."""

    key: str
    variant: str
    dataset: str
    status: str
    ingredients: Ingredients
    reason: str = ""
    controls: str = ""  # the file with the control rows of its data
    columns: tuple[Json, ...] = ()  # the fields of `Column` that it says
    tables: tuple[Json, ...] = ()
    total_seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    # "seconds" of the processor where one thread works, else of the clock; "memory" in bytes
    resources: Mapping[str, float] = field(default_factory=dict)
    divergence: Mapping[str, Any] = field(default_factory=dict)  # step, epoch, term

    # what only a trial that is done has
    metrics: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)  # column -> why it has no number
    # column -> what was seen that cannot be, so that it has no number
    refused: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the evaluation
    evaluation_seconds: Mapping[str, float] = field(default_factory=dict)  # metric -> what it took
    samplers: Mapping[str, SamplerRecord] = field(default_factory=dict)
    prior: str = PRIOR
    measures: Mapping[str, str] | None = None  # metric -> SHA-256 of its file; None: not said
    best_epoch: int = 0
    epochs: int = 0  # that were trained; 0 where the file does not say

    @classmethod
    def of(cls, trial: Trial, status: str, columns: tuple[Json, ...], **more: Any) -> "Record":
        """The record of a trial that ended so."""
        return cls(
            key=trial.key,
            variant=trial.variant,
            dataset=trial.dataset,
            status=status,
            ingredients=Ingredients.from_json(json.loads(canonical(trial.ingredients))),
            controls=trial.controls,
            columns=columns,
            **more,
        )

    @classmethod
    def from_json(cls, facts: Any) -> "Record":
        """Raises: Damaged where the facts are not those of a trial, or its key is not theirs."""
        stored = mapping(facts, "the file")
        ingredients = Ingredients.from_json(stored.get("ingredients"))
        status = _status(stored)
        always = {name: read(stored.get(name, other), name) for name, other, read in ALWAYS}
        found = cls(
            status=status,
            ingredients=ingredients,
            controls=controls_name(stored.get("controls", "")),
            machine=shared(_machine(stored)),
            divergence={name: stored[name] for name in DIVERGENCE if name in stored},
            **always,
            **(_measured(stored, ingredients) if status == "done" else {}),
        )
        if found.key != ingredients.key:
            raise Damaged("its key is not the hash of its ingredients")
        return found

    def to_json(self) -> Json:
        """What trial.json holds."""
        always = ("key", "variant", "dataset", "status", "reason", "controls", "columns", "tables")
        ended = ("total_seconds", "machine", "resources")
        names = (*always, *ended, *DONE) if self.is_done else (*always, *ended)
        facts = {name: getattr(self, name) for name in names}
        facts["ingredients"] = self.ingredients.stored
        facts |= self.divergence
        if self.is_done:
            facts["samplers"] = {name: asdict(one) for name, one in self.samplers.items()}
        if self.measures is None:
            facts.pop("measures", None)
        return storable(facts)

    def with_newer(self, newer: "Record") -> "Record":
        """What this trial says once some of its metrics were measured again: the columns of `newer`
        take the place of its own.
        """
        anew = {column["name"] for column in newer.columns}
        columns = tuple(column for column in self.columns if column["name"] not in anew)
        tables = {one["name"]: one for one in (*self.tables, *newer.tables)}

        return replace(
            self,
            metrics={**_without(self.metrics, anew), **newer.metrics},
            reasons={**_without(self.reasons, anew), **newer.reasons},
            refused={**_without(self.refused, anew), **newer.refused},
            settings={**self.settings, **newer.settings},
            evaluation_seconds={**self.evaluation_seconds, **newer.evaluation_seconds},
            measures={**(self.measures or {}), **(newer.measures or {})},
            samplers=self._newer_samplers(newer, anew),
            columns=columns + newer.columns,
            tables=tuple(tables.values()),
        )

    def _newer_samplers(self, newer: "Record", columns: set[str]) -> dict[str, SamplerRecord]:
        merged = dict(self.samplers)
        for name, found in newer.samplers.items():
            merged[name] = merged.get(name, SamplerRecord()).with_newer(found, columns)
        return merged

    def lacks(self, measures: Mapping[str, str]) -> list[str]:
        """Those of these metrics (name -> SHA-256) that it has not, or by other code."""
        if not self.is_done or self.measures is None:
            return []
        return [name for name, source in measures.items() if self.measures.get(name) != source]

    @property
    def seed(self) -> int:
        return self.ingredients.seed

    @property
    def is_done(self) -> bool:
        return self.status == "done"

    @property
    def torch(self) -> str:
        """Its version; "" where training did not begin."""
        return self.machine.get("torch", "")

    @property
    def is_cut_short(self) -> bool | None:
        """Whether training ended by the limit of epochs, and not because the validation loss had
        stopped falling; None where the file does not say.
        """
        patience = self.ingredients.budget.get("patience")
        if not self.epochs or not isinstance(patience, int):
            return None
        return self.epochs - self.best_epoch < patience

    @property
    def has_refused(self) -> bool:
        """Whether a number of it, or of a further sampler, cannot be."""
        return bool(self.refused) or any(one.refused for one in self.samplers.values())

    @property
    def leading(self) -> tuple[Json, float] | None:
        """The first column that leads a table and has a number, with it."""
        order = {table["name"]: table.get("order", 0) for table in self.tables}
        leads = [column for column in self.columns if column.get("lead") == 1]
        for column in sorted(leads, key=lambda one: order.get(one.get("table"), 0)):
            value = self.metrics.get(column["name"], math.nan)
            if math.isfinite(value):
                return column, value
        return None


def _measured(stored: Json, ingredients: Ingredients) -> Json:
    """The fields that only a trial that is done has."""
    by_label = mapping(stored.get("samplers", {}), "samplers")
    samplers = {name: SamplerRecord.from_json(one) for name, one in by_label.items()}
    missing = set(ingredients.samplers) - {PRIOR, *samplers}
    if missing:
        raise Damaged(f"it has no numbers of the sampler {min(missing)}")

    return {
        "metrics": numbers(stored.get("metrics"), "metrics"),
        "reasons": texts(stored.get("reasons", {}), "reasons"),
        "refused": texts(stored.get("refused", {}), "refused"),
        "settings": shared(_settings(stored)),
        "evaluation_seconds": numbers(stored.get("evaluation_seconds", {}), "evaluation_seconds"),
        "samplers": samplers,
        "prior": label(stored.get("prior", PRIOR), "prior"),
        "measures": texts(stored["measures"], "measures") if "measures" in stored else None,
        "best_epoch": count(stored.get("best_epoch"), "best_epoch"),
        "epochs": count(stored.get("epochs", 0), "epochs"),
    }


def _status(stored: Json) -> str:
    status = stored.get("status")
    if status not in STATUSES:
        raise Damaged(f"its status is {status!r}")
    return status


def _machine(stored: Json) -> Json:
    machine = mapping(stored.get("machine", {}), "machine")
    of_type(str, machine.get("torch", ""), "machine.torch")
    return machine


def _settings(stored: Json) -> Json:
    settings = mapping(stored.get("settings", {}), "settings")
    for name, value in settings.items():
        if not isinstance(value, str):
            number(value, f"settings.{name}")
    return settings


def _without(facts: Mapping[str, Any], names: set[str]) -> Json:
    return {name: value for name, value in facts.items() if name not in names}
