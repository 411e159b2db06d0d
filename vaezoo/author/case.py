"""Small data of each kind, and a variant on one of them: what the rules look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from ..core import Model, Spec, Unsupported, View
from ..likelihoods import head
from ..registry.entries import Variant
from ..seeds import seeded

SPECS = {
    "image": Spec((1, 8, 8), n_train=256, classes=3, latent=4, hidden=16),
    "vector": Spec((6,), "normal", n_train=256, latent=4, hidden=16),
    "sequence": Spec((7, 5), n_train=256, latent=4, hidden=16, network="rnn", has_gaps=True),
    "large image": Spec((1, 28, 28), n_train=256, classes=3, latent=4, hidden=16, network="conv"),
    "grey image": Spec(
        (1, 8, 8), "continuous_bernoulli", n_train=256, classes=3, latent=4, hidden=16
    ),
    "views": Spec(
        (6,),
        "normal",
        n_train=256,
        latent=4,
        hidden=16,
        has_gaps=True,
        views=(View("left", (3,)), View("right", (3,))),
    ),
    "pairs": Spec((2, 8, 8), n_train=256, latent=4, hidden=16),
}


# asked of the variants that take no other kind: to all others these are a vector with gaps and an
# image of two colours
LAST = ("views", "pairs")
USUAL = tuple(kind for kind in SPECS if kind not in LAST)
FAST = ("image", "vector", "sequence")
SCALES = (1.0, 30.0, 1000.0)  # of real rows that a model is trained on
HARDEST = SCALES[-1:]


class Broken(AssertionError):
    """A rule is broken: what was seen, and how to mend it."""

    def __init__(self, seen: str, mend: str) -> None:
        super().__init__(f"{seen}; {mend}")
        self.seen = seen
        self.mend = mend


@dataclass
class Case:
    """A variant on one kind of small data."""

    variant: Variant
    kind: str
    hyperparameters: dict[str, Any]
    scales: tuple[float, ...] = SCALES  # of the rows that a model is trained on

    @property
    def spec(self) -> Spec:
        return SPECS[self.kind]

    @cached_property
    def refusal(self) -> str:
        """Why the variant cannot be had for this data; empty where it can."""
        try:
            self.build()
        except Unsupported as why:
            return str(why) or "Unsupported, without a reason"
        return ""

    @cached_property
    def untrained(self) -> Model:
        """A model in evaluation, for the rules that leave it as it is."""
        return self.build().eval()

    def build(self) -> Model:
        """A new model, always with the same weights."""
        with seeded("check", self.kind):
            return self.variant(self.spec, **self.hyperparameters)

    def rows(self, n: int) -> tuple[Tensor, Tensor | None]:
        """x (n, *shape) and c, the same every time; sequences of several lengths."""
        x, c = _rows(self.kind, n)
        return x.clone(), None if c is None else c.clone()  # a model may write into its rows

    def terms(
        self, model: Model, n: int, progress: float = 0.5, noise: int = 0
    ) -> dict[str, Tensor]:
        """The terms of one minibatch."""
        with seeded("check", "noise", noise):
            return model(*self.rows(n), progress)


def kinds_for(
    variant: Variant, kinds: Sequence[str] = USUAL, **hyperparameters: Any
) -> tuple[str, ...]:
    """These kinds, and `LAST` where the variant refuses all of them."""
    cases = [Case(variant, kind, hyperparameters) for kind in kinds]
    return (*kinds, *LAST) if all(case.refusal for case in cases) else tuple(kinds)


@lru_cache(maxsize=64)  # a rule of training asks for its rows at every step
def _rows(kind: str, n: int) -> tuple[Tensor, Tensor | None]:
    """x (n, *shape) and its one-hot classes (n, classes), or None."""
    spec = SPECS[kind]
    with seeded("check", "rows", kind):
        x = torch.randn(n, *spec.shape)
        likelihood = head(spec)
        if likelihood.levels == 2:
            x = (x > 0).float()
        elif likelihood.is_bounded:
            x = x.sigmoid()
        if spec.has_gaps:
            lengths = torch.randint(2, spec.shape[0] + 1, (n, 1))
            x[torch.arange(spec.shape[0]) >= lengths] = math.nan

        if not spec.classes:
            return x, None
        labels = torch.randint(spec.classes, (n,))
        return x, torch.eye(spec.classes)[labels]
