"""What each variant makes, as small pictures for its entry on the page: an array is some hundred
bytes as a PNG of its own pixels, where a drawing of it is thousands.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...manifest import as_listed
from ...records import Damaged, arrays_of
from ..figures.sheets import is_roll
from ..rows import Row
from .source import Source, variant_of

BUDGET = 800_000  # bytes of base64, of the 3 MB that a page may have
MOST = 2_000_000  # pixels of one picture
WIDE = 640  # pixels on the page that a strip is about wide
PER_LINE = 12
GROUND = 255  # the lines between pictures are white

# array of figures.safetensors -> what it is
STRIPS: Mapping[str, str] = {
    "samples": "samples (means of p(x|z))",
    "reconstruction": "test rows, and below them their reconstructions",
    "traversal": "one number of a code from its 1 % to its 99 % quantile, a line a number",
    "interpolation": "between the codes of two test rows, which stand at the ends",
    "neighbour": "samples, and below them the nearest training rows",
}
ABOVE = {"reconstruction": "x", "neighbour": "neighbour_sample"}  # what stands over each line


@dataclass(frozen=True)
class View:
    """One strip of pictures."""

    what: str
    uri: str
    width: int  # pixels on the page
    height: int


def views(source: Source) -> dict[str, list[View]]:
    """Variant -> its strips, of its first row on each data set, as long as the budget lasts."""
    left = BUDGET
    found: dict[str, list[View]] = {}
    for row in _first_rows(source):
        for view in _of(source, row):
            if len(view.uri) <= left:
                left -= len(view.uri)
                found.setdefault(variant_of(row), []).append(view)
    return found


def _first_rows(source: Source) -> Iterator[Row]:
    """The first row of each variant on each data set that has a trial that is done, by the protocol
    of today.
    """
    seen = set()
    for row in source.own:
        place = (variant_of(row), row.dataset)
        if place not in seen and row.done and not row.standing.is_stale:
            seen.add(place)
            yield row


def _of(source: Source, row: Row) -> Iterator[View]:
    path = source.out / "trials" / row.done[0].key / "figures.safetensors"
    try:
        arrays = arrays_of(as_listed(path))
    except FileNotFoundError:
        return
    except Damaged:  # the figures have said so
        return
    for name, what in STRIPS.items():
        lines = _lines(name, arrays) if name in arrays else None
        if lines is not None:
            yield _view(f"{row.dataset}: {what}", _sheet(lines))


def _lines(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(lines, n, H, W, channels) in [0, 1]; None of what are no pictures."""
    x = arrays[name]
    if name in ("samples", "reconstruction", "neighbour"):
        x = x[:PER_LINE][None]
    if name in ABOVE and ABOVE[name] in arrays:
        above = arrays[ABOVE[name]][:PER_LINE]
        x = np.stack([above, x[0]]) if above.shape == x[0].shape else x
    if x.ndim == 4 and is_roll(x[0, 0]):
        x = np.flip(x.swapaxes(-1, -2), -2)[:, :, None]  # time to the right, high notes on top
    if x.ndim != 5 or x.shape[2] not in (1, 3) or x.size > MOST:
        return None
    pictures = np.moveaxis(np.nan_to_num(x, nan=0.0), 2, -1)
    grey = pictures.shape[-1] == 1
    return np.clip(1 - pictures if grey else pictures, 0, 1)  # ink on paper, as the figures have it


def _sheet(lines: np.ndarray) -> np.ndarray:
    """The pictures side by side, one pixel apart: bytes (height, width, channels)."""
    (down, across, height, width, channels) = lines.shape
    sheet = np.full((down * (height + 1) - 1, across * (width + 1) - 1, channels), GROUND, np.uint8)
    for i in range(down):
        for j in range(across):
            top, left = i * (height + 1), j * (width + 1)
            sheet[top : top + height, left : left + width] = np.round(255 * lines[i, j])
    return sheet


def _view(what: str, sheet: np.ndarray) -> View:
    import PIL.Image as pil

    image = pil.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    few = image.quantize(32) if image.mode == "L" else image.quantize(64)
    content = io.BytesIO()
    few.save(content, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    times = max(1, WIDE // image.width)
    return View(what, uri, times * image.width, times * image.height)
