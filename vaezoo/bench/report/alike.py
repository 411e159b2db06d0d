"""Which rows of a table were made alike, and so may be compared.

Rows are compared where budget, size, data, protocol, class of device, torch and the draws of the
estimates are those that most rows of the data set have. What was asked for as a sweep may differ:
then rows are compared at one value of it.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from ...training.budget import Budget
from ..records import Record
from ..records.checks import brief
from ..trial import DRAWS, PROTOCOL, canonical

Json = dict[str, Any]
Swept = Mapping[str, Sequence[Any]]  # setting -> the values that were asked for
SIZES = ("epochs", "hidden", "latent")  # of equally common conditions the larger are the table's


@dataclass(frozen=True)
class Standing:
    """Whom a row is compared with: rows of the same `level`, unless there is a reason `why_not`."""

    level: str = ""  # its values of what is swept, such as "latent=8"
    why_not: str = ""
    is_stale: bool = False  # made by another protocol: shown, and compared with no row


ALIKE = Standing()  # with every other one


def conditions(trials: Sequence[Record]) -> Json:
    """What trials of one row were made with; where they differ, each value, joined by "and"."""
    each = [_of(trial) for trial in trials]
    if len({canonical(one) for one in each}) == 1:
        return each[0]
    found = {}
    for name in each[0]:
        values = list({canonical(one.get(name)): one.get(name) for one in each}.values())
        found[name] = values[0] if len(values) == 1 else " and ".join(map(str, values))
    return found


def _of(trial: Record) -> Json:
    made_of = trial.ingredients
    stored = made_of.stored
    content = "".join(f"{split}{made_of.hashes[split]}" for split in sorted(made_of.hashes))
    facts: Json = {
        "protocol": stored.get("protocol"),
        "device": str(stored.get("device", "cpu")).partition(":")[0],
        "precision": stored.get("precision", "float32"),
        "torch": trial.torch.partition("+")[0],
        "importance_samples": stored.get("importance_samples", DRAWS),
        "data": hashlib.sha256(content.encode()).hexdigest()[:8],
    }
    # what a likelihood says is in the same unit as what another one does
    size = {name: value for name, value in made_of.spec.items() if name != "likelihood"}
    return usual() | made_of.budget | size | facts


@cache
def usual() -> Json:
    """The budget of a trial that says nothing of it."""
    return asdict(Budget())


def unlike(a: Sequence[Record], b: Sequence[Record], *, is_one_variant: bool = True) -> str:
    """In what the trials of one row in two runs, A and B, were made otherwise: conditions,
    likelihood and, of one variant, hyperparameters that both state. "" where in nothing, or where
    one has no trial.
    """
    if not (a and b):
        return ""
    reasons = []
    for of_a, of_b in zip(_made(a, is_one_variant), _made(b, is_one_variant), strict=True):
        for name, value in of_a.items():
            if value != of_b.get(name, value):
                reasons.append(f"{name.replace('_', ' ')} {value} in A, {of_b[name]} in B")
    return "; ".join(reasons)


def _made(trials: Sequence[Record], with_hyperparameters: bool) -> tuple[Json, Json]:
    """The conditions of one row's trials, and what is the variant's own."""
    made_of = trials[0].ingredients
    own = made_of.hyperparameters if with_hyperparameters else {}
    return conditions(trials), {"likelihood": made_of.likelihood} | own


def standings(rows: Sequence[Sequence[Record]], swept: Swept) -> list[Standing]:
    """Whom each row of one data set is compared with, from the trials of each that are done."""
    each = [conditions(trials) if trials else {} for trials in rows]
    known = [_without(one, swept) for one in each if one and not _stale(one)]
    shared = _most_common(known) if known else {}
    found = []
    for one in each:
        if not one:
            found.append(ALIKE)
        elif why := _stale(one):
            found.append(Standing(why_not=why, is_stale=True))
        else:
            found.append(_standing(one, shared, swept))
    return found


def _stale(facts: Json) -> str:
    """Why the row is of another time than this version; "" where it is not."""
    protocol = facts["protocol"]
    if type(protocol) is int and protocol == PROTOCOL:
        return ""
    made_by = brief(protocol) if isinstance(protocol, int | str) else "no protocol"
    return f"stale: protocol {made_by}, and this version's is {PROTOCOL}"


def _without(facts: Json, swept: Swept) -> Json:
    """The facts, what is swept not among them where it has a value that was asked for."""
    return {name: value for name, value in facts.items() if not _is_asked(name, value, swept)}


def _is_asked(name: str, value: Any, swept: Swept) -> bool:
    return value in swept.get(name, ())


def _most_common(each: Sequence[Json]) -> Json:
    counts = Counter(map(canonical, each))

    def rank(facts: Json) -> tuple[Any, ...]:
        sizes = [facts.get(name) for name in SIZES]
        return counts[canonical(facts)], *(n if isinstance(n, int) else 0 for n in sizes)

    return max(each, key=rank)  # of equal ones the first


def _standing(mine: Json, shared: Json, swept: Swept) -> Standing:
    level = []
    reasons = []
    for name, value in mine.items():
        if _is_asked(name, value, swept):
            level.append(f"{name}={value}")
        elif value != (expected := shared.get(name)):
            asked = list(map(str, swept.get(name, [])))
            others = " or ".join(asked or [str(expected)])
            reasons.append(f"{name.replace('_', ' ')} {value}, not {others}")
    return Standing(", ".join(level), "; ".join(reasons))
