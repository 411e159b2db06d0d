"""A comparison of two runs as a table, and for a program."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..records.checks import storable
from .compare import Comparison, Key
from .typeset import Grid, brief

BY_SEED = (
    "p is that of a paired sign-flip permutation test, of a t-test where there are too few seeds "
    "for so many numbers"
)
BY_ROW = "p is that of a t-test paired by test row"


def compared_grid(found: Comparison) -> Grid:
    """The comparison as a table: A - B over the seeds that both runs have, where it is not 0."""
    differ = [one for one in found.shared if not one.is_equal]
    head = ["variant", "data set", "column", "A", "B", "A - B", "± 95 %", "n", "p", "verdict"]
    body = []
    for one in differ:
        gap = one.difference
        numbers = [brief(x) for x in (one.a, one.b, gap.mean, gap.ci95)]
        said = f"B {one.verdict}" if one.verdict in ("worse", "better") else one.verdict
        tested = [str(gap.n), brief(one.p_adjusted), said]
        body.append([one.variant, one.dataset, one.column.name, *numbers, *tested])
    caption = ". ".join(_notes(found, len(found.shared) - len(differ)))
    paired = "test row" if found.by_row else "seed"
    b = f"{found.against} of B" if found.against else "B"
    return Grid(f"A against {b}, paired by {paired}", head, body, caption=f"{caption}.")


def _notes(found: Comparison, equal: int) -> Iterator[str]:
    """What a reader must know of the comparison."""
    yield (
        f"A - B is the mean difference over the n {'test rows' if found.by_row else 'seeds'} that "
        "both runs have, ± the half width of its 95 % Student-t interval"
    )
    if found.by_row:
        yield (
            "Each test row's numbers are averaged over the seeds that both have: the interval "
            "covers other test rows for these models, and no other seeds"
        )
    yield (BY_ROW if found.by_row else BY_SEED) + (
        ", no spread being taken to be smaller than that of numbers rounded as their column "
        "shows; adjusted by Holm over all numbers that differ, those of columns that lead a table "
        "and the others apart"
    )
    yield f"{equal} more numbers are equal in both runs"
    by_reason: dict[str, list[Key]] = {}
    for key, why in found.refused.items():
        by_reason.setdefault(why, []).append(key)
    for why, rows in by_reason.items():
        yield f"Not compared: {_named(rows)} ({why})"
    for metric in found.other_code:
        yield f"Not compared where A and B were measured by unlike code: the metric {metric}"
    for (variant, dataset), column, why in found.lost:
        yield f"Lost in B: {column.name} of {variant} on {dataset} ({why})"
    for which, rows in (("A", found.only_a), ("B", found.only_b)):
        if rows:
            yield f"only in {which}: {_named(rows)}"


def _named(rows: Sequence[Key]) -> str:
    return ", ".join(f"{variant} on {dataset}" for variant, dataset in rows)


def compared_facts(found: Comparison) -> dict[str, Any]:
    """The comparison for a program: None where a number cannot be told."""
    shared = []
    for one in found.shared:
        gap = one.difference
        facts: dict[str, Any] = {
            "variant": one.variant,
            "dataset": one.dataset,
            "column": one.column.name,
            "leads": bool(one.column.lead),
        }
        facts |= {"a": one.a, "b": one.b, "a - b": gap.mean, "ci95": gap.ci95, "n": gap.n}
        facts |= {"p": one.p_adjusted, "test": gap.test, "verdict": one.verdict}
        shared.append(storable(facts))
    refused = [[*key, why] for key, why in found.refused.items()]
    lost = [[*key, column.name, why] for key, column, why in found.lost]
    code = {"by other code": found.other_code}
    alone = {"only in a": found.only_a, "only in b": found.only_b}
    return {"shared": shared, "refused": refused, "lost in b": lost, **alone, **code}
