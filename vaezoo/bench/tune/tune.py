"""A tuning: for each variant its default and as many random draws of its hyperparameters, trained
with one budget as a run of the benchmark, and judged by the bound on the validation split.

Draws are independent (random search), so that what the best of n draws is expected to be follows
from them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...registry.registry import Registry
from ...registry.selection import Chosen, resolved
from ...seeds import seed_for
from ..records import Record
from ..store import Store
from ..trial import Json, Trial
from .expected import expected_best
from .space import space

METRIC = "generalisation"
COLUMN = "elbo_validation"  # of METRIC: never the test split


@dataclass(frozen=True)
class Candidates:
    """What is tried of one variant."""

    name: str
    default: str  # the selection of its defaults
    drawn: tuple[str, ...]  # a selection each, in the order in which they were drawn
    ranges: tuple[str, ...]  # "beta from 0.15 … 15, log"
    left: tuple[str, ...] = ()  # hyperparameters that stay at their defaults

    @property
    def selections(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys([self.default, *self.drawn]))


@dataclass(frozen=True)
class Tuned:
    """How the candidates of one variant did on one data set."""

    candidates: Candidates
    dataset: str
    default: float  # bound on the validation split, nats a row, mean over seeds; NaN: none
    values: tuple[float, ...]  # of the draws, NaN where there is none
    best: str  # the selection with the highest bound, "" where none has one

    @property
    def best_value(self) -> float:
        return max((v for v in (self.default, *self.values) if math.isfinite(v)), default=math.nan)

    @property
    def expected(self) -> list[float]:
        """What the best of n draws is expected to be, for n = 1 …: of those that have a number."""
        return expected_best([value for value in self.values if math.isfinite(value)])


def candidates_of(
    registry: Registry, variants: str, trials: int, seed: int = 0
) -> list[Candidates]:
    """`trials` draws for each of these variants; what is given in brackets is not tuned. The draws
    of a variant depend on nothing but its name, the seed and its ranges.

    Raises: SelectionError.
    """
    return [_candidates(one, trials, seed) for one in registry.choose_variants(variants)]


def _candidates(choice: Chosen, trials: int, seed: int) -> Candidates:  # type: ignore[type-arg]
    entry = choice.entry
    given = _given(choice)
    dimensions, left = space(entry.hyperparameters, given)
    generator = np.random.default_rng(seed_for("tune", choice.label, seed))
    drawn = []
    for _ in range(trials if dimensions else 0):
        values = {one.name: str(one.draw(generator)).lower() for one in dimensions}
        drawn.append(resolved(entry, {**given, **values}).label)
    ranges = tuple(f"{one.name} from {one.words}" for one in dimensions)
    return Candidates(entry.name, choice.label, tuple(drawn), ranges, tuple(left))


def _given(choice: Chosen) -> dict[str, str]:  # type: ignore[type-arg]
    """What the brackets of a label say."""
    from ...registry.selection import read_selection

    item = read_selection(choice.label, "variant")[0]
    return {name: values[0] for name, values in item.sweeps.items()}


def results(out: Path, tried: Sequence[Candidates], trials: Sequence[Trial]) -> list[Tuned]:
    """How the candidates did in these trials of the run in `out`; those of another budget may lie
    beside them.
    """
    store = Store(out)
    by_row: dict[tuple[str, str], list[float]] = {}
    for trial in trials:
        value = _value(store.read(trial.key))
        by_row.setdefault((trial.dataset, trial.variant), []).append(value)
    # a seed that failed is not missing at random: with it the mean is NaN
    means = {row: float(np.mean(values)) for row, values in by_row.items()}
    datasets = dict.fromkeys(dataset for dataset, _ in means)
    return [_tuned(one, dataset, means) for dataset in datasets for one in tried]


def _value(record: Record | None) -> float:
    """The trial's bound on the validation split; NaN where it has none."""
    if record is None or not record.is_done or COLUMN in record.refused:
        return math.nan
    return record.metrics.get(COLUMN, math.nan)


def _tuned(tried: Candidates, dataset: str, means: Mapping[tuple[str, str], float]) -> Tuned:
    each = {name: means.get((dataset, name), math.nan) for name in tried.selections}
    known = {selection: one for selection, one in each.items() if math.isfinite(one)}
    best = max(known, key=known.__getitem__, default="")  # of equal ones the first: the default
    drawn = tuple(each[selection] for selection in tried.drawn)
    return Tuned(tried, dataset, each[tried.default], drawn, best)


def as_suite(found: Sequence[Tuned], dataset: str, settings: Json, trials: int) -> str:
    """The suite of default and tuned rows of one data set, as TOML."""
    mine = [one for one in found if one.dataset == dataset and one.best]
    rows = dict.fromkeys(name for one in mine for name in (one.candidates.default, one.best))
    lines = [
        f"# Hyperparameters chosen by {COLUMN} among {trials} random draws and the default.",
        f"title = {_quoted(f'Default and tuned rows on {dataset}')}",
        "variants = [",
        *(f"    {_quoted(name)}," for name in rows),
        "]",
        f"datasets = {_quoted(dataset)}",
        "seeds = 3",
    ]
    if settings:
        pairs = ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
        lines.append(f"set = {{ {pairs} }}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML, which is one of JSON."""
    return json.dumps(text, ensure_ascii=False)


def facts(found: Sequence[Tuned]) -> list[Json]:
    """What tuning.json holds, a value that is not there as null."""
    return [
        {
            "variant": one.candidates.name,
            "dataset": one.dataset,
            "ranges": list(one.candidates.ranges),
            "not_tuned": list(one.candidates.left),
            "default": {"selection": one.candidates.default, COLUMN: _number(one.default)},
            "drawn": [
                {"selection": selection, COLUMN: _number(value)}
                for selection, value in zip(one.candidates.drawn, one.values, strict=True)
            ],
            "best": one.best,
            "expected_best": one.expected,
        }
        for one in found
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
