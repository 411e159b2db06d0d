"""Statistics over seeds and over data sets: intervals, paired tests, which rows are not worse than
the best, ranks.

A sample is {seed: value}, or {test row: value}. Rows are compared on those that both have. Tests
are two-sided at `ALPHA`, p values are adjusted by Holm (1979) over the rows that are compared.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special  # scipy.stats, which takes half a second, only where it is needed

ALPHA = 0.05
EXACT_UP_TO = 14  # pairs: 2^14 sign patterns are enumerated
MANY = 50  # pairs, of which the mean is as good as normal
CLOSE = 1e-12  # relative: statistics this close count as equal

Sample = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean and Student-t interval of n values: mean ± ci95. `std` is with n - 1; both are NaN for n
    = 1.
    """

    n: int
    mean: float
    std: float
    ci95: float


def interval(values: Sequence[float]) -> Interval:
    """The 95 % interval of the mean."""
    n = len(values)
    if not n:
        return Interval(0, math.nan, math.nan, math.nan)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(1, mean, math.nan, math.nan)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Interval(n, mean, std, _quantile(n - 1) * std / math.sqrt(n))


@cache  # a fifth of a millisecond each, and every number of a table asks for one
def _quantile(df: int) -> float:
    """Student's t, of which 95 % are no further from 0."""
    return float(special.stdtrit(df, 0.975))


def smallest_p(n: int) -> float:
    """The least p value that the permutation test can give with n pairs."""
    return 2.0 ** (1 - n) if n else 1.0


def paired_permutation(differences: Sequence[float], resolution: float = 0.0) -> float:
    """p value of "the mean difference is 0" by flipping signs: every pattern up to 14 pairs, else
    20,000 drawn. What is closer than half the resolution counts as equal.
    """
    d = np.asarray(differences, float)
    d = np.where(np.abs(d) < resolution / 2, 0.0, d)
    if len(d) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
        return float(np.mean(_as_far(signs @ d, d)))
    signs = np.random.default_rng(0).choice((1, -1), size=(20_000, len(d)))
    return float((1 + _as_far(signs @ d, d).sum()) / 20_001)


def _as_far(sums: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.abs(sums) >= abs(d.sum()) - CLOSE * np.abs(d).sum()


def paired_t(differences: Sequence[float], resolution: float = 0.0) -> float:
    """p value of Student's paired t-test; 1 where all differences are 0, NaN for fewer than two
    pairs.

    Their variance is taken to be no smaller than that of differences of numbers rounded to the
    resolution, so that a gap that happens to be constant is no certainty.
    """
    d = np.asarray(differences, float)
    if len(d) < 2:
        return math.nan
    if not d.any():
        return 1.0
    # in units of a power of two of their size, without rounding: squares of 10⁻¹⁶⁰ would be 0
    unit = math.ldexp(1.0, math.frexp(float(np.abs(d).max()))[1])
    d = d / unit
    variance = max(float(d.var(ddof=1)), 2 * rounded_variance(d, resolution / unit))
    t = abs(d.mean()) / math.sqrt(variance / len(d))
    return float(2 * special.stdtr(len(d) - 1, -t))


def rounded_variance(values: np.ndarray, resolution: float) -> float:
    """That of rounding: to the resolution, or to what a double of this size resolves."""
    step = max(resolution, CLOSE * float(np.abs(values).max()), 1e-150)
    return step * step / 12  # infinite beside numbers of 10⁻²⁰⁰, where a power would raise


def holm(p: Sequence[float]) -> list[float]:
    """The p values adjusted by Holm's step-down rule, in their order."""
    adjusted = [math.nan] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def gaps(a: Sample, b: Sample) -> list[float]:
    """a - b at each seed, or test row, that both have."""
    return [a[seed] - b[seed] for seed in sorted(set(a) & set(b))]


@dataclass(frozen=True)
class Difference:
    """a - b over the seeds, or test rows, that both have."""

    mean: float
    ci95: float
    n: int
    p: float
    test: str
    largest: float  # of any pair, without its sign

    @property
    def is_tested(self) -> bool:
        """Whether it has a p value that is more than "the same numbers"."""
        return self.n > 1 and self.largest > 0


def verdict(p: float, n: int) -> str:
    """Of a p value of n pairs, in words: "different", "no difference found", or "underpowered"
    where no permutation test of so few could have been below α.
    """
    if p <= ALPHA:
        return "different"
    return "underpowered" if n < 2 or smallest_p(n) > ALPHA else "no difference found"


def difference(a: Sample, b: Sample, resolution: float = 0.0, among: int = 1) -> Difference:
    """a - b, paired: by permutation where that can reach α as one of so many tests, else by t, and
    of many pairs by t. `resolution` is the last decimal that their column shows.
    """
    found_gaps = gaps(a, b)
    found = interval(found_gaps)
    largest = max(map(abs, found_gaps), default=math.nan)
    if len(found_gaps) < 2:
        return Difference(found.mean, found.ci95, found.n, math.nan, "none", largest)
    is_exact = found.n <= MANY and among * smallest_p(found.n) <= ALPHA
    test = paired_permutation if is_exact else paired_t
    name = "permutation" if is_exact else "t"
    p = test(found_gaps, resolution)
    return Difference(found.mean, found.ci95, found.n, p, name, largest)


def mean_ranks(scores: Mapping[str, Mapping[str, float]], better: str) -> dict[str, float]:
    """variant -> mean rank (1 is best) over the data sets that all variants have, from variant ->
    data set -> score.
    """
    from scipy import stats

    table = _common(scores)
    sign = 1.0 if better == "lower" else -1.0
    ranks = (
        stats.rankdata(sign * table, axis=0).mean(axis=1)
        if table.size
        else np.full(len(scores), math.nan)
    )
    return dict(zip(scores, ranks.tolist(), strict=True))


def friedman(scores: Mapping[str, Mapping[str, float]]) -> tuple[float, float]:
    """(χ², p) of "all variants rank alike over the data sets"; NaN below three variants or two data
    sets.
    """
    from scipy import stats

    table = _common(scores)
    if table.shape[0] < 3 or table.shape[1] < 2:
        return math.nan, math.nan
    if (np.ptp(stats.rankdata(table, axis=0), axis=0) == 0).all():
        return 0.0, 1.0  # ranks that all tie have no variance to divide by
    answer = stats.friedmanchisquare(*table)
    return float(answer.statistic), float(answer.pvalue)


def critical_difference(variants: int, datasets: int) -> float:
    """Nemenyi: mean ranks further apart than this differ at α = 0.05 (Demšar 2006, JMLR 7)."""
    from scipy import stats

    q = float(stats.studentized_range.ppf(1 - ALPHA, variants, np.inf)) / math.sqrt(2)
    return q * math.sqrt(variants * (variants + 1) / (6 * datasets))


def _common(scores: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """(variants, data sets), the data sets that all have."""
    if not scores:
        return np.array([])
    shared = sorted(set.intersection(*map(set, scores.values())))
    table = np.empty((len(scores), len(shared)))
    for i, row in enumerate(scores.values()):
        table[i] = [row[name] for name in shared]
    return table
