"""Families of variants by what they change, and how charts tell them apart.

Families go from the general to the special: a variant is of the last family that has one of its
tags. The index in docs/README.md has the same families in the same order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

OTHER = "Other"


@dataclass(frozen=True)
class Family:
    """A family by its title and its tags."""

    name: str  # of its page in docs/variants/
    title: str
    tags: frozenset[str]


def _family(name: str, title: str, *tags: str) -> Family:
    return Family(name, title, frozenset(tags))


FAMILIES = (
    _family("bounds", "Bounds and gradient estimators", "bound", "estimator", "baseline"),
    _family("schedules", "Weights and schedules of the rate", "schedule", "collapse"),
    _family("adversarial", "Adversaries", "adversarial"),
    _family("disentangling", "Disentangling", "disentanglement"),
    _family("posteriors", "Richer posteriors", "posterior"),
    _family("priors", "Learned priors", "prior"),
    _family(
        "likelihoods", "Likelihoods and reconstruction errors", "likelihood", "perceptual", "exact"
    ),
    _family("deterministic", "Deterministic codes", "deterministic"),
    _family("discrete", "Discrete codes", "discrete"),
    _family("spaces", "Curved latent spaces", "sphere", "hyperbolic"),
    _family("hierarchical", "Several layers of latents", "hierarchical"),
    _family("conditional", "Labels and missing entries", "conditional", "labelled", "missing"),
    _family("bayesian", "Uncertain decoders", "bayesian"),
    _family("recurrent", "Sequences", "recurrent"),
    _family("views", "Several views", "views"),
)
NONE = Family("other", OTHER, frozenset())
EVERY = (*FAMILIES, NONE)


def family_of(tags: Iterable[str]) -> Family:
    """The family of a variant with these tags; `NONE` where no family has one of them."""
    known = set(tags)
    found = [family for family in FAMILIES if family.tags & known]
    return found[-1] if found else NONE
