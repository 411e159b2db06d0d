"""Tables alone as a small page: no script, to be pasted or opened."""

from collections.abc import Sequence

from markupsafe import Markup

from ..typeset import Grid, split_marks
from .environment import digest, environment, text_of
from .sheets import Cell, Line, Sheet, slug

NAME = "tables.html"


def standalone(grids: Sequence[Grid]) -> str:
    """The grids as a page, with bold and footnotes."""
    policy = f"default-src 'none'; style-src '{digest(text_of('style.css'))}'"
    return (
        environment()
        .get_template(NAME)
        .render(
            policy=policy,
            style=Markup(text_of("style.css")),
            sheets=[_sheet(i, grid) for i, grid in enumerate(grids)],
        )
    )


def _sheet(i: int, grid: Grid) -> Sheet:
    lines = []
    for row, texts in enumerate(grid.body):
        cells = []
        for column, text in enumerate(texts):
            cells.append(Cell(*split_marks(text), (row, column) in grid.bold))
        lines.append(Line(cells, "", "", "", ""))
    return Sheet(slug(f"table-{i}"), "", grid, {"": lines})
