"""What a data set is once it is loaded: tensors, a spec, labels, a card."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Spec
from ..distributions import Grid
from ..likelihoods import Likelihood, head
from ..parts import names
from . import door
from .coding import as_read_by
from .files import BadData
from .reader import Reader

SPLITS = ("train", "validation", "test")


class BySplit(TypedDict):
    """The x of the three splits, each (N, *shape)."""

    train: Tensor
    validation: Tensor
    test: Tensor


def by_split(x: Mapping[str, Tensor]) -> BySplit:
    """The splits as three arguments of `Data`: `Data(**by_split(x), …)`."""
    return BySplit(train=x["train"], validation=x["validation"], test=x["test"])


def named(build: Callable[..., "Data"], **options: object) -> str:
    """The name of a data set with those of its options that differ from their defaults, such as
    "gaussian[dimensions=4]".
    """
    defaults = {p.name: p.default for p in inspect.signature(build).parameters.values()}
    changed = [f"{key}={value}" for key, value in options.items() if value != defaults[key]]
    return build.__name__ + (f"[{','.join(changed)}]" if changed else "")


@dataclass(frozen=True)
class Card:
    """Where a data set comes from and what was done to it."""

    title: str
    source: str  # who made it and where it is, with the paper
    licence: str
    processing: str  # scaling, binarisation, splits, in words
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Modes:
    """The modes of generated data, all of one weight."""

    count: int
    draws: int  # of a model, by which the modes that it reaches are counted
    # x (N, *shape) -> (N,) int64 in 0 … count-1, or -1 for what is near no mode
    of: Callable[[Tensor], Tensor]
    is_strict: bool = True  # whether `of` ever says -1


@dataclass(frozen=True)
class Data:
    """One data set. A split is (N, *spec.shape), float32, NaN where a sequence is padded or an
    entry is missing.

    Where the spec `is_dynamic`, the training split holds probabilities in [0, 1] and every
    minibatch is binarised anew (Burda et al. 2016, arXiv:1509.00519, §5); validation and test are
    binarised once.
    """

    name: str  # with its options, such as "gaussian[dimensions=4]"
    spec: Spec
    train: Tensor
    validation: Tensor
    test: Tensor
    card: Card
    # split -> (N,) int64 in 0 … classes-1; empty for none. Where the spec says that some are
    # `unlabelled`, -1 is a row without a label
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    # fields of `training.Budget` that differ from its defaults
    budget: Mapping[str, object] = field(default_factory=dict)
    # x (N, *shape) -> log p(x) (N,) in nats, where it is known
    exact: Callable[[Tensor], Tensor] | None = None
    # row -> column -> number, from papers
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # x of a split (N, *shape) -> control rows that this data brings: row -> column -> number
    controls: Callable[[Tensor], Mapping[str, Mapping[str, float]]] | None = None
    options: Mapping[str, object] = field(default_factory=dict)  # of the source, all of them
    modes: Modes | None = None  # where they are known
    # split -> (N, F) int64, the true factors; empty for none
    factors: Mapping[str, Tensor] = field(default_factory=dict)
    # split -> (N, *shape) without the holes, where it is known
    truth: Mapping[str, Tensor] = field(default_factory=dict)
    # SHA-256 of the split's row indices; empty where the splits are generated or as shipped
    split_hash: str = ""
    # rows of test that are in train too, counted before binarisation; None: not counted
    duplicates: int | None = None
    # how x was made of the values of a user's file, and how it becomes them again; None: x is them
    reader: Reader | None = None

    @cached_property
    def identity(self) -> str:
        """What seeds are made from: the name, or for data read from a user's path its content, so
        that a moved file gives the same numbers.
        """
        if len(without_paths(self.options)) == len(self.options):
            return self.name
        content = hashlib.sha256("".join(self.hashes[split] for split in SPLITS).encode())
        return f"{self.name.partition('[')[0]}[{content.hexdigest()}]"

    def split(self, name: str) -> Tensor:
        """One of train, validation and test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def read_by(self, reader: Reader, split: str) -> Tensor:
        """One of the splits as a model with this reader is to see it: values of another file have
        the units of the model's own, though their mean is another.
        """
        own = self.reader or Reader()
        return as_read_by(reader, self.split(split), own, f"{self.name} ({split})")

    def must_be_sound(self, *splits: str) -> None:
        """Raises: BadData where a split is not what the spec says, so that no training runs on NaN
        that nothing masks.
        """
        door.must_agree(self)
        for name in splits:
            door.must_be_whole(self, name)

    def condition(self, name: str) -> Tensor | None:
        """The labels of a split as one-hot rows (N, classes), all zeros where a row has none; or
        None for unlabelled data.
        """
        if not self.labels:
            return None
        y = self.labels[name]
        c = F.one_hot(y.clamp_min(0), self.spec.classes).float()
        return c * (y >= 0)[:, None] if self.spec.unlabelled else c

    def labelled(self) -> "Data":
        """The rows that have a label, of every split."""
        if not self.spec.unlabelled:
            return self
        rows = {split: self.labels[split] >= 0 for split in SPLITS}
        n_train = int(rows["train"].sum())
        return replace(
            self,
            spec=replace(self.spec, unlabelled=0, n_train=n_train),
            labels={split: self.labels[split][kept] for split, kept in rows.items()},
            factors={split: of[rows[split]] for split, of in self.factors.items()},
            truth={split: of[rows[split]] for split, of in self.truth.items()},
            **by_split({split: self.split(split)[kept] for split, kept in rows.items()}),
        )

    def binarised(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Rows of the training split as a model is to see them: drawn anew where the data is
        dynamic.
        """
        if not self.spec.is_dynamic:
            return x
        bits = torch.bernoulli(x.nan_to_num(), generator=generator)
        return torch.where(x.isnan(), x, bits) if self.spec.has_gaps else bits

    @property
    def likelihoods(self) -> list[str]:
        """The likelihoods that speak of every value of x: grey pixels have no cross-entropy."""
        return [name for name in names("likelihood") if not self.why_not(name)]

    def why_not(self, likelihood: str) -> str:
        """Why this likelihood (with its options) is not for these values, with the spec's levels;
        "" where it is.
        """
        return self.why_unfit(head(replace(self.spec, likelihood=likelihood)), likelihood)

    def why_unfit(self, likelihood: Likelihood, name: str) -> str:
        """The same of a head: the first value that it does not speak of. "" where it does of all.

        This is the one place where data meet a likelihood; `must_fit` and planning ask it.
        """
        for split in SPLITS:
            if split == "train" and self.spec.is_dynamic:
                continue  # probabilities, of which every minibatch draws bits
            x = self.split(split)
            outside = ~likelihood.holds(x)
            if outside.any():
                value = x[tuple(outside.nonzero()[0])].item()
                words = likelihood.values or str(likelihood.support)
                return (
                    f"likelihood={name} is for {words}{_levels_in_words(likelihood)}, "
                    f"and {self.name} ({split}) has {value:g}"
                )
        return ""

    def must_fit(self, model: nn.Module | None = None) -> None:
        """Asked before training and before evaluation, on whatever path.

        Raises: BadData where x has values that its own likelihood, or one that the model holds,
        does not speak of: log p(x) of a rounded x would be no log p(x). So too a likelihood of its
        own where the data's is of mixed columns.
        """
        door.must_be_on_scale(self)
        own = head(self.spec)
        heads = [(self.spec.likelihood, own)]
        if model is not None:
            inner = [part for part in model.modules() if isinstance(part, Likelihood)]
            heads += [(type(part).__name__, part) for part in inner]
            if own.mixes and any(type(part) is not type(own) for part in inner):
                raise BadData(
                    f"{self.name} has columns of several types, and this model brings a likelihood "
                    "of its own, whose log p(x) compares with no other row's"
                )
        # most models hold the spec's own head, and all data is asked of each kind of values once
        by_values: dict[tuple[object, ...], tuple[str, Likelihood]] = {}
        for name, one in heads:
            by_values.setdefault(_values_of(one), (name, one))
        for name, one in by_values.values():
            if why := self.why_unfit(one, name):
                raise BadData(f"{why}; choose another likelihood, or the levels that the data has")

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every split's bytes, labels behind: what a trial's key and a card name. With a
        reader its own too: rows in other units can be the same x; and with times theirs.
        """

        def digest(name: str) -> str:
            h = hashlib.sha256(repr(tuple(self.split(name).shape)).encode())
            h.update(self.split(name).contiguous().numpy().tobytes())
            if self.labels:
                h.update(self.labels[name].contiguous().numpy().tobytes())
            return h.hexdigest()

        found = {name: digest(name) for name in SPLITS}
        if self.spec.times:
            found["times"] = hashlib.sha256(repr(self.spec.times).encode()).hexdigest()
        return found | ({"reader": self.reader.sha256} if self.reader else {})


# Options that came later and what they are unless said: keys without them are what they were.
LATER: dict[str, object] = {"draw": 0, "times": ""}


def identity_of(options: Mapping[str, object]) -> dict[str, object]:
    """The options that tell one data set from another in a key: neither where it is, nor what did
    not change it.
    """
    kept = without_paths(options)
    return {key: value for key, value in kept.items() if LATER.get(key, ...) != value}


def without_paths(options: Mapping[str, object]) -> dict[str, object]:
    """The options that do not say where a file is: what they name is known by its content."""
    return {
        key: value for key, value in options.items() if key != "path" and "path=" not in str(value)
    }


def _values_of(likelihood: Likelihood) -> tuple[object, ...]:
    """What the values that it speaks of depend on: equal for two heads that speak of the same."""
    return type(likelihood), str(likelihood.support), likelihood.levels


def _levels_in_words(likelihood: Likelihood) -> str:
    return f" with levels={likelihood.levels}" if isinstance(likelihood.support, Grid) else ""
