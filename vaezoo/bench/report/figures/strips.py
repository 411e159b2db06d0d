"""Strips of pictures, one variant a strip: reconstructions and samples."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import NAMES, PAGE, caption, columns_that_fit, lines_that_fit, pages
from .material import Material
from .sheets import GAP, Line, is_roll, sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLUMNS = 8  # pictures side by side
SEQUENCES = 4  # the same for sequences, which are wider
PICTURE = (0.5, 0.5)  # inches, at most
SEQUENCE = (1.8, 0.8)
SMALLEST = 0.26  # inches that a picture is wide, at least
NARROWEST = 1.3  # the same of a sequence
QUIET = 0.1  # a channel of a roll whose values stay below this is not shown


def reconstructions(material: Material) -> Iterator["Canvas"]:
    """Test rows on top, below them what each variant makes of them, as far as the row goes."""
    shown: list[tuple[str, np.ndarray]] = []
    for name, arrays in material.arrays("reconstruction"):
        x = arrays["x"]
        if x.ndim > 2:  # vectors are no pictures
            shown += [] if shown else [("data", x)]
            shown.append((name, where_seen(arrays["reconstruction"], x)))
    for part in pages(shown[1:], lines_of(shown) - 1):
        yield strips([shown[0], *part], "reconstructions", width=material.width)


def where_seen(mean: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sequences (N, T, C), NaN behind the last step of x; anything else as it is."""
    if x.ndim != 3:
        return mean
    padded = np.flip(np.logical_and.accumulate(np.flip(np.isnan(x).all(-1), 1), 1), 1)
    return np.where(padded[:, : mean.shape[1], None], np.nan, mean[:, : x.shape[1]])


def samples(material: Material) -> Iterator["Canvas"]:
    """Draws of each variant's prior."""
    found = material.arrays("samples")
    shown = [(name, arrays["samples"]) for name, arrays in found if arrays["samples"].ndim > 2]
    for page in pages(shown, lines_of(shown)):
        yield strips(page, "samples (means of p(x|z))", 16, width=material.width)


def lines_of(shown: Sequence[tuple[str, np.ndarray]]) -> int:
    """Strips of one page, two at least."""
    is_sequence = bool(shown) and shown[0][1].ndim == 3
    height = SEQUENCE[1] if is_sequence else PICTURE[1]
    return max(2, lines_that_fit(height, GAP[1]))


def strips(
    shown: Sequence[tuple[str, np.ndarray]],
    title: str,
    columns: int = COLUMNS,
    first: int = 0,
    width: float = PAGE,
) -> "Canvas":
    """One strip of pictures a row, its name to the left, as many as `width` inches take.

    Sequences begin at step `first`.
    """
    is_sequence = shown[0][1].ndim == 3
    most = min(SEQUENCES if is_sequence else columns, max(len(x) for _, x in shown))
    (n, cell) = fitting(most, is_sequence, width)
    shown = trimmed(shown, n) if is_sequence else shown
    lines = [Line(name, x[:n]) for name, x in shown]
    figure = sheet(lines, n, cell, is_shared=is_sequence)
    below = steps_shown(first, first + shown[0][1].shape[1]) if is_sequence else ""
    caption(figure, title, below)
    return figure


def fitting(most: int, is_sequence: bool, width: float) -> tuple[int, tuple[float, float]]:
    """How many pictures stand side by side in so many inches, at most `most`, and the size of each:
    as large as they may be.
    """
    (widest, height) = SEQUENCE if is_sequence else PICTURE
    least = NARROWEST if is_sequence else SMALLEST
    n = min(most, columns_that_fit(width, least, GAP[0]))
    room = (width - NAMES + GAP[0]) / n - GAP[0]
    across = min(widest, room)
    return n, (across, height if is_sequence else across)


def steps_shown(first: int, stop: int) -> str:
    """What the axes of time show."""
    return f"time, in steps ({first} to {stop})"


def trimmed(named: Sequence[tuple[str, np.ndarray]], n: int) -> list[tuple[str, np.ndarray]]:
    """Sequences without the steps that none of them has, and rolls without the channels in which
    hardly anything happens.
    """
    shown = [(name, x[:n]) for name, x in named]  # (n, T, C) each
    steps = max(_last_step(x) for _, x in shown)
    if not is_roll(shown[0][1][0]):
        return [(name, x[:, :steps]) for name, x in shown]

    loud = np.any([_loudest(x) > QUIET for _, x in shown], 0)  # (C,)
    used = np.flatnonzero(loud)
    low, high = (used[0], used[-1] + 1) if len(used) else (0, len(loud))
    return [(name, x[:, :steps, low:high]) for name, x in shown]


def _last_step(x: np.ndarray) -> int:
    """The number of steps up to the last one that some sequence (N, T, C) has, 1 at least."""
    seen = np.isfinite(x).any((0, 2))  # (T,)
    return int(np.flatnonzero(seen).max(initial=0)) + 1


def _loudest(x: np.ndarray) -> np.ndarray:
    """(N, T, C) -> (C,): the largest value of each channel."""
    return np.nan_to_num(x).max((0, 1))


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [
        Figure("reconstructions", reconstructions),
        Figure("samples", samples),
    ]
