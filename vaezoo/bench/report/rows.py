"""Trials gathered into the rows of a table: the seeds of one variant on one data set under one
setting.

Trials that differ in anything but the seed are never in one row. Where a row's trials were trained
again with a newer version of their plugin, the trials of the newest plan count.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hooks import PRIOR
from ...training.budget import SKIPPED
from ..records import Record, RowRecord
from ..trial import canonical
from .alike import ALIKE, Standing, Swept, standings
from .settings import settings_apart, settings_of
from .statistics import Interval, Sample, interval

Json = dict[str, Any]
COST = ("parameters", "train_seconds")
PAID = (SKIPPED, *COST)  # the first of those alone that may leave steps out


@dataclass(frozen=True)
class Row:
    """One row: its trials, one a seed."""

    variant: str
    dataset: str
    settings: str  # what sets it apart from rows of the same name, such as "epochs=5"; mostly ""
    trials: tuple[Record, ...]
    # where the codes of its samples come from; another row of the same trials for every other one
    sampler: str = PRIOR
    # of its data: control row -> column -> number
    controls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    standing: Standing = ALIKE  # which rows of its data set it may be compared with
    # key of a trial -> what its test rows have
    of_rows: Mapping[str, RowRecord] = field(default_factory=dict)
    is_reference: bool = False  # of the results that come with the package, not of this run

    @property
    def name(self) -> str:
        """The variant, with its settings where they are needed to tell it apart."""
        return f"{self.variant} {{{self.settings}}}" if self.settings else self.variant

    @cached_property
    def done(self) -> tuple[Record, ...]:
        return tuple(trial for trial in self.trials if trial.is_done)

    @property
    def status(self) -> str:
        """One status, or a count of each such as "2 done, 1 failed"."""
        counts = Counter(trial.status for trial in self.trials)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))

    @property
    def reason(self) -> str:
        """Why trials are not done, each reason once."""
        reasons = [trial.reason for trial in self.trials if not trial.is_done]
        return "; ".join(dict.fromkeys(reason for reason in reasons if reason))

    @cached_property
    def refused(self) -> dict[str, str]:
        """Column -> what some seed saw that cannot be. The other seeds have no number either: what
        broke the one may have bent them.
        """
        found: dict[str, str] = {}
        for trial in self.done:
            for column, seen in trial.refused.items():
                found.setdefault(column, f"refused in seed {trial.seed}: {seen}")
        return found

    def why_missing(self, column: str) -> str:
        """Why a column has no number, by its metric; of a number, what kind it is."""
        return self.remarks.get(column, "")

    @cached_property
    def remarks(self) -> Mapping[str, str]:
        """Column -> what `why_missing` says of it, of those of which it says something."""
        return {**self._reasons, **self.refused}

    @cached_property
    def _reasons(self) -> dict[str, str]:
        """Column -> the first reason that a seed gives."""
        found: dict[str, str] = {}
        for reasons in {id(trial.reasons): trial.reasons for trial in self.done}.values():
            for column, reason in reasons.items():
                if reason:
                    found.setdefault(column, reason)
        return found

    def setting(self, name: str) -> Any:
        """What the evaluation says of itself under this name, in the first seed that does; else
        "".
        """
        known = [trial.settings for trial in self.done if name in trial.settings]
        return known[0][name] if known else ""

    def measured_by(self, metric: str) -> frozenset[str]:
        """The SHA-256 of the code by which its seeds were measured; "" of one that does not say."""
        if metric not in self._measured_by:
            codes = ((trial.measures or {}).get(metric, "") for trial in self.done)
            self._measured_by[metric] = frozenset(codes)
        return self._measured_by[metric]

    @cached_property
    def _measured_by(self) -> dict[str, frozenset[str]]:
        """Those that were asked for."""
        return {}

    @property
    def seeds(self) -> list[int]:
        """The seeds that are done."""
        return [trial.seed for trial in self.done]

    @cached_property
    def cut_short(self) -> int | None:
        """In how many seeds training ended by the limit of epochs; None where a seed does not
        say.
        """
        known = [trial.is_cut_short for trial in self.done]
        return None if None in known or not known else sum(map(bool, known))

    @property
    def is_own_prior(self) -> bool:
        """Whether the codes of its samples come from the model's own prior."""
        return self.sampler == PRIOR

    @property
    def sampler_in_words(self) -> str:
        """The sampler; of the model's own prior also whether that is fitted after training."""
        return self.done[0].prior if self.done and self.sampler == PRIOR else self.sampler

    def by_sampler(self) -> list["Row"]:
        """One row for each sampler that was asked for, such as "vae" and "vae + mixture"."""
        labels = dict.fromkeys(
            label for trial in self.trials for label in trial.ingredients.samplers
        )
        return (
            [self if label == PRIOR else self._with(label) for label in labels]
            if self.done
            else [self]
        )

    def _with(self, label: str) -> "Row":
        trials = tuple(_sampled(trial, label) if trial.is_done else trial for trial in self.trials)
        named = f"{self.variant} + {label}"
        return replace(self, variant=named, trials=trials, sampler=label, of_rows={})

    def sample(self, column: str) -> Sample:
        """seed -> value, the seeds that have a number; none where one was refused."""
        seeds, of_column = self._numbers
        numbers = of_column.get(column, ())
        pairs = zip(seeds, numbers, strict=False)  # there may be none
        return {seed: x for seed, x in pairs if x is not None and math.isfinite(x)}

    @cached_property
    def _numbers(self) -> tuple[list[int], dict[str, tuple[float | None, ...]]]:
        """The seeds that are done, in order, and column -> what each of them has, None where it has
        nothing; without the columns of which one was refused.
        """
        by_seed = {trial.seed: trial.metrics for trial in self.done}
        seeds = sorted(by_seed)
        known = dict.fromkeys(chain.from_iterable(by_seed.values()))
        names = [name for name in known if name not in self.refused]
        each = [map(by_seed[seed].get, names) for seed in seeds]
        return seeds, dict(zip(names, zip(*each, strict=True), strict=True))

    @cached_property
    def by_test_row(self) -> dict[str, dict[int, NDArray[np.float64]]]:
        """column -> seed -> the numbers of its test rows, (N,), where they are known and none was
        refused.
        """
        found: dict[str, dict[int, NDArray[np.float64]]] = {}
        for trial in self.done:
            known = self.of_rows.get(trial.key, RowRecord()).of_rows
            for column in set(known) - set(self.refused):
                found.setdefault(column, {})[trial.seed] = known[column].astype(float)
        return found

    def interval(self, column: str) -> Interval:
        found = self._intervals.get(column)
        if found is None:
            numbers = self._numbers[1].get(column, ())
            finite = [x for x in numbers if x is not None and math.isfinite(x)]
            found = self._intervals[column] = interval(finite)
        return found

    def has(self, column: str) -> bool:
        """Whether some seed has a number."""
        return self.interval(column).n > 0

    @cached_property
    def _intervals(self) -> dict[str, Interval]:
        """Those that were asked for: each is written in several forms."""
        return {}


