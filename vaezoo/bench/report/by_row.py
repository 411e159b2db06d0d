"""What the numbers of single test rows say: how far the choice of the test rows moves the number of
one model, and the difference of two.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hooks import Column
from .rows import Row
from .statistics import Sample


def row_error(row: Row, column: str) -> float:
    """The standard error over the test rows, for one model: the root mean square of those of its
    seeds. NaN where no seed knows its rows.
    """
    return _root_mean_square([_error(each) for each in row.by_test_row.get(column, {}).values()])


def paired_error(a: Row, b: Row, column: str) -> float:
    """That of the difference of two models of one seed, paired by test row."""
    of_a = a.by_test_row.get(column, {})
    of_b = b.by_test_row.get(column, {})
    both = [seed for seed in of_a if seed in of_b and of_a[seed].shape == of_b[seed].shape]
    return _root_mean_square([_error(of_a[seed] - of_b[seed]) for seed in both])


def errors_of(rows: Sequence[Row], column: Column) -> tuple[float, float]:
    """Of these rows the median standard error over the test rows, and that of the difference from
    the row with the best mean; NaN where there is none.
    """
    known = [row for row in rows if column.name in row.by_test_row]
    if not known:
        return math.nan, math.nan
    sign = 1.0 if column.better == "lower" else -1.0
    best = min(known, key=lambda row: sign * row.interval(column.name).mean)
    of_one = [row_error(row, column.name) for row in known]
    of_two = [paired_error(row, best, column.name) for row in known if row is not best]
    return _median(of_one), _median(of_two)


def averaged(a: Row, b: Row, column: str) -> tuple[Sample, Sample]:
    """The numbers of both by test row, their mean over the seeds that both have; nothing where
    there are none.
    """
    of_a = a.by_test_row.get(column, {})
    of_b = b.by_test_row.get(column, {})
    seeds = sorted(set(of_a) & set(of_b))
    each = [of_a[seed] for seed in seeds], [of_b[seed] for seed in seeds]
    if len({len(numbers) for numbers in (*each[0], *each[1])}) != 1:
        return {}, {}

    # (seeds, N) -> (N,)
    mean_a, mean_b = (np.mean(numbers, 0).tolist() for numbers in each)
    return dict(enumerate(mean_a)), dict(enumerate(mean_b))


def why_no_rows(a: Row, b: Row) -> str:
    """Why these two cannot be paired by test row; "" where some number can."""
    for name, row in (("A", a), ("B", b)):
        if row.done and not row.by_test_row:
            return f"{name} has kept no numbers of its test rows: run it again to measure them"
    return ""


def _error(each: NDArray[np.floating]) -> float:
    """The standard error of the mean of N numbers; NaN of a single one."""
    return float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan


def _median(errors: Sequence[float]) -> float:
    finite = [error for error in errors if math.isfinite(error)]
    return float(np.median(finite)) if finite else math.nan


def _root_mean_square(errors: Sequence[float]) -> float:
    return math.sqrt(math.fsum(e * e for e in errors) / len(errors)) if errors else math.nan
