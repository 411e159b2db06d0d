"""Today's ranges applied to the trials of earlier code, whose numbers were judged by other rules or
by none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ...evaluation.possible import impossible
from ...hooks import Column
from ..records import Record, SamplerRecord
from .catalogue import catalogue_of
from .rows import Row

R = TypeVar("R", Record, SamplerRecord)
NO_NUMBER = "it came out as "  # what earlier code said of NaN and infinities


def judged(rows: Sequence[Row]) -> list[Row]:
    """The rows, of which today's rules refuse what they refuse."""
    columns = catalogue_of(rows).columns
    found = []
    for row in rows:
        trials = tuple(_trial(trial, columns) for trial in row.trials)
        is_new = any(one is not other for one, other in zip(trials, row.trials, strict=True))
        found.append(replace(row, trials=trials) if is_new else row)
    return found


def _trial(trial: Record, columns: Mapping[str, Column]) -> Record:
    if not trial.is_done:
        return trial
    samplers = {}
    for label, one in trial.samplers.items():
        samplers[label] = _judged(one, columns, trial)
    own = _judged(trial, columns, trial)
    return replace(own, samplers=samplers) if samplers else own


def _judged(numbers: R, columns: Mapping[str, Column], trial: Record) -> R:
    found = impossible(columns, numbers.metrics, trial.settings)
    for name, reason in numbers.reasons.items():
        if reason.startswith(NO_NUMBER):
            found[name] = f"{name} came out as {reason.removeprefix(NO_NUMBER)}"
    return replace(numbers, refused={**found, **numbers.refused}) if found else numbers
