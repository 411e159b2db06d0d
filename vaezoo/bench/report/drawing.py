"""Every figure of a run as PNG and SVG, or as PDF: ours and those of plugins."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ...core import Unsupported
from ...evaluation.failures import one_line
from ...hooks import Figure
from ..store import Store
from ..text import in_svg, say
from .catalogue import catalogue_of
from .families import family_of
from .figures.canvas import PAGE
from .figures.material import Material
from .naming import file_names, safe_name
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    from ...registry.entries import Variant


R = TypeVar("R")
OWN_MATHS = r"\mathdefault"  # in what matplotlib writes beside logarithmic axes
# what a file may end with -> what it says of itself, without the time
KINDS: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# letters stay letters: TrueType in a PDF, as journals want it
SETTINGS: Mapping[Any, Any] = {"svg.hashsalt": "vaezoo", "svg.fonttype": "none", "pdf.fonttype": 42}
ROUNDS = 4  # in which a figure is made to fit
LEAST = 0.3  # of its size, in one of them
EDGE = 0.02  # inches around what is drawn


def draw_all(
    rows: Sequence[Row],
    store: Store,
    figures: Iterable[Figure],
    variants: Mapping[str, "Variant"] | None = None,
) -> set[str]:
    """Every figure for which there is material, under figures/; why another one is left out goes to
    stderr. What another protocol made stands in no figure. Families are those of the `variants`.

    Returns the names of the files, without their endings. Others that are there stay: what they
    were drawn from may be gone.
    """

    def render(canvas: "Canvas") -> dict[str, bytes]:
        _tame(canvas)
        box = _box(canvas)
        return {ending: _saved(canvas, ending, box) for ending in ("png", "svg")}

    names = set()
    for name, contents in _drawn(_material(rows, store, variants or {}), figures, render):
        names.add(name)
        for ending, content in contents.items():
            store.write(f"figures/{name}.{ending}", content)
    return names


def for_paper(
    rows: Sequence[Row],
    store: Store,
    figures: Iterable[Figure],
    variants: Mapping[str, "Variant"],
    width: float = PAGE,
    ending: str = "pdf",
) -> dict[str, bytes]:
    """Name -> file of every figure of these rows, none of them wider than so many inches."""

    def render(canvas: "Canvas") -> bytes:
        return rendered(fitted(canvas, width), ending)

    return dict(_drawn(_material(rows, store, variants, width), figures, render))


def _material(
    rows: Sequence[Row], store: Store, variants: Mapping[str, "Variant"], width: float = PAGE
) -> Material:
    """Of the rows that are done by the protocol of today."""
    done = [row for row in rows if row.done and not row.standing.is_stale]
    families = {name: family_of(variant.tags).name for name, variant in variants.items()}
    return Material(done, store, catalogue_of(rows), width=width, families=families)


def _drawn(
    whole: Material, figures: Iterable[Figure], render: "Callable[[Canvas], R]"
) -> Iterator[tuple[str, R]]:
    """The name of each file without its ending, and the figure rendered."""
    names = file_names(row.dataset for row in whole.rows)
    by_dataset = [_of(whole, dataset) for dataset in names]
    for figure in figures:
        for material in [whole] if figure.of == "run" else by_dataset:
            for suffix, content in _pictures(figure, material, render).items():
                parts = [safe_name(figure.name), names.get(material.dataset, ""), suffix]
                yield "-".join(part for part in parts if part), content


def _of(whole: Material, dataset: str) -> Material:
    """The part of the material that is of one data set."""
    rows = [row for row in whole.rows if row.dataset == dataset]
    return replace(whole, rows=rows, dataset=dataset)


def _pictures(figure: Figure, material: Material, render: "Callable[[Canvas], R]") -> dict[str, R]:
    """What to add to the file's name -> the figure, rendered."""
    try:
        return {suffix: render(canvas) for suffix, canvas in _by_suffix(figure.draw(material))}
    except Unsupported as why:
        reason = str(why)
    except Exception as error:  # a figure that fails costs itself, not the report
        reason = one_line(error)
    where = material.dataset or "the run"
    say(f"no figure {figure.name} of {where}: {reason}")
    return {}


def fitted(canvas: "Canvas", width: float) -> "Canvas":
    """The figure, its panels made smaller until it is no wider with its labels, in inches; letters
    keep their size. A line of text that alone is wider is broken.
    """
    for _ in range(ROUNDS):
        box = canvas.get_tightbbox()
        if box.width + 2 * EDGE <= width:
            break
        for text in _texts(canvas):
            _break(text, (width - 2 * EDGE) * canvas.dpi)
        (across, down) = canvas.get_size_inches()
        beside = canvas.get_tightbbox().width - across
        share = (width - 2 * EDGE - beside) / across
        canvas.set_size_inches(across * max(share, LEAST), down * max(share, LEAST))
    return canvas


def _break(text: "Text", most: float) -> None:
    """Puts a level text of several words that is wider than so many pixels into lines."""
    import textwrap

    words = text.get_text()
    wide = text.get_window_extent().width
    if " " in words and not text.get_rotation() and wide > most:
        letters = int(0.95 * len(words) * most / wide)
        text.set_text(textwrap.fill(words, max(letters, 10)))


def _texts(canvas: "Canvas") -> "list[Text]":
    from matplotlib.text import Text

    return [one for one in canvas.findobj(Text) if isinstance(one, Text)]


def _by_suffix(drawn: Any) -> Iterator[tuple[str, "Canvas"]]:
    """What to add to the file's name, and the figure, of all that `draw` returned.

    Raises: TypeError for no figure.
    """
    from matplotlib.figure import Figure as Canvas

    for suffix, canvas in _with_suffixes(drawn):
        if not isinstance(canvas, Canvas):
            raise TypeError(f"draw must return a figure of matplotlib, not {canvas!r}")
        yield suffix, canvas


def _with_suffixes(drawn: Any) -> Iterator[tuple[str, Any]]:
    if drawn is None:
        return
    if isinstance(drawn, Mapping):
        names = file_names(map(str, drawn))
        for name, canvas in drawn.items():
            yield names[str(name)] if name else "", canvas
    else:
        pages = drawn if isinstance(drawn, list | tuple | Iterator) else [drawn]
        for i, page in enumerate(pages, 1):
            yield str(i) if i > 1 else "", page


def rendered(canvas: "Canvas", suffix: str) -> bytes:
    """The figure as a file that ends so, a key of `KINDS`; the same bytes at every call."""
    _tame(canvas)
    return _saved(canvas, suffix, "tight")


def _box(canvas: "Canvas") -> "Bbox":
    """What is drawn, in inches, with an edge around it. Files of two kinds share it: to look for it
    takes as long as to draw.
    """
    if canvas.get_layout_engine() is not None:  # which works when it draws
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")
    return canvas.get_tightbbox().padded(EDGE)


def _saved(canvas: "Canvas", suffix: str, box: "Bbox | Literal['tight']") -> bytes:
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context(dict(SETTINGS)):
        canvas.savefig(
            content,
            format=suffix,
            dpi=130,
            bbox_inches=box,
            pad_inches=EDGE,
            metadata=KINDS[suffix],
        )
    return content.getvalue()


def _tame(canvas: "Canvas") -> None:
    """Takes from the figure's texts what XML has no word for, and what matplotlib would read as
    mathematics, its own labels aside.
    """
    for one in _texts(canvas):
        text = one.get_text()
        if not text.isprintable():
            one.set_text(in_svg(text))
        if "$" in text and OWN_MATHS not in text:
            one.set_parse_math(False)
