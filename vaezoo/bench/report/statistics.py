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
from scipy import optimize, special, stats

ALPHA = 0.05
MANY = 8  # rows from which their variances say what variances are like here
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


def moderated_t(differences: Sequence[Sequence[float]]) -> list[float]:
    """p values of paired t-tests of many rows, whose variances are shrunk towards what they have in
    common.

    With three seeds a row's own variance has two degrees of freedom and says little; many rows
    together say how large such variances are. s̃² = (d₀ s₀² + d s²) / (d₀ + d), with d₀ and s₀² by
    the moments of log s² (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), §3 and §6.2). Each row
    needs two differences at least, which are not all equal.
    """
    rows = [np.asarray(d, float) for d in differences]
    mean = np.array([d.mean() for d in rows])
    s2 = np.array([d.var(ddof=1) for d in rows])
    df = np.array([len(d) - 1.0 for d in rows])

    # d₀ and s₀²: what the log variances of all rows have in common
    half = df / 2
    e = np.log(s2) - special.digamma(half) + np.log(half)
    excess = e.var(ddof=1) - special.polygamma(1, half).mean()
    prior_df = 2 * _inverse_trigamma(excess) if excess > 1e-6 else 1e6
    prior_s2 = math.exp(e.mean() + special.digamma(prior_df / 2) - math.log(prior_df / 2))

    shrunk = (prior_df * prior_s2 + df * s2) / (prior_df + df)
    t = mean / np.sqrt(shrunk / (df + 1))
    return np.asarray(2 * stats.t.sf(np.abs(t), prior_df + df)).tolist()


def _inverse_trigamma(value: float) -> float:
    return float(optimize.brentq(lambda x: special.polygamma(1, x) - value, 1e-6, 1e9))


def holm(p: Sequence[float]) -> list[float]:
    """The p values adjusted by Holm's step-down rule, in their order."""
    adjusted = [math.nan] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


@dataclass(frozen=True)
class Best:
    """The rows that are not significantly worse than the best, and by which rule."""

    rows: frozenset[str]
    # "permutation"; "moderated" or "t" where too few seeds make it powerless; "none" for single
    # seeds
    rule: str


RULES = {
    "permutation": "paired sign-flip permutation test over seeds, Holm-adjusted, α = 0.05",
    "moderated": "paired moderated t-test over seeds (Smyth 2004), Holm-adjusted, α = 0.05 "
    "(too few seeds for a permutation test: variances of all rows are pooled in part)",
    "t": "paired t-test over seeds, Holm-adjusted, α = 0.05 "
    "(underpowered: too few seeds for a permutation test)",
    "none": "underpowered: too few seeds for a test, the best mean alone is bold",
}


def best_rows(samples: Mapping[str, Sample], better: str) -> Best:
    """Which of these rows to print bold, `better` being "lower" or "higher"."""
    known = {row: sample for row, sample in samples.items() if sample}
    if not known or not better:
        return Best(frozenset(), "none")
    best = _best_mean(known, better)
    ties = {row for row, sample in known.items() if dict(sample) == dict(known[best])}
    gaps = {row: _gaps(sample, known[best]) for row, sample in known.items() if row != best}
    tested = {row: gap for row, gap in gaps.items() if len(gap) > 1}
    if not tested:
        return Best(frozenset(ties), "none")

    rule = _rule(list(tested.values()))
    adjusted = holm(_p_values(list(tested.values()), rule))
    not_worse = {row for row, p in zip(tested, adjusted, strict=True) if p > ALPHA}
    return Best(frozenset(ties | not_worse), rule)


def _best_mean(samples: Mapping[str, Sample], better: str) -> str:
    """The row with the best mean, of equal ones the first by name."""
    sign = 1.0 if better == "lower" else -1.0
    means = {row: interval(list(sample.values())).mean for row, sample in samples.items()}
    return min(samples, key=lambda row: (sign * means[row], row))


def _rule(gaps: Sequence[Sequence[float]]) -> str:
    """The test that has the power to tell these rows from the best."""
    fewest = min(map(len, gaps))
    if smallest_p(fewest) * len(gaps) <= ALPHA:
        return "permutation"
    return "moderated" if sum(_varies(gap) for gap in gaps) >= MANY else "t"


def _p_values(gaps: Sequence[Sequence[float]], rule: str) -> list[float]:
    if rule != "moderated":
        return [(paired_permutation if rule == "permutation" else paired_t)(gap) for gap in gaps]
    shared = iter(moderated_t([gap for gap in gaps if _varies(gap)]))
    return [next(shared) if _varies(gap) else paired_t(gap) for gap in gaps]


def _varies(gap: Sequence[float]) -> bool:
    return bool(np.ptp(gap) > CLOSE * np.abs(gap).max())


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
