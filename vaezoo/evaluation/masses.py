"""Whether a distribution gives probabilities or densities: the two must not stand in one column."""

from torch import distributions as D
from torch.distributions import Distribution


def is_mass(px: Distribution) -> bool | None:
    """Whether log p(x|z) is the log of a probability; None where the distribution does not say."""
    while isinstance(px, D.Independent):
        px = px.base_dist
    try:
        support = px.support
    except NotImplementedError:
        return None
    return None if support is None else bool(support.is_discrete)


def unlike(is_mass: bool | None, expected: bool) -> str:
    """Why log p(x|z) cannot be compared with that of other rows, of which a mass is expected or
    not: one is a density, the other a mass; empty where it can.
    """
    if is_mass is None or is_mass == expected:
        return ""
    have, want = ("a probability mass", "a density")[:: 1 if is_mass else -1]
    return f"its p(x|z) is {have}, the other rows' is {want}"
