"""What the page tells, gathered by `report`."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...records import Ingredients, RunRecord
from ..catalogue import Catalogue, catalogue_of
from ..families import Family, family_of
from ..known import Known, KnownVariant
from ..rows import Row
from ..tables import ResultTable
from ..typeset import Grid


@dataclass(frozen=True)
class Source:
    """A run as it was read, and its tables as the other files have them."""

    out: Path
    run: RunRecord
    rows: Sequence[Row]
    tables: Sequence[tuple[ResultTable, Sequence[Grid]]]  # each with its grids, one a data set
    refused: Sequence[str]  # a sentence for each number that cannot be
    aside: Mapping[str, str]  # file -> why it does not fit
    known: Known  # what is installed here
    figures: Set[str] | None = None  # names of the files drawn with this page; None where none were
    plugins_dir: Path | str | None = None  # the loose files that are installed too

    @property
    def own(self) -> list[Row]:
        """The rows of this run: references are of another."""
        return [row for row in self.rows if not row.is_reference]

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(row.dataset for row in self.rows))

    @cached_property
    def catalogue(self) -> Catalogue:
        return catalogue_of(self.rows)

    @cached_property
    def built(self) -> dict[str, Ingredients]:
        """name of a variant -> what its first row was made of."""
        found: dict[str, Ingredients] = {}
        for row in self.rows:
            found.setdefault(variant_of(row), row.trials[0].ingredients)
        return found

    def variant(self, name: str) -> KnownVariant | None:
        """What is known of it; None where its plugin is not installed here."""
        return self.known.variants.get(name)

    def tags(self, row: Row) -> list[str]:
        """The tags of a row's variant, sorted."""
        variant = self.variant(variant_of(row))
        return list(variant.tags) if variant else []

    def family(self, row: Row) -> Family:
        """The family of a row's variant."""
        return family_of(self.tags(row))


def variant_of(row: Row) -> str:
    """The name of its variant, without hyperparameters and sampler."""
    return row.trials[0].ingredients.name
