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
