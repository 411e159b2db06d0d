"""Every figure of a run as PNG and SVG: those of the registry, ours and those of plugins."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core import Unsupported
from ...evaluation.failures import one_line
from ...hooks import Figure
from ..store import Store
from ..text import in_svg, say
from .catalogue import catalogue_of
from .figures.material import Material
from .naming import file_names, safe_name
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


OWN_MATHS = r"\mathdefault"  # in what matplotlib writes beside logarithmic axes
# what a file may end with -> what it says of itself, without the time
KINDS: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None},
}


def draw_all(rows: Sequence[Row], store: Store, figures: Iterable[Figure]) -> None:
    """Every figure for which there is material, under figures/; why another one is left out goes to
    stderr. What another protocol made stands in no figure.
    """
    done = [row for row in rows if row.done and not row.standing.is_stale]
    whole = [Material(done, store, catalogue_of(rows))]
    names = file_names(row.dataset for row in done)
    by_dataset = [_of(whole[0], dataset) for dataset in names]
    for figure in figures:
        for material in whole if figure.of == "run" else by_dataset:
            for suffix, pictures in _pictures(figure, material).items():
                parts = [safe_name(figure.name), names.get(material.dataset, ""), suffix]
                name = "figures/" + "-".join(part for part in parts if part)
                for ending, content in pictures.items():
                    store.write(f"{name}.{ending}", content)


def _of(whole: Material, dataset: str) -> Material:
    """The part of the material that is of one data set."""
    rows = [row for row in whole.rows if row.dataset == dataset]
    return replace(whole, rows=rows, dataset=dataset)


def _pictures(figure: Figure, material: Material) -> dict[str, dict[str, bytes]]:
    """What to add to the file's name -> ending -> content."""
    try:
        drawn = _by_suffix(figure.draw(material))
        return {
            suffix: {ending: rendered(canvas, ending) for ending in ("png", "svg")}
            for suffix, canvas in drawn.items()
        }
    except Unsupported as why:
        reason = str(why)
    except Exception as error:  # a figure that fails costs itself, not the report
        reason = one_line(error)
    where = material.dataset or "the run"
    say(f"no figure {figure.name} of {where}: {reason}")
    return {}


def _by_suffix(drawn: Any) -> dict[str, "Canvas"]:
    """What `draw` returned, by what to add to the file's name. Raises: TypeError for no figure."""
    from matplotlib.figure import Figure as Canvas

    if drawn is None:
        return {}
    if isinstance(drawn, Mapping):
        names = file_names(map(str, drawn))
        found = {names[str(name)]: canvas for name, canvas in drawn.items()}
    else:
        pages = drawn if isinstance(drawn, list | tuple) else [drawn]
        found = {str(i) if i > 1 else "": page for i, page in enumerate(pages, 1)}
    for canvas in found.values():
        if not isinstance(canvas, Canvas):
            raise TypeError(f"draw must return a figure of matplotlib, not {canvas!r}")
    return found


def rendered(canvas: "Canvas", suffix: str) -> bytes:
    """The figure as a file that ends so, a key of `KINDS`; the same bytes at every call."""
    import matplotlib

    _tame(canvas)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "none"}):
        canvas.savefig(content, format=suffix, dpi=130, bbox_inches="tight", metadata=KINDS[suffix])
    return content.getvalue()


def _tame(canvas: "Canvas") -> None:
    """Takes from the figure's texts what XML has no word for, and what matplotlib would read as
    mathematics, its own labels aside.
    """
    from matplotlib.text import Text

    for one in canvas.findobj(Text):
        if isinstance(one, Text):
            text = one.get_text()
            if not text.isprintable():
                one.set_text(in_svg(text))
            if "$" in text and OWN_MATHS not in text:
                one.set_parse_math(False)
