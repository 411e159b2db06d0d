"""One number a variant over several data sets: the interquartile mean of its runs, with a bootstrap
interval (Agarwal et al. 2021, arXiv:2108.13264).

Scores of two data sets are on two scales. Each is normalised by the means of all variants there: 0
is their median, 1 their interquartile range, and higher is better. So no variant that failed
altogether, and none that stands out, sets the scale of the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .statistics import ALPHA, Sample

DRAWS = 4000  # of the bootstrap; the ends of the interval err by about 3 % of its width
CUT = 0.25  # of the runs at each end

Array = NDArray[np.float64]
Scores = Mapping[str, Mapping[str, Sample]]  # variant -> data set -> seed -> score


@dataclass(frozen=True)
class Interquartile:
    """The mean of the middle half of all runs, and its 95 % interval over seeds: NaN where a data
    set has one seed.
    """

    mean: float
    low: float
    high: float
    runs: int


def interquartile_means(scores: Scores, better: str, resolution: float) -> dict[str, Interquartile]:
    """Of each variant, from scores on the same data sets. `resolution` is the last decimal that
    their column shows.
    """
    scales = _scales(scores, resolution)
    sign = 1.0 if better == "higher" else -1.0
    found = {}
    for variant, known in scores.items():
        strata = []
        for dataset, sample in known.items():
            middle, unit = scales[dataset]
            strata.append(sign * (np.array(list(sample.values())) - middle) / unit)
        found[variant] = interquartile(strata)
    return found


def _scales(scores: Scores, resolution: float) -> dict[str, tuple[float, float]]:
    """data set -> (median, interquartile range) of the variants' means."""
    means: dict[str, list[float]] = {}
    for known in scores.values():
        for dataset, sample in known.items():
            means.setdefault(dataset, []).append(math.fsum(sample.values()) / len(sample))
    found = {}
    for dataset, each in means.items():
        low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
        found[dataset] = float(middle), max(float(high - low), resolution)
    return found


def interquartile(strata: Sequence[Array], draws: int = DRAWS) -> Interquartile:
    """Of the runs on each data set, pooled.

    Seeds are drawn with replacement within each data set, one fewer than there are: then the
    variance of a mean is unbiased (Rao & Wu 1988, JASA 83). With as many as there are, as in the
    paper, it is too small by 1/n, and of three or six seeds that shows.
    """
    from scipy import stats

    pooled = np.concatenate(strata)
    mean = float(stats.trim_mean(pooled, CUT))
    if min(map(len, strata)) < 2:
        return Interquartile(mean, math.nan, math.nan, len(pooled))
    generator = np.random.default_rng(0)
    parts = []
    for runs in strata:
        drawn = generator.integers(0, len(runs), (draws, len(runs) - 1))
        parts.append(runs[drawn])  # (draws, seeds - 1)

    again = stats.trim_mean(np.concatenate(parts, 1), CUT, axis=1)
    low, high = np.quantile(again, [ALPHA / 2, 1 - ALPHA / 2])
    return Interquartile(mean, float(low), float(high), len(pooled))
