"""Our numbers for published cells: of the runs in a folder of results, a run a suite, and of what
is computed from the data alone.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ...data.published import PublishedTable
from ..report.report import ReportError, read_rows
from ..report.rows import Row
from .exact import PREFIX, kept
from .verdict import Ours

CONTROL = "control: "  # of `PublishedRow.ours`: a control row of the run


class Results:
    """A folder of runs, each of which is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exact = kept(folder)
        self._rows: dict[str, list[Row]] = {}

    def of(self, table: PublishedTable) -> dict[tuple[str, str], Ours]:
        """(row of the table, data set) -> ours, of the cells that we have."""
        found = {}
        for row in table.rows:
            column = table.column_of(row)
            for dataset in row.cells if row.ours else ():
                ours = self._cell(table.suites, row.ours, dataset, column)
                if ours:
                    printed = tuple(map(table.as_printed, ours.values))
                    found[row.name, dataset] = Ours(printed, ours.is_exact)
        return found

    def _cell(self, suites: Sequence[str], name: str, dataset: str, column: str) -> Ours | None:
        if name.startswith(PREFIX):
            number = self.exact.get(name.removeprefix(PREFIX), {}).get(dataset)
            return None if number is None else Ours((number,), is_exact=True)
        for row in chain.from_iterable(map(self._of_suite, suites)):
            if row.dataset != dataset:
                continue
            if name.startswith(CONTROL) and column in row.controls.get(name[len(CONTROL) :], {}):
                return Ours((row.controls[name[len(CONTROL) :]][column],), is_exact=True)
            if row.name == name and (sample := row.sample(column)):
                return Ours(tuple(sample.values()))
        return None

    def _of_suite(self, suite: str) -> list[Row]:
        if suite not in self._rows:
            try:
                self._rows[suite] = read_rows(self.folder / suite, quiet=True)
            except ReportError:
                self._rows[suite] = []
        return self._rows[suite]
