"""Whether a distribution gives probabilities or densities: the two must not stand in one column."""

from torch import distributions as D
from torch.distributions import Distribution

from ..distributions import DiscretisedLogistic, Levels, Observed


def is_mass(px: Distribution) -> bool | None:
    """Whether log p(x|z) is the log of a probability; None where the distribution does not say."""
    while isinstance(px, Observed | D.Independent):
        px = px.base if isinstance(px, Observed) else px.base_dist
    if isinstance(px, DiscretisedLogistic | Levels):
        return True
    try:
        support = px.support
    except NotImplementedError:
        return None
    return None if support is None else bool(support.is_discrete)
