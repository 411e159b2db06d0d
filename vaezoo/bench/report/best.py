"""Which rows of a column are bold: those not significantly worse than the best, at 5 % a column.

The best row is chosen by the numbers that it is then compared with, and every row is compared.
So the whole rule is simulated with equal means and the rows' own variances, and a row is called
worse only where its distance to the best exceeds what 95 % of such columns stay below.

Variances of few seeds say little. Each is moderated towards what all rows have in common
(Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), §3), but never below the row's own: rows of one
table may differ in spread by a factor of fifty, and a row that really is noisy stays noisy.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .statistics import ALPHA, Sample, rounded_variance

DRAWS = 4000  # simulated columns; the error of the rate is about 0.3 %
PIECE = 2**15  # simulated numbers worked on at a time
KEPT = 300  # rows up to which the draws are kept: 29 MB
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


@dataclass(frozen=True, eq=False)
class Contest:
    """Rows that are compared in one column: what the rule reads of them."""

    names: tuple[str, ...]
    means: Array  # (rows,): the lowest is the best
    variances: Array  # (rows,): moderated, of one seed
    seeds: int


def best_rows(samples: Mapping[str, Sample], better: str, resolution: float = 0.0) -> Best:
    """The rows to print bold, `better` being "lower" or "higher".

    A row that lacks a seed takes no part: seeds that failed are not missing at random.
    `resolution` is the last decimal that the column shows; no spread is taken to be smaller.
    """
    return decided([contest(samples, better, resolution)])[0]


def contest(samples: Mapping[str, Sample], better: str, resolution: float = 0.0) -> Contest | None:
    """What `decided` decides; None where no test could tell the rows apart."""
    most = max((len(sample) for sample in samples.values()), default=0)
    names = tuple(name for name, sample in samples.items() if len(sample) == most)
    if better not in ("lower", "higher") or most < 2 or len(names) < 2:
        return None

    sign = 1.0 if better == "lower" else -1.0
    values = sign * np.array([list(samples[name].values()) for name in names])  # (rows, seeds)
    variances = moderated(_variances(values, resolution), most - 1)
    return Contest(names, values.mean(1), variances, most)


def decided(contests: Sequence[Contest | None]) -> list[Best]:
    """What is bold in each. Contests of as many rows and seeds share the draws that they are
    simulated with.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for i, one in enumerate(contests):
        if one is not None:
            alike.setdefault((len(one.names), one.seeds), []).append(i)

    found = [NO_BEST] * len(contests)
    for (_, seeds), places in alike.items():
        group = [one for i in places if (one := contests[i]) is not None]
        limits = critical_values([one.variances for one in group], seeds)
        for i, one, limit in zip(places, group, limits, strict=True):
            found[i] = _bold(one, limit)
    return found


def _bold(one: Contest, limit: float) -> Best:
    """The rows that are no further from the best than the limit."""
    bold = distances(one.means, one.variances / one.seeds) <= limit
    visible = limit * math.sqrt(2 * float(np.median(one.variances)) / one.seeds)
    return Best(frozenset(np.array(one.names)[bold].tolist()), SIMULATED, visible)


def no_better_than(limit: float, sample: Sample, better: str) -> Sample:
    """The sample, moved so that its mean is not beyond the limit; its spread stays."""
    beyond = excess(limit, sample, better)
    return {seed: value - beyond for seed, value in sample.items()} if beyond else sample


def excess(limit: float, sample: Sample, better: str) -> float:
    """By how much the mean is better than the limit, with its sign; 0 where it is not."""
    if not sample or not math.isfinite(limit):
        return 0.0
    beyond = sum(sample.values()) / len(sample) - limit
    return min(beyond, 0.0) if better == "lower" else max(beyond, 0.0)


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


def critical_values(variances: Sequence[Array], seeds: int) -> list[float]:
    """What the largest distance exceeds in 5 % of columns with equal means and these variances,
    (rows,) each: one number for each of them.

    Every simulated column goes through the whole rule: its best is chosen, its variances are
    estimated from `seeds` values and moderated anew. The draws are the same at every call.
    """
    largest: list[list[Array]] = [[] for _ in variances]
    for piece in _draws(DRAWS, len(variances[0]), seeds - 1):
        for of_one, own in zip(largest, variances, strict=True):
            of_one.append(_largest(piece, own, seeds))
    return [float(np.quantile(np.concatenate(one), 1 - ALPHA)) for one in largest]


