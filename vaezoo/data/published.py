"""Published tables: what papers print, one TOML file a table, found in the package
`vaezoo_published`.

A value says where it was read. One that somebody remembered says that: it is shown, and decides
nothing.
"""

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PACKAGE = "vaezoo_published"
MEMORY = "memory"
STRICT = ConfigDict(extra="forbid", frozen=True)

# how a paper prints what we call by the column: as it is, squared, with the other sign, or of a
# share that is right the percentage that is wrong
Printed = Literal["number", "square", "negative", "percent wrong"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class PublishedRow(BaseModel):
    """One row of a table, with a value for each data set of ours that it speaks of."""

    model_config = STRICT

    name: str  # as the paper calls it
    # the row of ours: a variant with its settings, as tables name it, "control: " and the name of
    # a control row, or "exact: " and what is computed from the data alone. "": there is none
    ours: str = ""
    column: str = ""  # of our tables; the table's unless given
    provenance: str = ""  # the table's unless given
    beside: bool = False  # whether our tables of these data sets have it as a row
    why: str = ""  # why ours deviates, in a sentence
    cells: dict[str, Number]  # data set -> value, as printed
    spread: dict[str, Number] = {}  # data set -> standard deviation, as printed


class PublishedTable(BaseModel):
    """What a paper prints, and how it is to be had here."""

    model_config = STRICT

    title: str
    paper: str
    # "memory"; else "read in …" or "computed from …"
    provenance: Annotated[str, Field(pattern="^(memory|read in .+|computed .+)$")]
    setting: str  # in words
    column: str  # of our tables
    unit: str = "nats"
    printed: Printed = "number"
    runs: Annotated[int, Field(ge=1)] = 1  # behind a spread
    suites: tuple[str, ...] = ()  # that make our numbers; the first that has one counts
    schedule: Literal["paper", "short"] = "paper"  # of the suites
    options: str = ""  # of `bench`, beside the suite
    cost: str = ""  # of the paper's schedule, in words
    is_dear: bool = False  # more than two cores do in a night
    absent: str = ""  # what data cannot be had
    # pairs of rows, of which the first is printed lower
    claims: tuple[tuple[str, str], ...] = ()
    rows: tuple[PublishedRow, ...]

    @model_validator(mode="after")
    def _squares_are_above_zero(self) -> "PublishedTable":
        values = [value for row in self.rows for value in row.cells.values()]
        if self.printed == "square" and min(values, default=0.0) < 0:
            raise ValueError("a square is never below 0")
        return self

    def provenance_of(self, row: PublishedRow) -> str:
        return row.provenance or self.provenance

    def column_of(self, row: PublishedRow) -> str:
        return row.column or self.column

    def as_printed(self, value: float) -> float:
        """A number of our column, as the paper prints it."""
        in_print = {
            "number": value,
            "square": value**2,
            "negative": -value,
            "percent wrong": 100 * (1 - value),
        }
        return in_print[self.printed]

    def as_ours(self, value: float) -> float:
        """A printed number, as our column has it."""
        if self.printed == "square":
            return math.sqrt(value)
        if self.printed == "percent wrong":
            return 1 - value / 100
        return -value if self.printed == "negative" else value


@cache
def published() -> Mapping[str, PublishedTable]:
    """The tables that come with vaezoo, by name."""
    files = sorted(resources.files(PACKAGE).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): read_published(file.read_text("utf-8"), file.name)
        for file in files
        if file.name.endswith(".toml")
    }


def read_published(text: str, who: str) -> PublishedTable:
    """The table that this TOML describes.

    Raises: ValueError, one sentence.
    """
    try:
        return PublishedTable(**tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "rows"
        raise ValueError(f"published table {who}: {where}: {first['msg'].lower()}") from None
    except ValueError as error:
        raise ValueError(f"published table {who} is not TOML: {error}") from None
    except RecursionError:
        raise ValueError(f"published table {who} is nested too deeply to be read") from None


def rows_beside(dataset: str) -> dict[str, dict[str, float]]:
    """The published rows that stand in our tables of a data set: row -> column -> number."""
    found: dict[str, dict[str, float]] = {}
    for table in published().values():
        for row in table.rows:
            if row.beside and dataset in row.cells:
                is_remembered = table.provenance_of(row) == MEMORY
                name = f"published: {row.name}" + " (from memory)" * is_remembered
                value = table.as_ours(row.cells[dataset])
                found.setdefault(name, {})[table.column_of(row)] = value
    return found
