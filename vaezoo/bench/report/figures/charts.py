"""Learning curves, and rate against distortion."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import ACCENT, INK, PER_PAGE, canvas, grid, pages, round_steps
from .material import Curve, Material

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


NEAREST = 4  # places around a point that are near enough to need no line


def curves(material: Material) -> list["Canvas"]:
    """Validation loss by epoch, a panel a variant, because losses of two variants are not on one
    scale.
    """
    every = [(row.name, material.curves(row)) for row in material.rows]
    found = [(name, seeds) for name, seeds in every if seeds]
    return [panels(page) for page in pages(found, 2 * PER_PAGE)]


def panels(found: Sequence[tuple[str, Sequence[Curve]]]) -> "Canvas":
    """A panel a variant, a line a seed."""
    columns = min(4, len(found))
    lines = math.ceil(len(found) / columns)
    figure, axes = grid(lines, columns, (1.7, 1.0), (0.5, 0.5))
    axes = axes.ravel()
    for ax, (name, seeds) in zip(axes, found, strict=False):
        for curve in seeds:
            _draw_curve(ax, curve)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[len(found) :]:
        ax.set_axis_off()

    # labels lie outside the panels: saving takes them in
    height = figure.get_figheight()
    width = figure.get_figwidth()
    figure.supxlabel("epoch (dot: the epoch returned to)", fontsize=8, y=-0.25 / height, va="top")
    figure.supylabel("validation loss", fontsize=8, x=-0.4 / width, ha="right")
    return figure


def _draw_curve(ax: "Axes", curve: Curve) -> None:
    epochs, losses, best = curve
    at_best = losses[epochs.index(best)] if best in epochs else math.nan
    ax.plot(epochs, losses, color=INK, linewidth=0.9, alpha=0.7)
    ax.plot([best], [at_best], "o", color=ACCENT, markersize=3)


def rate_distortion(material: Material) -> "Canvas | None":
    """KL against -E log p(x|z), means over seeds: an ELBO is a straight line, better ones are lower
    left. The columns are those that say that they are its axes.
    """
    columns = material.catalogue.columns.values()
    axes = {column.axis: column.name for column in columns if column.axis}
    if set(axes) != {"rate", "distortion"}:
        return None
    points = []
    for row in material.rows:
        rate = row.interval(axes["rate"]).mean
        distortion = row.interval(axes["distortion"]).mean
        if math.isfinite(rate) and math.isfinite(distortion):
            points.append((row.name, rate, distortion))
    if not points:
        return None
    figure = canvas(7.5, 5.5)
    ax = figure.subplots()
    _, rates, distortions = zip(*points, strict=True)
    ax.plot(rates, distortions, "o", color=INK, markersize=4)
    ax.set(xlabel="rate: KL(q(z|x) ‖ p(z)), nats", ylabel="distortion: −E log p(x|z), nats")
    ax.margins(0.12)
    _iso_elbo(ax)
    _labels(figure, ax, points)
    return figure


def _iso_elbo(ax: "Axes") -> None:
    """Lines of equal ELBO across the axes as they are."""
    (left, right) = ax.get_xlim()
    (low, high) = ax.get_ylim()
    for total in round_steps(left + low, right + high):
        ax.plot([left, right], [total - left, total - right], color="0.85", linewidth=0.7, zorder=0)
        x = min(right, total - low) if total - right < low else right
        y = total - x
        if low <= y <= high:
            ax.annotate(
                f"ELBO {-total:g}",
                (x, y),
                fontsize=6,
                color="0.55",
                ha="right",
                va="bottom",
                clip_on=True,
            )
    ax.set(xlim=(left, right), ylim=(low, high))


def _labels(
    figure: "Canvas", ax: "Axes", points: Sequence[tuple[str, float, float]], size: float = 7.0
) -> None:
    """Names beside their points, each at the first free place around its point, with a thin line
    where that is far.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    scale = figure.dpi / 72  # pixels a point
    places = _places()
    centres = [tuple(ax.transData.transform((x, y))) for _, x, y in points]
    taken = [_box(x, y, 5 * scale, 5 * scale) for x, y in centres]
    for (name, x, y), centre in zip(points, centres, strict=True):
        width = 0.6 * size * len(name) * scale
        height = 1.3 * size * scale
        boxes = [_beside(centre, offset, width, height, scale) for offset in places]
        free = _freest(boxes, taken)
        taken.append(boxes[free])
        _write(ax, name, (x, y), places[free], size, is_far=free >= NEAREST)


def _write(
    ax: "Axes",
    name: str,
    point: tuple[float, float],
    offset: tuple[float, float],
    size: float,
    is_far: bool,
) -> None:
    """The name at an offset in points from its point, with a line to it where that is far."""
    line: dict[str, Any] = {"arrowstyle": "-", "color": "0.6", "lw": 0.4}
    ax.annotate(
        name,
        point,
        offset,
        textcoords="offset points",
        fontsize=size,
        va="center",
        ha="left" if offset[0] > 0 else "right",
        arrowprops=line if is_far else None,
    )


def _beside(
    centre: tuple[float, ...],
    offset: tuple[float, float],
    width: float,
    height: float,
    scale: float,
) -> "Box":
    """The box in pixels of a text that begins, or ends, at an offset in points from the centre."""
    (px, py) = centre
    (dx, dy) = offset
    return _box(px + dx * scale + width / 2 * np.sign(dx), py + dy * scale, width, height)


def _freest(boxes: Sequence["Box"], taken: Sequence["Box"]) -> int:
    """The first of the boxes that cover least of what is taken."""
    covered = [_covered(box, taken) for box in boxes]
    return covered.index(min(covered))


def _covered(box: "Box", taken: Sequence["Box"]) -> float:
    """The area of the box that others cover, once for each of them."""
    return sum(_overlap(box, other) for other in taken)


def _places() -> list[tuple[float, float]]:
    """Offsets in points around a point, the near ones first."""
    around = [
        (r, a)
        for r in (7, 16, 26, 38, 52, 70, 90, 115)
        for a in (20, -20, 160, -160, 60, -60, 120, -120)
    ]
    return [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r, a in around]


Box = tuple[float, float, float, float]  # left, low, right, high


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [
        Figure("learning-curves", curves),
        Figure("rate-distortion", rate_distortion),
    ]
