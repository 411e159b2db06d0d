"""Which rows of a column are bold: those not significantly worse than the best, at 5 % a column.

The best row is chosen by the numbers that it is then compared with, and every row is compared.
So the whole rule is simulated with equal means and the rows' own variances, and a row is called
worse only where its distance to the best exceeds what 95 % of such columns stay below.

Variances of few seeds say little. Each is moderated towards what all rows have in common
(Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), §3), but never below the row's own: rows of one
table may differ in spread by a factor of fifty, and a row that really is noisy stays noisy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .statistics import ALPHA, Sample, rounded_variance

DRAWS = 4000  # simulated columns; the error of the rate is about 0.3 %
NOT_POOLED = 1e6  # degrees of freedom where the log variances vary no more than by chance

Array = NDArray[np.float64]

SIMULATED = "simulated"
NONE = "none"
RULES = {
    SIMULATED: "the distance to the best in moderated standard errors (Smyth 2004), its critical "
    "value simulated for these rows with equal means, α = 0.05 a column",
    NONE: "nothing is bold where fewer than two rows have two seeds or more: no test could tell "
    "them apart",
}


@dataclass(frozen=True)
class Best:
    """What is bold in one column, and how far a row must be away to be called worse."""

    rows: frozenset[str]
    rule: str  # a key of `RULES`
    visible: float = math.nan  # the gap between two rows of median spread that the test can see


NO_BEST = Best(frozenset(), NONE)


def best_rows(samples: Mapping[str, Sample], better: str, resolution: float = 0.0) -> Best:
    """The rows to print bold, `better` being "lower" or "higher".

    A row that lacks a seed takes no part: seeds that failed are not missing at random.
    `resolution` is the last decimal that the column shows; no spread is taken to be smaller.
    """
    most = max((len(sample) for sample in samples.values()), default=0)
    names = [name for name, sample in samples.items() if len(sample) == most]
    if better not in ("lower", "higher") or most < 2 or len(names) < 2:
        return NO_BEST

    sign = 1.0 if better == "lower" else -1.0
    values = sign * np.array([list(samples[name].values()) for name in names])  # (rows, seeds)
    means = values.mean(1)
    variances = moderated(_variances(values, resolution), most - 1)

    limit = critical_value(variances, most)
    bold = distances(means, variances / most) <= limit
    visible = limit * math.sqrt(2 * float(np.median(variances)) / most)
    return Best(frozenset(np.array(names)[bold].tolist()), SIMULATED, visible)


def _variances(values: Array, resolution: float) -> Array:
    """(rows, seeds) -> (rows,): none below that of numbers rounded to the resolution."""
    return np.maximum(values.var(1, ddof=1), rounded_variance(values, resolution))


def together(each: Sequence[Best]) -> Best:
    """What is bold in a column whose rows are compared in groups; the largest of the gaps."""
    simulated = [one for one in each if one.rule == SIMULATED]
    if not simulated:
        return NO_BEST
    rows = frozenset().union(*(one.rows for one in simulated))
    return Best(rows, SIMULATED, max(one.visible for one in simulated))


def distances(means: Array, variances: Array) -> Array:
    """(…, rows): how far each mean lies above the lowest, in standard errors of the difference.

    `variances` are those of the means.
    """
    best = means.argmin(-1)[..., None]
    gap = means - np.take_along_axis(means, best, -1)
    spread = variances + np.take_along_axis(variances, best, -1)
    return gap / np.sqrt(spread)


def critical_value(variances: Array, seeds: int) -> float:
    """What the largest distance exceeds in 5 % of columns with equal means and these variances.

    Every simulated column goes through the whole rule: its best is chosen, its variances are
    estimated from `seeds` values and moderated anew. The draws are the same at every call.
    """
    normals, squares = _draws(DRAWS, len(variances), seeds - 1)
    means = normals * np.sqrt(variances / seeds)
    seen = variances * squares / (seeds - 1)
    largest = distances(means, moderated(seen, seeds - 1) / seeds).max(-1)
    return float(np.quantile(largest, 1 - ALPHA))


@lru_cache(maxsize=2)  # the columns of a table mostly share their rows and seeds
def _draws(columns: int, rows: int, df: int) -> tuple[Array, Array]:
    """(columns, rows) each: standard normals, and χ² of `df` degrees of freedom."""
    generator = np.random.default_rng(0)
    shape = columns, rows
    return generator.normal(size=shape), generator.chisquare(df, shape)


def moderated(s2: Array, df: int) -> Array:
    """(…, rows): variances shrunk towards their common scale, never below the row's own.

    s̃² = (d₀ s₀² + d s²) / (d₀ + d), with d₀ and s₀² by the moments of log s² (Smyth 2004, §6.2).
    """
    logs = np.log(s2) - special.digamma(df / 2) + math.log(df / 2)
    excess = logs.var(-1, ddof=1, keepdims=True) - special.polygamma(1, df / 2)
    prior_df = np.where(excess > 1e-6, 2 * _inverse_trigamma(excess), NOT_POOLED)
    log_prior = logs.mean(-1, keepdims=True) + special.digamma(prior_df / 2) - np.log(prior_df / 2)
    shrunk = (prior_df * np.exp(log_prior) + df * s2) / (prior_df + df)
    return np.maximum(shrunk, s2)


def _inverse_trigamma(value: Array) -> Array:
    """x with ψ'(x) = value, by interpolation on a logarithmic grid (error below 1e-5 of x)."""
    logs_of_x, logs_of_value = _trigamma_table()
    return np.exp(np.interp(-np.log(np.maximum(value, 1e-6)), -logs_of_value, logs_of_x))


@cache
def _trigamma_table() -> tuple[Array, Array]:
    x = np.geomspace(1e-4, 1e7, 8000)
    return np.log(x), np.log(special.polygamma(1, x))
