"""Learning curves, and rate against distortion."""

import csv
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store import Store
from ..rows import Row
from .canvas import ACCENT, INK, PER_PAGE, canvas, grid, parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """Validation loss by epoch, a panel a variant, because losses of two variants are not on one
    scale.
    """
    found = [(row.name, seeds) for row in rows if (seeds := _histories(row, store))]
    return [panels(part) for part in parts(found, 2 * PER_PAGE)]


def panels(found: Sequence[tuple[str, list[tuple[list[float], list[float], int]]]]) -> "Figure":
    """A panel a variant, a line a seed."""
    columns = min(4, len(found))
    lines = math.ceil(len(found) / columns)
    figure, axes = grid(lines, columns, (1.7, 1.0), (0.5, 0.5))
    axes = axes.ravel()
    for ax, (name, seeds) in zip(axes, found, strict=False):
        for epochs, losses, best in seeds:
            ax.plot(epochs, losses, color=INK, linewidth=0.9, alpha=0.7)
            ax.plot(
                [best],
                [losses[epochs.index(best)]] if best in epochs else [math.nan],
                "o",
                color=ACCENT,
                markersize=3,
            )
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    figure.supxlabel(
        "epoch (dot: the epoch returned to)", fontsize=8, y=-0.25 / figure.get_figheight(), va="top"
    )
    figure.supylabel("validation loss", fontsize=8, x=-0.4 / figure.get_figwidth(), ha="right")
    return figure


def _histories(row: Row, store: Store) -> list[tuple[list[float], list[float], int]]:
    """(epochs, validation losses, best epoch) of every seed."""
    found = []
    for trial in row.done:
        path = store.trials / trial["key"] / "history.csv"
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                lines = [line for line in csv.DictReader(file) if line.get("validation_loss")]
            found.append(
                (
                    [float(x["epoch"]) for x in lines],
                    [float(x["validation_loss"]) for x in lines],
                    trial["best_epoch"],
                )
            )
    return found


def rate_distortion(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """KL against -E log p(x|z), means over seeds: an ELBO is a straight line, better ones are lower
    left.
    """
    points = [
        (row.name, row.interval("kl").mean, row.interval("reconstruction_nll").mean) for row in rows
    ]
    points = [point for point in points if all(math.isfinite(value) for value in point[1:])]
    if not points:
        return []
    figure = canvas(7.5, 5.5)
    ax = figure.subplots()
    rate = np.array([p[1] for p in points])
    distortion = np.array([p[2] for p in points])
    ax.plot(rate, distortion, "o", color=INK, markersize=4)
    ax.set(xlabel="rate: KL(q(z|x) ‖ p(z)), nats", ylabel="distortion: −E log p(x|z), nats")
    ax.margins(0.12)
    _iso_elbo(ax)
    _labels(figure, ax, points)
    return [figure]


def _iso_elbo(ax: "Axes") -> None:
    """Lines of equal ELBO across the axes as they are."""
    (left, right) = ax.get_xlim()
    (low, high) = ax.get_ylim()
    for total in _round_steps(left + low, right + high):
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


def _round_steps(low: float, high: float, about: int = 6) -> list[float]:
    size = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(size))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= size)
    return [round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _labels(
    figure: "Figure", ax: "Axes", points: Sequence[tuple[str, float, float]], size: float = 7.0
) -> None:
    """Names beside their points, each at the first free place around its point, with a thin line
    where that is far.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    scale = figure.dpi / 72
    places = _places()
    centres = [tuple(ax.transData.transform((x, y))) for _, x, y in points]
    taken = [_box(x, y, 5 * scale, 5 * scale) for x, y in centres]
    for (name, x, y), (px, py) in zip(points, centres, strict=True):
        width = 0.6 * size * len(name) * scale
        height = 1.3 * size * scale
        boxes = [
            _box(px + dx * scale + width / 2 * np.sign(dx), py + dy * scale, width, height)
            for dx, dy in places
        ]
        best = min(
            range(len(boxes)), key=lambda i: (sum(_overlap(boxes[i], other) for other in taken), i)
        )
        taken.append(boxes[best])
        dx, dy = places[best]
        arrow: dict[str, Any] | None = (
            {"arrowstyle": "-", "color": "0.6", "lw": 0.4} if best > 3 else None
        )
        ax.annotate(
            name, (x, y), (dx, dy), textcoords="offset points", fontsize=size, va="center",
            ha="left" if dx > 0 else "right", arrowprops=arrow,
        )  # fmt: skip


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
