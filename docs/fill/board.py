"""The board: published tables beside results/, cell by cell."""

from pathlib import Path

from vaezoo.bench.board.ours import Results
from vaezoo.bench.board.page import board_of, grids, summary
from vaezoo.bench.report.typeset import grid_markdown
from vaezoo.data.published import published

from .blocks import pattern, refilled
from .results import RESULTS


def with_board(text: str, results: Path = RESULTS) -> str:
    """The page with the board in its block."""
    if not pattern("board").search(text):
        return text
    made = board_of(published(), Results(results))
    tables = [grid_markdown(grid).strip() for grid in grids(made)]
    return refilled(text, "board", lambda _: "\n\n".join([summary(made), *tables]))
