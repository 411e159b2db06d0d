"""FIVO: the likelihood estimate of a particle filter as the bound to maximise.

The loss itself is in `vaezoo.fivo`. The variants vrnn, srnn, storn, dkf, dmm and the causal rvae
are trained by it when they are given `particles`, such as vrnn[particles=4].
"""

from vaezoo.fivo import FIVO
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Fraction


def fivo(particles: Count = 4, threshold: Fraction = 0.5) -> FIVO:
    """−log Π_t Σ_k w_t-1^k α_t^k, a bound by a particle filter, for models with steps.

    Paper: Maddison, Lawson, Tucker, Heess, Norouzi, Mnih, Doucet, Teh 2017, "Filtering Variational
    Objectives", arXiv:1705.09279, §3 and algorithm 1.
    """
    return FIVO(particles, threshold)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("fivo", fivo)]
