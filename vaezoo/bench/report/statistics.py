"""Statistics over seeds and over data sets: intervals, paired tests, which rows are not worse than
the best, ranks.

A sample is {seed: value}. Rows are compared on the seeds that both have. Tests are two-sided at
`ALPHA`, p values are adjusted by Holm (1979) over the rows that are compared.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA = 0.05
EXACT_UP_TO = 14  # pairs: 2^14 sign patterns are enumerated
CLOSE = 1e-12  # relative: statistics this close count as equal

Sample = Mapping[int, float]


@dataclass(frozen=True)
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
    return Interval(n, mean, std, float(stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n))


def smallest_p(n: int) -> float:
    """The least p value that the permutation test can give with n pairs."""
    return 2.0 ** (1 - n) if n else 1.0


def paired_permutation(differences: Sequence[float]) -> float:
    """p value of "the mean difference is 0" by flipping signs: every pattern up to 14 pairs, else
    20,000 drawn.
    """
    d = np.asarray(differences, float)
    if len(d) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
        return float(np.mean(_as_far(signs @ d, d)))
    signs = np.random.default_rng(0).choice((1, -1), size=(20_000, len(d)))
    return float((1 + _as_far(signs @ d, d).sum()) / 20_001)


def _as_far(sums: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.abs(sums) >= abs(d.sum()) - CLOSE * np.abs(d).sum()


def paired_t(differences: Sequence[float]) -> float:
    """p value of Student's paired t-test; 1 where all differences are 0, NaN for fewer than two
    pairs.
    """
    d = np.asarray(differences, float)
    if len(d) < 2:
        return math.nan
    if np.ptp(d) <= CLOSE * np.abs(d).max():
        return 1.0 if not d.any() else 0.0
    return float(stats.ttest_1samp(d, 0.0).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """The p values adjusted by Holm's step-down rule, in their order."""
    adjusted = [math.nan] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def _best_mean(samples: Mapping[str, Sample], better: str) -> str:
    """The row with the best mean, of equal ones the first by name."""
    sign = 1.0 if better == "lower" else -1.0
    means = {row: interval(list(sample.values())).mean for row, sample in samples.items()}
    return min(samples, key=lambda row: (sign * means[row], row))


def _gaps(a: Sample, b: Sample) -> list[float]:
    return [a[seed] - b[seed] for seed in sorted(set(a) & set(b))]


@dataclass(frozen=True)
class Difference:
    """a - b over the seeds that both have."""

    mean: float
    ci95: float
    n: int
    p: float
    test: str
    largest: float  # of any seed, without its sign

    @property
    def verdict(self) -> str:
        """In words: "different", "no difference found", or "underpowered" where no p value could
        have been below α.
        """
        if self.n < 2 or (self.p > ALPHA and smallest_p(self.n) > ALPHA):
            return "underpowered"
        return "different" if self.p <= ALPHA else "no difference found"


def difference(a: Sample, b: Sample) -> Difference:
    """a - b, paired by seed: by permutation where it can reach α, else by t."""
    gaps = _gaps(a, b)
    found = interval(gaps)
    largest = max(map(abs, gaps), default=math.nan)
    if len(gaps) < 2:
        return Difference(found.mean, found.ci95, found.n, math.nan, "none", largest)
    is_exact = smallest_p(len(gaps)) <= ALPHA
    p = paired_permutation(gaps) if is_exact else paired_t(gaps)
    test = "permutation" if is_exact else "t"
    return Difference(found.mean, found.ci95, found.n, p, test, largest)


def mean_ranks(scores: Mapping[str, Mapping[str, float]], better: str) -> dict[str, float]:
    """variant -> mean rank (1 is best) over the data sets that all variants have, from variant ->
    data set -> score.
    """
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
    table = _common(scores)
    if table.shape[0] < 3 or table.shape[1] < 2:
        return math.nan, math.nan
    answer = stats.friedmanchisquare(*table)
    return float(answer.statistic), float(answer.pvalue)


def critical_difference(variants: int, datasets: int) -> float:
    """Nemenyi: mean ranks further apart than this differ at α = 0.05 (Demšar 2006, JMLR 7)."""
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
