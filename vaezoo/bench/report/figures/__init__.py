"""Figures of a run as PNG and SVG, one data set a figure, the first seed of each variant.

Drawn from figures.safetensors (see `material`), history.csv and trial.json alone. matplotlib is
used without its global state, and imported only to draw; the same trials give the same bytes.
"""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...store import Store
from .. import sweeps
from ..rows import Row
from .charts import curves, rate_distortion
from .classes import by_class
from .forecasts import forecasts
from .strips import reconstructions, samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Sequence[Row], Store], list["Figure"]]] = {
    "reconstructions": reconstructions,
    "samples": samples,
    "by-class": by_class,
    "forecasts": forecasts,
    "learning-curves": curves,
    "rate-distortion": rate_distortion,
}


def draw_all(rows: Sequence[Row], store: Store) -> None:
    """Every figure for which some trial has the material, under figures/."""
    for name, figure in sweeps.draw(rows):
        _save(figure, store, f"figures/{_slug(name)}")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        done = [row for row in rows if row.dataset == dataset and row.done]
        for kind, draw in FIGURES.items():
            for page, figure in enumerate(draw(done, store)):
                _save(
                    figure,
                    store,
                    f"figures/{kind}-{_slug(dataset)}" + (f"-{page + 1}" if page else ""),
                )


def _save(figure: "Figure", store: Store, name: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "none"}):
        for suffix, metadata in (
            ("png", {"Software": None}),
            ("svg", {"Date": None, "Creator": None}),
        ):
            content = io.BytesIO()
            figure.savefig(content, format=suffix, dpi=130, bbox_inches="tight", metadata=metadata)
            store.write(f"{name}.{suffix}", content.getvalue())


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