@dataclass(frozen=True, eq=False)
class _Draws:
    """Simulated columns of variance 1."""

    normals: Array  # (rows, columns), of a mean times √seeds
    squares: Array  # (rows, columns): χ²/df, of a variance
    logs: Array  # (columns, rows): their logarithms, less each column's mean
    mean_log: Array  # (columns,)
    variance_of_logs: Array  # (columns,)


def _largest(drawn: _Draws, own: Array, seeds: int) -> Array:
    """(columns,): the largest of `distances` in each, of means and `moderated` variances that are
    drawn where the true variances are `own`, (rows,).
    """
    df = seeds - 1
    logs = np.log(own)
    centred = logs - logs.mean()
    # the variance of a sum, in which only the covariance is of both
    covariance = drawn.logs @ centred / (len(own) - 1)
    of_logs = drawn.variance_of_logs + centred.var(ddof=1) + 2 * covariance
    prior_df, prior = _common_scale(drawn.mean_log + logs.mean(), of_logs, df)

    # (rows, columns): what is found over rows is found in all columns at once
    seen = drawn.squares * own[:, None]
    shrunk = seen * (df / (prior_df + df))
    shrunk += prior * prior_df / (prior_df + df)
    np.maximum(shrunk, seen, out=shrunk)
    means = np.multiply(drawn.normals, np.sqrt(own)[:, None], out=seen)
    lowest = means.argmin(0), np.arange(means.shape[1])
    means -= means[lowest]
    shrunk += shrunk[lowest]
    np.square(means, out=means)
    return np.sqrt(np.divide(means, shrunk, out=means).max(0))


def _draws(columns: int, rows: int, df: int) -> Iterable[_Draws]:
    """The columns, in pieces that a processor's cache holds."""
    return _kept(columns, rows, df) if rows <= KEPT else _drawn(columns, rows, df)


@lru_cache(maxsize=2)  # the columns of a table mostly share their rows and seeds
def _kept(columns: int, rows: int, df: int) -> tuple[_Draws, ...]:
    return tuple(_drawn(columns, rows, df))


def _drawn(columns: int, rows: int, df: int) -> Iterator[_Draws]:
    sizes = [
        len(piece) for piece in np.array_split(np.arange(columns), -(-columns * rows // PIECE))
    ]
    of_normals = np.random.default_rng(0)
    of_squares = np.random.default_rng(0)
    for size in sizes:  # one stream: the squares come after all normals
        of_squares.normal(size=(size, rows))
    for size in sizes:
        normals = of_normals.normal(size=(size, rows))
        squares = of_squares.chisquare(df, (size, rows)) / df
        logs = np.log(squares)
        means = logs.mean(-1)
        yield _Draws(
            np.ascontiguousarray(normals.T),
            np.ascontiguousarray(squares.T),
            logs - means[:, None],
            means,
            logs.var(-1, ddof=1),
        )


def moderated(s2: Array, df: int) -> Array:
    """(…, rows): variances shrunk towards their common scale, never below the row's own.

    s̃² = (d₀ s₀² + d s²) / (d₀ + d), with d₀ and s₀² by the moments of log s² (Smyth 2004, §6.2).
    """
    logs = np.log(s2)
    variance = logs.var(-1, ddof=1, keepdims=True)
    prior_df, prior = _common_scale(logs.mean(-1, keepdims=True), variance, df)
    shrunk = (prior_df * prior + df * s2) / (prior_df + df)
    return np.maximum(shrunk, s2)


def _common_scale(mean_log: Array, variance_of_logs: Array, df: int) -> tuple[Array, Array]:
    """d₀ and s₀² of columns, from the mean and the variance of log s² in each."""
    centre, spread = _of_logs(df)
    excess = variance_of_logs - spread
    prior_df = np.where(excess > 1e-6, 2 * _inverse_trigamma(excess), NOT_POOLED)
    bias = special.digamma(prior_df / 2) - np.log(prior_df / 2) - centre + math.log(df / 2)
    return prior_df, np.exp(mean_log + bias)


@cache
def _of_logs(df: int) -> tuple[float, float]:
    """ψ(df/2) and ψ'(df/2)."""
    return special.digamma(df / 2), special.polygamma(1, df / 2)


def _inverse_trigamma(value: Array) -> Array:
    """x with ψ'(x) = value, by interpolation on a logarithmic grid (error below 1e-5 of x)."""
    logs_of_x, logs_of_value = _trigamma_table()
    return np.exp(np.interp(-np.log(np.maximum(value, 1e-6)), -logs_of_value, logs_of_x))


@cache
def _trigamma_table() -> tuple[Array, Array]:
    x = np.geomspace(1e-4, 1e7, 8000)
    return np.log(x), np.log(special.polygamma(1, x))
