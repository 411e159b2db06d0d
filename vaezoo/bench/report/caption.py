"""What a reader must know of a table: n, seeds, the rule for bold, who is compared with whom."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...hooks import PRIOR, Column
from .best import NONE, RULES, excess
from .by_row import errors_of
from .rows import Row
from .tables import ResultTable

REFUSED = "†"
CUT_SHORT = (
    "At limit: seeds whose training ended by the limit of epochs, before the validation loss had "
    "stopped falling"
)
FITTED = (
    "Row + sampler: the same trained model, its codes drawn from a density fitted to the codes "
    "of the training split"
)


def caption(table: ResultTable, dataset: str, columns: Sequence[Column]) -> str:
    """The caption of one data set's part of a table that shows these columns."""
    return ". ".join(sentences(table, dataset, columns)) + "."


def sentences(table: ResultTable, dataset: str, columns: Sequence[Column]) -> list[str]:
    """The sentences of the caption, without their full stops."""
    rows = table.of(dataset)
    found = [
        _seeds(rows),
        *_test_rows(table, dataset, columns),
        *_bold(table, dataset, columns),
        *_power(table, dataset, columns),
        *_won_by_noise(table, dataset, columns),
        *_beyond(table, dataset, columns),
        *_levels(rows),
        *_marks(rows, columns),
        *_machines(rows),
    ]
    if dataset in table.settings:
        found.append(f"Evaluation: {_brief(table.settings[dataset])}")
    if table.set_aside:
        found.append(f"Files that are set aside because they do not fit: {table.set_aside}")
    return found


def _seeds(rows: Sequence[Row]) -> str:
    seeds = sorted({seed for row in rows for seed in row.seeds})
    named = ", ".join(map(str, seeds)) or "none done"
    return (
        f"Mean ± half width of the 95 % Student-t interval over n seeds ({named}); the test set's "
        "own error is not in it"
    )


def _test_rows(table: ResultTable, dataset: str, columns: Sequence[Column]) -> Iterator[str]:
    """The test set's own error in the columns that lead."""
    rows = [row for row in table.of(dataset) if not table.apart(row)]
    of_one = list[str]()
    of_two = list[str]()
    for column in columns:
        one, two = errors_of(rows, column) if column.lead else (math.nan, math.nan)
        for error, said in ((one, of_one), (two, of_two)):
            if math.isfinite(error):
                said.append(f"{error:.{column.digits + 1}f} in {in_words(column.name)}")
    if of_one:
        yield (
            "Over the test rows, for one model, the standard error is, in the median of this "
            "table, " + ", ".join(of_one)
        )
    if of_two:
        yield f"Of the difference of two models, paired by test row, it is {', '.join(of_two)}"


def _bold(table: ResultTable, dataset: str, columns: Sequence[Column]) -> Iterator[str]:
    """The rules by which the columns have bold rows, or why none has."""
    better = [column for column in columns if column.better]
    rules = sorted({table.best[dataset, column.name].rule for column in better})
    for rule in rules:
        if rule != NONE:
            yield f"Bold: not significantly worse than the best by {RULES[rule]}"
    if rules == [NONE]:
        yield RULES[NONE][0].upper() + RULES[NONE][1:]


def _power(table: ResultTable, dataset: str, columns: Sequence[Column]) -> Iterator[str]:
    """What the seeds can tell apart, of the first column that is tested."""
    for column in columns:
        gap = table.best[dataset, column.name].visible
        if column.better and math.isfinite(gap):
            seeds = max(len(row.seeds) for row in table.of(dataset))
            size = f"{gap:.{column.digits}f} {column.unit}".strip()
            yield (
                f"Power: with {seeds} seeds, two rows of median spread must be {size} apart in "
                f"{in_words(column.name)} for one to be called worse"
            )
            return


def _won_by_noise(table: ResultTable, dataset: str, columns: Sequence[Column]) -> Iterator[str]:
    """The columns in which samples without a model do as well as training rows."""
    better = [column for column in columns if column.better]
    won = [in_words(one.name) for one in better if table.is_won_by_noise(dataset, one)]
    if won:
        yield (
            f"Not compared in {', '.join(won)}: there a control row without a model does as well "
            "as the best that there is"
        )


def _beyond(table: ResultTable, dataset: str, columns: Sequence[Column]) -> Iterator[str]:
    """The columns in which a row is beyond what real data have."""
    found = []
    for column in columns:
        limit = table.limit(dataset, column)
        if math.isnan(limit) or table.is_won_by_noise(dataset, column):
            continue
        samples = [row.sample(column.name) for row in table.of(dataset)]
        if any(excess(limit, sample, column.better) for sample in samples):
            found.append(in_words(column.name))
    if found:
        yield f"Beyond the control row of real data no number is better, in {', '.join(found)}"


def _levels(rows: Sequence[Row]) -> Iterator[str]:
    """Where settings are swept: that rows are compared within one setting."""
    levels = list(dict.fromkeys(row.standing.level for row in rows if row.done))
    if len(levels) > 1:
        swept = dict.fromkeys(one.partition("=")[0] for one in ", ".join(levels).split(", "))
        yield f"Rows are compared with those of the same {' and '.join(map(in_words, swept))}"


def _machines(rows: Sequence[Row]) -> Iterator[str]:
    """Where they differ: what the trials were computed on."""
    names = ("platform", "device", "torch")
    own = [trial for row in rows if not row.is_reference for trial in row.done if trial.machine]
    found = Counter(", ".join(str(one.machine.get(name, "?")) for name in names) for one in own)
    if len(found) > 1:
        each = "; ".join(f"{words} ({n} trials)" for words, n in sorted(found.items()))
        yield f"The trials were made on {len(found)} machines: {each}"


def _marks(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """What stands beside names and numbers, where it does."""
    if any(row.cut_short for row in rows):
        yield CUT_SHORT
    if any(row.sampler != PRIOR for row in rows):
        yield FITTED
    names = {column.name for column in columns}
    if any(not names.isdisjoint(row.refused) for row in rows):
        yield f"{REFUSED}: numbers that cannot be are left out, and a footnote says why"


def _brief(settings: Mapping[str, Any]) -> str:
    """The settings in one line, a SHA-256 by its first twelve digits."""
    words = []
    for name, value in settings.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        words.append(f"{in_words(name)} {text[:12] if len(text) == 64 else text}")
    return ", ".join(words)


def in_words(name: str) -> str:
    """A column's or a setting's name as text."""
    return name.replace("_", " ")
