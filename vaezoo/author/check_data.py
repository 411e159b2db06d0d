"""Does a data set keep the contract? What a training would find out, before one."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..data import door
from ..data.data import SPLITS, Data
from ..data.files import Files
from ..registry.entries import Dataset
from .case import Broken
from .check import Finding

Load = Callable[[], Data]


def check_data(entry: Dataset, options: Mapping[str, Any], files: Files) -> list[Finding]:
    """Every rule, in order; the first that is broken ends it.

    Raises: MissingData where its files are not here.
    """

    def load() -> Data:
        return entry.load(files, **options)

    found = []
    for rule in RULES:
        start = time.perf_counter()
        finding = _run(rule, load)
        found.append(Finding(*finding, seconds=time.perf_counter() - start))
        if not finding[2]:
            break
    return found


def _run(rule: Callable[[Load], None], load: Load) -> tuple[str, str, bool, str, str]:
    try:
        rule(load)
    except Broken as broken:
        return rule.__name__, "data", False, broken.seen, broken.mend
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a plugin raises is an answer, not a crash of the check
        words = str(error).strip().partition("\n")[0]
        return rule.__name__, "data", False, words or type(error).__name__, "see the sentence"
    return rule.__name__, "data", True, "", ""


def is_sound(load: Load) -> None:
    """Types, shapes, labels, n_train and gaps are what the spec says."""
    data = load()
    data.must_be_sound(*SPLITS)
    door.must_be_on_scale(data)


def has_values_of_its_likelihood(load: Load) -> None:
    """Every value is one that the spec's likelihood speaks of."""
    data = load()
    if why := data.why_not(data.spec.likelihood):
        raise Broken(why, f"choose one of {', '.join(data.likelihoods)}, or scale the values")


def is_the_same_again(load: Load) -> None:
    """Loaded twice, whatever was drawn between, it has the same bytes."""
    first = load().hashes
    torch.rand(7)
    if load().hashes != first:
        raise Broken(
            "loaded twice it is not the same",
            "draw with generators seeded by name: vaezoo.seeds.generator_for",
        )


def has_all_classes(load: Load) -> None:
    """Every class has rows to train on."""
    data = load()
    if data.labels:
        lacking = set(range(data.spec.classes)) - set(data.labels["train"].unique().tolist())
        if lacking:
            raise Broken(
                f"the class {min(lacking)} has no row to train on",
                "count classes in all splits, or split with labels=",
            )


def has_a_card(load: Load) -> None:
    """The card says what it is, where it is from, whose it is and what was done to it."""
    card = load().card
    for name in ("title", "source", "licence", "processing"):
        if not getattr(card, name).strip():
            raise Broken(f"its card has no {name}", f"write Card({name}=…)")


RULES = (
    is_sound,
    has_values_of_its_likelihood,
    is_the_same_again,
    has_all_classes,
    has_a_card,
)
