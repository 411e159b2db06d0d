"""The tags by which the command line chooses variants and data sets."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["TAGS", "tags"]

F = TypeVar("F", bound=Callable[..., Any])

# The tags that we use, a sentence each. A plugin may bring tags of its own.
TAGS = {
    # of variants
    "adversarial": "A second network, a critic, is trained against the model.",
    "baseline": "What the others are to be measured against.",
    "bayesian": "The decoder's weights are random, or there are several sets of them.",
    "bound": "The objective is another bound on log p(x) than the ELBO.",
    "collapse": "Keeps the posterior from collapsing to the prior.",
    "conditional": "Inference reads the label: the likelihood is log p(x|c).",
    "deterministic": "The code of x is a point, without noise.",
    "discrete": "Codes are classes, levels or entries of a codebook.",
    "disentanglement": "Asks that each dimension of the code stands for one factor of the data.",
    "estimator": "The objective is the usual one; its gradient is estimated with less variance.",
    "flow": "A normalising flow bends the posterior or the prior.",
    "heavy": "Takes longer than most: `all` leaves it out, `all,tag:heavy` has it.",
    "hierarchical": "Several layers of latents, one above the other.",
    "hyperbolic": "Codes lie in a hyperbolic space.",
    "likelihood": "Chooses p(x|z) itself.",
    "mix": "Put together from parts on the command line.",
    "perceptual": "Reconstructions are judged by something else than a likelihood.",
    "posterior": "A richer, or another, q(z|x).",
    "prior": "A richer, or another, p(z).",
    "recurrent": "Works step by step: on sequences, and on images row by row; refuses vectors.",
    "schedule": "The weight of a term changes during training.",
    "sphere": "Codes lie on a sphere.",
    "static": "Not recurrent; every variant without that tag has this one.",
    # of data sets
    "binary": "Every entry is 0 or 1.",
    "derived": "Made from another data set.",
    "factors": "The factors that each x was made from are known.",
    "files": "Read from files, downloaded where they are missing.",
    "generated": "Drawn from a known model, with a fixed seed.",
    "image": "x is an image, (C, H, W).",
    "long": "Sequences of more than a thousand steps.",
    "modes": "Has modes that can be counted, and so whether samples miss any.",
    "music": "Piano rolls.",
    "real": "Entries are real numbers.",
    "sequence": "x is a sequence, (T, C).",
    "small": "A few thousand rows at most: trained on in seconds.",
    "user": "Your own data.",
    "vector": "x is a vector, (D,).",
    # of both
    "exact": "What is to be reached is known: the data's log p(x), or the variant's optimum.",
    "labelled": "Has labels, or learns from them.",
    "missing": "Has missing entries, or is made for them.",
    "times": "Its steps are at irregular times, or it reads the times of steps.",
    "views": "x is several named views of one thing, such as two pictures; a row may lack any.",
}


def tags(*names: str) -> Callable[[F], F]:
    """Marks a variant or a data set with tags, by which the command line can choose it. `TAGS` has
    ours; other names are as good.
    """

    def mark(function: F) -> F:
        function.__dict__["tags"] = frozenset(names)
        return function

    return mark
