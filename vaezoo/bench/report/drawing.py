"""Every figure of a run as PNG and SVG: those of the registry, ours and those of plugins."""

import io
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core import Unsupported
from ...evaluation.failures import one_line
from ...hooks import Figure
from ..store import Store
from .catalogue import catalogue_of
from .figures.material import Material
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


# what a file may end with -> what it says of itself, without the time
KINDS: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None},
}


def draw_all(rows: Sequence[Row], store: Store, figures: Iterable[Figure]) -> None:
    """Every figure for which there is material, under figures/; why another one is left out goes to
    stderr.
    """
    done = [row for row in rows if row.done]
    whole = [Material(done, store, catalogue_of(rows))]
    datasets = dict.fromkeys(row.dataset for row in done)
    by_dataset = [_of(whole[0], name) for name in datasets]
    for figure in figures:
        for material in whole if figure.of == "run" else by_dataset:
            for suffix, canvas in _drawn(figure, material).items():
                parts = [figure.name, slug(material.dataset), suffix]
                _save(canvas, store, "figures/" + "-".join(part for part in parts if part))


def _of(whole: Material, dataset: str) -> Material:
    """The part of the material that is of one data set."""
    rows = [row for row in whole.rows if row.dataset == dataset]
    return replace(whole, rows=rows, dataset=dataset)


def _drawn(figure: Figure, material: Material) -> dict[str, "Canvas"]:
    """What to add to the file's name -> figure of matplotlib."""
    try:
        return _by_suffix(figure.draw(material))
    except Unsupported as why:
        reason = str(why)
    except Exception as error:  # a figure that fails costs itself, not the report
        traceback.print_exc()
        reason = one_line(error)
    where = material.dataset or "the run"
    print(f"vaezoo: no figure {figure.name} of {where}: {reason}", file=sys.stderr)
    return {}


def _by_suffix(drawn: Any) -> dict[str, "Canvas"]:
    """What `draw` returned, by what to add to the file's name. Raises: TypeError for no figure."""
    from matplotlib.figure import Figure as Canvas

    if drawn is None:
        return {}
    if isinstance(drawn, Mapping):
        found = {slug(name): canvas for name, canvas in drawn.items()}
    else:
        pages = drawn if isinstance(drawn, list | tuple) else [drawn]
        found = {str(i) if i > 1 else "": page for i, page in enumerate(pages, 1)}
    for canvas in found.values():
        if not isinstance(canvas, Canvas):
            raise TypeError(f"draw must return a figure of matplotlib, not {canvas!r}")
    return found


def _save(canvas: "Canvas", store: Store, name: str) -> None:
    for suffix in ("png", "svg"):
        store.write(f"{name}.{suffix}", rendered(canvas, suffix))


def rendered(canvas: "Canvas", suffix: str) -> bytes:
    """The figure as a file that ends so, a key of `KINDS`; the same bytes at every call."""
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "none"}):
        canvas.savefig(content, format=suffix, dpi=130, bbox_inches="tight", metadata=KINDS[suffix])
    return content.getvalue()


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