def _sampled(trial: Record, label: str) -> Record:
    """The trial with what it measured of one sampler, and what its training cost."""
    found = trial.samplers[label]
    costs = {name: trial.metrics[name] for name in PAID if name in trial.metrics}
    metrics = {**found.metrics, **costs}
    return replace(trial, metrics=metrics, reasons=found.reasons, refused=found.refused)


def rows_of(
    records: Sequence[Record], planned: Sequence[str] = (), swept: Swept | None = None
) -> list[Row]:
    """The rows, by data set, then in the order of the plan, then by name; `swept` are the settings
    of which several values were asked for.
    """
    swept = swept or {}
    known: dict[tuple[Any, ...], str] = {}
    order = {key: i for i, key in enumerate(planned)}
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (order.get(r.key, len(order)), r.variant, r.key)):
        groups.setdefault(_identity(record, known), []).append(record)
    found = [_one_per_seed(group) for group in groups.values()]
    return _with_standing(_named(found, swept), swept)


def _named(found: Sequence[tuple[Record, ...]], swept: Swept) -> list[Row]:
    """Rows of these trials; those of one variant and data set are told apart by their settings."""
    by_name: dict[tuple[str, str], list[tuple[Record, ...]]] = {}
    for trials in found:
        by_name.setdefault((trials[0].variant, trials[0].dataset), []).append(trials)
    named = []
    for name, others in by_name.items():
        settings = settings_apart([settings_of(trials[0]) for trials in others], swept)
        named += [Row(*name, *each) for each in zip(settings, others, strict=True)]
    return named


def _with_standing(rows: Sequence[Row], swept: Swept) -> list[Row]:
    """The rows by data set, each with whom it may be compared."""
    by_data: dict[str, list[Row]] = {}
    # stable: the plan's order stays
    for row in sorted(rows, key=lambda row: _natural(row.dataset)):
        by_data.setdefault(row.dataset, []).append(row)
    found = []
    for group in by_data.values():
        each = standings([row.done for row in group], swept)
        found += [replace(row, standing=one) for row, one in zip(group, each, strict=True)]
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """rows=50 comes before rows=100."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def _identity(record: Record, known: dict[tuple[Any, ...], str]) -> str:
    """What trials of one row share: all ingredients but the seed and the plugin's version. Records
    mostly hold what they say alike as one object, so that `known` has the text.
    """
    made_of = record.ingredients
    facts = {k: v for k, v in made_of.stored.items() if k not in ("seed", "plugin")}
    others = record.dataset, made_of.distribution, made_of.module
    objects = (*others, *facts, *map(id, facts.values()))
    if objects not in known:
        dataset, *plugin = others
        known[objects] = canonical([dataset, facts, *plugin])
    return known[objects]


def _one_per_seed(group: Sequence[Record]) -> tuple[Record, ...]:
    """The first trial of each seed: those of the plan come first."""
    by_seed: dict[int, Record] = {}
    source = group[0].ingredients.plugin  # versions of a plugin are not mixed in one row
    for record in group:
        if record.ingredients.plugin == source:
            by_seed.setdefault(record.seed, record)
    return tuple(by_seed[seed] for seed in sorted(by_seed))
