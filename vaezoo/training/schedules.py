"""Learning rates that fall during training, as a factor of the budget's, by the part of training
that is over.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

Schedule = Literal["constant", "cosine", "staircase"]
STAIRS = 8  # of the staircase, each three times as long as the one before


def cosine(progress: float) -> float:
    """½ (1 + cos π t): 1 at first, 0 in the end (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    return (1 + math.cos(math.pi * progress)) / 2


def staircase(progress: float) -> float:
    """10^(-i/7) for 3^i epochs, i = 0 … 7: Burda et al. 2016, arXiv:1509.00519, §5, stretched from
    their 3,280 epochs to those of the budget.
    """
    whole = (3**STAIRS - 1) // 2  # 3,280
    stair = 0
    while stair < STAIRS - 1 and progress * whole >= (3 ** (stair + 1) - 1) // 2:
        stair += 1
    return 10.0 ** (-stair / 7)


def constant(progress: float) -> float:
    return 1.0


FACTORS: Mapping[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "staircase": staircase,
}
