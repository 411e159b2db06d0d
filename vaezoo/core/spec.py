"""What a variant may know of its data, and the error where that is not enough."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

# Fields that came later and what they are unless said: keys without them are what they were.
LATER: dict[str, object] = {"unlabelled": 0, "times": (), "views": ()}


class Unsupported(ValueError):
    """A variant cannot be built for this data, or a loss for this model. The runner records the
    reason and goes on.
    """


@dataclass(frozen=True)
class View:
    """One of several views of the same thing, such as a picture and what is said of it."""

    name: str
    shape: tuple[int, ...]  # of the view alone, as the shape of an x

    @property
    def size(self) -> int:
        """Numbers in the view."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Spec:
    """What a variant may know of its data and its size before it sees either."""

    # of one x: (D,) a vector, (C, H, W) an image, (T, C) a sequence of at most T steps
    shape: tuple[int, ...]
    # a likelihood and its options, such as "student_t[df=5]": see `parts`
    likelihood: str = "bernoulli"
    n_train: int = 1  # rows of the training split
    classes: int = 0  # labels that the data carries; 0 for none
    unlabelled: int = 0  # training rows whose label is not known: their c is all zeros
    condition: int = 0  # width of the c that the networks read; 0 for none, see `conditioned`
    has_gaps: bool = False  # whether x may hold NaN: padding, missing entries
    # whether training rows are drawn anew in every minibatch, see `data.Data`
    is_dynamic: bool = False
    levels: int = 256  # values a grey pixel can take, for the discrete likelihoods
    latent: int = 8  # dimensions of z
    hidden: int = 128  # width of the hidden layers
    network: str = "mlp"  # the shared pair of networks: mlp, conv or rnn
    # when each of the T steps of a sequence is, a usual gap being about 1; empty where they are
    # equally spaced. All rows share them: a row that was not seen at one of them has a gap there
    times: tuple[float, ...] = ()
    # one after the other in the flattened x, in the channels of a sequence; () for x as a whole. A
    # row may lack any view, all of whose entries are then NaN: where there are views, x has gaps
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        """Raises: ValueError for times that no steps can have, and views that are none of x."""
        object.__setattr__(self, "times", tuple(self.times))  # a list where it was read from JSON
        if self.times:
            _must_be_times_of(self)
        if self.views:
            _must_be_views_of(self)

    def stated(self) -> dict[str, Any]:
        """The fields, as a trial's key is made of them: those that came later, where they differ
        from their defaults.
        """
        return {k: v for k, v in asdict(self).items() if LATER.get(k, ...) != v}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Spec":
        """The inverse, of facts that may have been JSON.

        Raises: TypeError, KeyError, ValueError.
        """
        views = tuple(View(str(one["name"]), tuple(one["shape"])) for one in facts.get("views", ()))
        return cls(**{**facts, "shape": tuple(facts["shape"]), "views": views})

    @property
    def is_sequence(self) -> bool:
        return len(self.shape) == 2

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def size(self) -> int:
        """Numbers in one x."""
        return math.prod(self.shape)

    @property
    def as_steps(self) -> tuple[int, int]:
        """(T, C) of x read as a sequence: an image is its rows in time.

        Raises: Unsupported for a vector, which has no order.
        """
        if self.is_image:
            channels, height, width = self.shape
            return height, channels * width
        if not self.is_sequence:
            raise Unsupported(f"needs a sequence or an image; this data has shape {self.shape}")
        return self.shape[0], self.shape[1]

    @property
    def clock(self) -> tuple[float, ...]:
        """When each of the T steps of `as_steps` is: `times`, or 0, 1, 2 …

        Raises: Unsupported for a vector, which has no order.
        """
        return self.times or tuple(map(float, range(self.as_steps[0])))

    def conditioned(self) -> "Spec":
        """The spec whose networks read the label.

        Raises: Unsupported where the data has no labels.
        """
        if not self.classes:
            raise Unsupported("needs labels as a condition; this data has none")
        return replace(self, condition=self.classes)


def _must_be_times_of(spec: Spec) -> None:
    if not spec.is_sequence or len(spec.times) != spec.shape[0]:
        raise ValueError(
            f"a spec of shape {spec.shape} has {len(spec.times)} times; expected one for each "
            "step of a sequence (T, C)"
        )
    rising = all(a < b for a, b in pairwise(spec.times))
    if not rising or not all(map(math.isfinite, spec.times)):
        raise ValueError("the times of a spec must be finite, each later than the one before")


def _must_be_views_of(spec: Spec) -> None:
    names = [view.name for view in spec.views]
    if len(set(names)) < len(names) or not all(names):
        raise Unsupported(f"views need names, each its own; these are {names}")
    if not spec.has_gaps:
        raise Unsupported("x of views may lack any of them: say has_gaps=True")
    numbers = sum(view.size for view in spec.views)
    sizes = [size for view in spec.views for size in view.shape]
    if numbers != spec.size or min(sizes, default=0) < 1:
        raise Unsupported(f"the views have {numbers} numbers in all, and x has {spec.size}")
    if spec.is_sequence and any(
        len(view.shape) != 2 or view.shape[0] != spec.shape[0] for view in spec.views
    ):
        raise Unsupported(
            f"a view of sequences has all their steps and some of their channels, "
            f"({spec.shape[0]}, C); these have the shapes {[view.shape for view in spec.views]}"
        )
