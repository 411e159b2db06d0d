"""What is known of each variant of the run: objective, paper, what tests prove of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...records import Ingredients
from ..families import Family, family_of
from ..known import KnownVariant
from .source import Source

if TYPE_CHECKING:
    from ....author.certificates import Claim

GONE = "Its plugin is not installed here, so that there is nothing to say of it."


@dataclass(frozen=True)
class Card:
    """One variant."""

    name: str
    family: Family
    tags: str
    what: str  # its first sentence
    objective: str  # as the docstring has it; "" where it has none
    more: Sequence[str]  # further paragraphs
    paper: str
    claims: "Sequence[Claim]"
    hyperparameters: Mapping[str, str]  # of its first row
    brought_by: str


def cards(source: Source) -> Iterator[Card]:
    """The variants of the run, by name."""
    for name, made_of in sorted(source.built.items()):
        variant = source.variant(name)
        values = {key: str(value) for key, value in made_of.hyperparameters.items()}
        if variant is None:
            family = family_of(())
            yield Card(name, family, "", GONE, "", [], "", [], values, _owner(made_of))
        else:
            yield _card(variant, values, _owner(made_of))


def _card(variant: KnownVariant, values: Mapping[str, str], brought_by: str) -> Card:
    said = [one for one in variant.doc.strip().split("\n\n") if not one.startswith("Paper:")]
    (what, objective, *more) = [*said, "", ""][: max(2, len(said))]
    return Card(
        name=variant.name,
        family=family_of(variant.tags),
        tags=" ".join(variant.tags),
        what=" ".join(what.split()),
        objective=objective,
        more=[" ".join(one.split()) for one in more],
        paper=variant.paper,
        claims=variant.claims,
        hyperparameters=values,
        brought_by=brought_by,
    )


def _owner(made_of: Ingredients) -> str:
    """The module of the plugin, and its distribution with its version."""
    plugin = made_of.plugin
    who = f"{made_of.distribution} {plugin.get('version', '')}".strip() or "a loose file"
    return f"{made_of.module} ({who})"
