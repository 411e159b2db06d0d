"""What is asked for in words and numbers, held to what a run can have: seeds, grids of settings,
names that a table can show.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from ..data.words import cut
from ..registry.selection import Chosen
from .records.checks import LONGEST
from .trial import Json

MOST_SEEDS = 10_000
LARGEST_SEED = 2**63
MOST_TRIALS = 1_000_000  # of a run; more is a slip, and planning it would take hours


class PlanError(ValueError):
    """What was asked for cannot be planned."""


def parse_seeds(text: str | Sequence[int]) -> tuple[int, ...]:
    """ "3" -> (0, 1, 2); "0,5" and "0,5," -> those.

    Raises: PlanError for text that is neither.
    """
    if not isinstance(text, str):
        seeds = tuple(int(seed) for seed in text)
    else:
        try:
            numbers = [int(part) for part in text.split(",") if part.strip()]
        except ValueError:
            raise PlanError(
                f"seeds are a count such as 3 or a list such as 0,1,2, not {text[:40]!r}"
            ) from None
        if "," not in text and sum(numbers) > MOST_SEEDS:
            raise PlanError(
                f"{text[:40]} seeds are more than the {MOST_SEEDS:,} that a run may have"
            )
        seeds = tuple(numbers) if "," in text else tuple(range(sum(numbers)))
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        given = repr(text)[:60]
        raise PlanError(f"seeds must be at least one, distinct and not negative; got {given}")
    if len(seeds) > MOST_SEEDS or max(seeds) > LARGEST_SEED:
        raise PlanError(
            f"seeds are at most {MOST_SEEDS:,}, none above 2^63; got {len(seeds):,}, "
            f"the largest of {len(str(max(seeds)))} digits"
        )
    return seeds


def must_fill_a_stack(seeds: Sequence[int], places: int) -> None:
    """Raises: PlanError where there are fewer seeds than places: the others would be in vain."""
    if places > len(seeds):
        raise PlanError(
            f"--stack {places} trains {places} seeds as one, and there are {len(seeds)}; ask for "
            f"--seeds {places} or more, or for a smaller stack"
        )


def settings_grid(sets: Mapping[str, Any]) -> list[Json]:
    """The settings of each row: a list of values makes a row for each, several lists their
    Cartesian product.

    Raises: PlanError for more than a run may have.
    """
    values = [value if isinstance(value, list | tuple) else [value] for value in sets.values()]
    must_be_bearable(math.prod(map(len, values)), "combinations of settings")
    return [dict(zip(sets, one, strict=True)) for one in product(*values)]


def must_be_bearable(number: int, what: str) -> None:
    """Raises: PlanError for more than a run may have."""
    if number > MOST_TRIALS:
        raise PlanError(
            f"{cut(str(number), 20)} {what} are more than the {MOST_TRIALS:,} that a run may have"
        )


def must_be_labels(choices: Iterable[Chosen[Any]]) -> None:
    """Raises: PlanError for one that no table could show: its trials would be done in vain."""
    for choice in choices:
        if len(choice.label) > LONGEST:
            raise PlanError(
                f"{cut(choice.label, 60)} has a name of {len(choice.label):,} letters in tables, "
                f"and {LONGEST:,} are the most: give it shorter values, or a file a shorter path"
            )
