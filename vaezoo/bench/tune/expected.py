"""What the best of n draws is expected to be, given the values of N: so that a variant that was
tuned longer is not called better for it.
"""

from collections.abc import Sequence

import numpy as np


def expected_best(values: Sequence[float]) -> list[float]:
    """E[max of n draws] for n = 1 … N, from N values of which higher is better.

    The n draws are independent, from the empirical distribution of the values: P(max ≤ v_(i)) is
    (i/N)^n. Source: Dodge et al. 2019, "Show Your Work: Improved Reporting of Experimental
    Results", arXiv:1909.03004, eq. 2 to 7.
    """
    if not len(values):
        return []
    ordered = np.sort(np.asarray(values, dtype=float))
    at_most = np.arange(len(ordered) + 1) / len(ordered)
    return [float(ordered @ np.diff(at_most**draws)) for draws in range(1, len(ordered) + 1)]
