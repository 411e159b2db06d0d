"""The figures in figures/ as images that the page carries, within a budget of bytes."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from ...records.opened import content_of
from ..naming import file_names
from .source import Source

BUDGET = 1_400_000  # bytes of base64, of the 3 MB that a page may have
WIDEST = 1400  # pixels
COLOURS = 64
FROM_ROWS = ("critical-difference", "sweep")  # drawn from trial.json, which is always there
FILES = ("figures.safetensors", "history.csv")  # of a trial, from which the others are drawn
DRAWN_HERE = ("rate-distortion", "cost")  # the page has them as charts
# what a reader looks at first, and what the budget is spent on first
ORDER = (
    "samples",
    "reconstructions",
    "forecasts",
    "critical-difference",
    "points",
    "marginals",
    "traversals",
    "latent-map",
    "neighbours",
    "interpolations",
    "by-class",
    "sweep",
)


@dataclass(frozen=True)
class Image:
    """An image as a data URI, or why it is left out."""

    uri: str = ""
    width: int = 0  # pixels
    height: int = 0
    left_out: str = ""


@dataclass(frozen=True)
class Picture:
    """One page of a figure."""

    dataset: str  # "" of a figure of the whole run
    file: str
    about: str  # what the figure's docstring says first
    image: Image


def pictures(source: Source) -> dict[str, list[Picture]]:
    """Figure -> its images, as long as the budget lasts; what is left out says so."""
    left = BUDGET
    found: dict[str, list[Picture]] = {}
    for figure, dataset, path in _files(source):
        image = _embedded(path, left)
        left -= len(image.uri)
        where = path.relative_to(source.out).as_posix()
        one = Picture(dataset, where, _about(source, figure), image)
        found.setdefault(figure, []).append(one)
    return found


def _files(source: Source) -> list[tuple[str, str, Path]]:
    """(figure, data set, file) of every image of a figure that is known, and of a data
    set that the run has: other files may be of another run. Old ones are left out.
    """
    found = []
    for path in (source.out / "figures").glob("*.png"):
        owner = _owner(source, path.stem)
        if owner:
            found.append((*owner, path))
    new = {(figure, dataset) for figure, dataset, path in found if _is_new(source, path)}
    kept = [
        (figure, dataset, path)
        for figure, dataset, path in found
        if _is_new(source, path)
        or ((figure, dataset) not in new and _cannot_be_drawn(source, figure, dataset))
    ]
    return sorted(kept, key=_place)


def _is_new(source: Source, path: Path) -> bool:
    """Whether it was drawn with this page, or no figure was."""
    return source.figures is None or path.stem in source.figures


def _cannot_be_drawn(source: Source, figure: str, dataset: str) -> bool:
    """Whether a trial that the figure shows is without its files, as in results that are kept
    without them: then the image says what cannot be drawn again.
    """
    if figure in FROM_ROWS:
        return False
    shown = [row for row in source.own if dataset in ("", row.dataset) and row.done]
    folders = [
        source.out / "trials" / row.done[0].key for row in shown if not row.standing.is_stale
    ]
    return not all((folder / name).exists() for folder in folders for name in FILES)


def _owner(source: Source, stem: str) -> tuple[str, str] | None:
    """The figure and the data set that a file is of: those of the longest names that fit."""
    slugs = {name: dataset for dataset, name in file_names(source.datasets).items()}
    figures = source.known.figures
    for name in sorted(set(figures) - set(DRAWN_HERE), key=len, reverse=True):
        if not _is_of(stem, name):
            continue
        if figures[name].of == "run":
            return name, ""
        rest = stem[len(name) + 1 :]
        known = [one for one in slugs if _is_of(rest, one)]
        if known:
            return name, slugs[max(known, key=len)]
    return None


def _is_of(stem: str, name: str) -> bool:
    return stem == name or stem.startswith(f"{name}-")


def _place(found: tuple[str, str, Path]) -> tuple[int, str, str, int, str]:
    """Sorts by the figure's place, the data set, then page 2 before page 10."""
    (figure, dataset, path) = found
    place = ORDER.index(figure) if figure in ORDER else len(ORDER)
    page = path.stem.rpartition("-")[2]
    return place, figure, dataset, int(page) if page.isdigit() else 1, path.stem


def _about(source: Source, figure: str) -> str:
    """The first sentence of its docstring."""
    text = " ".join(source.known.figures[figure].doc.split())
    return text.partition(". ")[0].rstrip(".")


def _embedded(path: Path, left: int) -> Image:
    """The image in few colours, if it fits into so many bytes."""
    import PIL.Image as pil

    try:
        with pil.open(io.BytesIO(content_of(path)), formats=["PNG"]) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError) as error:
        return Image(left_out=f"it cannot be read as a picture ({type(error).__name__})")
    if image.width > WIDEST:
        image.thumbnail((WIDEST, image.height))
    content = io.BytesIO()
    # the fastest way to few colours: figures are lines and greys
    few = image.quantize(COLOURS, method=pil.Quantize.FASTOCTREE, dither=pil.Dither.NONE)
    few.save(content, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    if len(uri) > left:
        return Image(left_out=f"the page has room for {BUDGET / 1e6:g} MB of pictures")
    return Image(uri, image.width, image.height)
