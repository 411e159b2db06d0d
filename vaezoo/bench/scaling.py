"""Which rows of a plan are tried, and what the others cost by those: of each variant the row on the
smallest and on the largest of like data sets, with all between them on a straight line.

Data are alike where the spec says the same but for shape and rows, and the shape has as many axes.
An epoch costs by the numbers that pass through in it, all else by those of the training split.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .trial import Json, Trial, canonical

BY_DATA = ("data", "seed")  # ingredients that tell rows of one variant apart
BY_SIZE = ("shape", "n_train")  # fields of the spec that do
TRIED = "a few steps"
SCALED = "a few steps, scaled"
OTHERS = "other variants"
CANCELLED = "cancelled"  # the status of an answer that was not waited for
Rows = Mapping[str, Trial]  # name of a row -> one of its trials


@dataclass
class Costs:
    """What is known of each row: its facts, and where they come from."""

    rows: Rows
    facts: dict[str, Json] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def learn(self, answers: Mapping[str, Json]) -> None:
        """Takes the answers of rows that were tried, and estimates the others by them."""
        for name, answer in answers.items():
            if "error" not in answer:
                self._note(name, answer, TRIED)
        families = families_of(self.rows)
        for family in families:
            self._scale(family)
        for family in families:
            # Of a variant that cannot be tried, others say nothing.
            asked = [answers[name] for name in family if name in answers]
            if all(one.get("status") == CANCELLED for one in asked if "error" in one):
                self._take_from_others(family)

    def _note(self, name: str, facts: Json, source: str) -> None:
        self.facts[name] = facts
        self.sources[name] = source

    def _scale(self, family: Sequence[str]) -> None:
        known = [name for name in family if self.sources.get(name) == TRIED]
        if not known:
            return
        for name in family:
            if name not in self.facts:
                self._note(name, self._between(known[0], known[-1], name), SCALED)

    def _between(self, low: str, high: str, name: str) -> Json:
        """The facts of a row on the line through two that are known; they may be one."""
        found = {}
        for fact, load in LOADS.items():
            at_low, at_high, here = (load(self.rows[one]) for one in (low, high, name))
            y_low, y_high = (self.facts[one][fact] for one in (low, high))
            if at_high > at_low:
                found[fact] = y_low + (y_high - y_low) * (here - at_low) / (at_high - at_low)
            elif low == high:  # one alone: what is larger costs as many times more
                found[fact] = y_low * max(1.0, here / at_low)
            else:
                found[fact] = y_low
            found[fact] = max(found[fact], 0.0)
        return found

    def _take_from_others(self, family: Sequence[str]) -> None:
        """Of a variant that nothing is known of, what others take on the same data, in the
        median.
        """
        for name in family:
            data = self.rows[name].data
            like = [one for one in self.facts if self.rows[one].data == data]
            if name in self.facts or not like:
                continue
            facts: Json = {}
            for fact in LOADS:
                facts[fact] = statistics.median(self.facts[one][fact] for one in like)
            self._note(name, facts, OTHERS)


def families_of(rows: Rows) -> list[list[str]]:
    """The names of rows of one variant on like data, the least load first."""
    found: dict[str, list[str]] = {}
    for name, trial in rows.items():
        found.setdefault(_likeness(trial), []).append(name)
    return [sorted(names, key=lambda name: _split(rows[name])) for names in found.values()]


def to_try(rows: Rows) -> list[str]:
    """The names of the rows that are tried: first the small one of each variant, which is quick."""
    families = families_of(rows)
    small = [family[0] for family in families]
    large = [family[-1] for family in families if len(family) > 1]
    return small + large


def _likeness(trial: Trial) -> str:
    facts: dict[str, Any] = {k: v for k, v in trial.ingredients.items() if k not in BY_DATA}
    spec = {name: value for name, value in trial.spec.items() if name not in BY_SIZE}
    facts["spec"] = spec | {"axes": len(trial.spec["shape"])}
    return canonical(facts | {"measures": sorted(trial.measures)})


def _size(trial: Trial) -> int:
    size = 1
    for n in trial.spec["shape"]:
        size *= n
    return size


def _rows(trial: Trial) -> int:
    return int(trial.spec.get("n_train", 1))


def _split(trial: Trial) -> float:
    """Numbers of the training split."""
    return float(_rows(trial) * _size(trial))


def _epoch(trial: Trial) -> float:
    """Numbers that pass through in an epoch."""
    asked = trial.budget.get("steps", 0) * trial.budget.get("batch", 0)
    return float((asked or _rows(trial)) * _size(trial))


LOADS = {"epoch": _epoch, "fixed": _split, "memory": _split, "disk": _split}
