"""Figures of a run as PNG and SVG: reconstructions, samples, learning curves, rate against distortion.

Drawn from figures.safetensors, history.csv and trial.json alone, one data set a figure, the first seed of each variant.
matplotlib is imported here only, without its global state; the same trials give the same bytes.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import sweeps
from .rows import Row
from .store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PAGE = 24  # variants in one figure of images; more go to further pages
COLUMNS = 8  # pictures side by side
SEQUENCES = 4  # the same for sequences, which are wider
INK = "#1b4965"
Arrays = dict[str, np.ndarray]


def draw_all(rows: Sequence[Row], store: Store) -> None:
    """Every figure for which some trial has the material, under figures/."""
    for name, figure in sweeps.draw(rows):
        _save(figure, store, f"figures/{_slug(name)}")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        done = [row for row in rows if row.dataset == dataset and row.done]
        for kind, draw in FIGURES.items():
            for page, figure in enumerate(draw(done, store)):
                _save(figure, store, f"figures/{kind}-{_slug(dataset)}" + (f"-{page + 1}" if page else ""))


def _save(figure: "Figure", store: Store, name: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "none"}):
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            content = io.BytesIO()
            figure.savefig(content, format=suffix, dpi=130, bbox_inches="tight", metadata=metadata)
            store.write(f"{name}.{suffix}", content.getvalue())


def _reconstructions(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """Test rows on top, below them what each variant makes of them, as far as the row goes."""
    found = _material(rows, store, "reconstruction")
    pages = []
    for part in _parts(found, PER_PAGE):
        x = part[0][1]["x"]
        strips = [("data", x), *((name, _where_seen(a["reconstruction"], x)) for name, a in part)]
        pages.append(_strips(strips, "reconstructions"))
    return pages


def _where_seen(mean: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sequences (N, T, C), NaN behind the last step of x; anything else as it is."""
    if x.ndim != 3:
        return mean
    padded = np.flip(np.logical_and.accumulate(np.flip(np.isnan(x).all(-1), 1), 1), 1)
    return np.where(padded[:, : mean.shape[1], None], np.nan, mean[:, : x.shape[1]])


def _samples(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """Draws of each variant's prior."""
    found = _material(rows, store, "samples")
    return [
        _strips([(n, a["samples"]) for n, a in part], "samples (means of p(x|z))", 16) for part in _parts(found, PER_PAGE)
    ]


def _strips(strips: Sequence[tuple[str, np.ndarray]], title: str, columns: int = COLUMNS) -> "Figure":
    """One strip of pictures a row, its name to the left; points in the plane share one scatter plot a strip."""
    is_plane, is_sequence = strips[0][1].ndim == 2, strips[0][1].ndim == 3
    columns, width, height = (SEQUENCES, 1.8, 0.8) if is_sequence else (columns, 0.5, 0.5)
    n = 1 if is_plane else min(columns, max(len(x) for _, x in strips))
    figure, grid = _grid(len(strips), n, (width, height), (0.04, 0.04))
    strips = _trimmed(strips, n) if is_sequence else strips
    for axes, (name, x) in zip(grid, strips, strict=True):
        for ax, one in zip(axes, [x] if is_plane else x[:n], strict=False):
            _picture(ax, one, is_plane)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    if is_sequence:
        _share_axes(grid)
        label = f"time, in steps (0 to {strips[0][1].shape[1]})"
        figure.supxlabel(label, fontsize=8, y=-0.05 / figure.get_figheight(), va="top")
    figure.suptitle(title, fontsize=9, y=1 + 0.08 / figure.get_figheight(), va="bottom")
    return figure


def _trimmed(strips: Sequence[tuple[str, np.ndarray]], n: int) -> list[tuple[str, np.ndarray]]:
    """Sequences without the steps that none of them has, and rolls without the channels in which hardly anything happens."""
    shown = [(name, x[:n]) for name, x in strips]
    steps = max(int(np.isfinite(x).any((0, 2)).nonzero()[0].max(initial=0)) + 1 for _, x in shown)
    if not _is_roll(shown[0][1][0]):
        return [(name, x[:, :steps]) for name, x in shown]
    used = np.flatnonzero(np.any([np.nan_to_num(x).max((0, 1)) > 0.1 for _, x in shown], 0))
    low, high = (used.min(), used.max() + 1) if len(used) else (0, shown[0][1].shape[-1])
    return [(name, x[:, :steps, low:high]) for name, x in shown]


def _share_axes(grid: np.ndarray) -> None:
    """One range of values and of time for all lines, so that strips can be compared."""
    lines = [line for ax in grid.ravel() for line in ax.get_lines()]
    if not lines:
        return
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    low, high, longest = np.nanmin(values), np.nanmax(values), max(len(line.get_ydata()) for line in lines)
    for ax in grid.ravel():
        ax.set(ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)), xlim=(0, longest - 1))


def _picture(ax: "Axes", x: np.ndarray, is_plane: bool) -> None:
    """An image (C, H, W), a sequence (T, C) as lines or, where wide, as a roll with time to the right; or points (N, D)."""
    if x.ndim == 3:
        image = np.moveaxis(x, 0, -1)
        ax.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    elif _is_roll(x):
        ax.imshow(x.T, cmap="gray_r", vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="nearest")
    elif is_plane:
        ax.plot(x[:, 0], x[:, 1], ".", color=INK, markersize=2)
    else:
        ax.plot(x, linewidth=0.7)


def _is_roll(x: np.ndarray) -> bool:
    """Whether a sequence (T, C) is a picture: many channels, none below 0."""
    return x.ndim == 2 and x.shape[-1] > 8 and not _is_signed(x)


def _is_signed(x: np.ndarray) -> bool:
    return bool(np.nanmin(x) < 0) if np.isfinite(x).any() else False


def _curves(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """Validation loss by epoch, a panel a variant, because losses of two variants are not on one scale."""
    found = [(row.name, curves) for row in rows if (curves := _histories(row, store))]
    return [_panels(part) for part in _parts(found, 2 * PER_PAGE)]


def _panels(found: Sequence[tuple[str, list[tuple[list[float], list[float], int]]]]) -> "Figure":
    columns = min(4, len(found))
    lines = math.ceil(len(found) / columns)
    figure, grid = _grid(lines, columns, (1.7, 1.0), (0.5, 0.5))
    axes = grid.ravel()
    for ax, (name, curves) in zip(axes, found, strict=False):
        for epochs, losses, best in curves:
            ax.plot(epochs, losses, color=INK, linewidth=0.9, alpha=0.7)
            ax.plot(
                [best], [losses[epochs.index(best)]] if best in epochs else [math.nan], "o", color="#d1495b", markersize=3
            )
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    figure.supxlabel("epoch (dot: the epoch returned to)", fontsize=8, y=-0.25 / figure.get_figheight(), va="top")
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
                ([float(x["epoch"]) for x in lines], [float(x["validation_loss"]) for x in lines], trial["best_epoch"])
            )
    return found


def _rate_distortion(rows: Sequence[Row], store: Store) -> list["Figure"]:
    """KL against -E log p(x|z), means over seeds: an ELBO is a straight line, better ones are lower left."""
    points = [(row.name, row.interval("kl").mean, row.interval("reconstruction_nll").mean) for row in rows]
    points = [point for point in points if all(math.isfinite(value) for value in point[1:])]
    if not points:
        return []
    figure = _figure(7.5, 5.5)
    ax = figure.subplots()
    rate, distortion = np.array([p[1] for p in points]), np.array([p[2] for p in points])
    ax.plot(rate, distortion, "o", color=INK, markersize=4)
    ax.set(xlabel="rate: KL(q(z|x) ‖ p(z)), nats", ylabel="distortion: −E log p(x|z), nats")
    ax.margins(0.12)
    _iso_elbo(ax)
    _labels(figure, ax, points)
    return [figure]


def _iso_elbo(ax: "Axes") -> None:
    """Lines of equal ELBO across the axes as they are."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for total in _round_steps(left + low, right + high):
        ax.plot([left, right], [total - left, total - right], color="0.85", linewidth=0.7, zorder=0)
        x = min(right, total - low) if total - right < low else right
        y = total - x
        if low <= y <= high:
            ax.annotate(f"ELBO {-total:g}", (x, y), fontsize=6, color="0.55", ha="right", va="bottom", clip_on=True)
    ax.set(xlim=(left, right), ylim=(low, high))


def _round_steps(low: float, high: float, about: int = 6) -> list[float]:
    size = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(size))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= size)
    return [round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _labels(figure: "Figure", ax: "Axes", points: Sequence[tuple[str, float, float]], size: float = 7.0) -> None:
    """Names beside their points, each at the first free place around its point, with a thin line where that is far."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    scale, places = figure.dpi / 72, _places()
    centres = [tuple(ax.transData.transform((x, y))) for _, x, y in points]
    taken = [_box(x, y, 5 * scale, 5 * scale) for x, y in centres]
    for (name, x, y), (px, py) in zip(points, centres, strict=True):
        width, height = 0.6 * size * len(name) * scale, 1.3 * size * scale
        boxes = [_box(px + dx * scale + width / 2 * np.sign(dx), py + dy * scale, width, height) for dx, dy in places]
        best = min(range(len(boxes)), key=lambda i: (sum(_overlap(boxes[i], other) for other in taken), i))
        taken.append(boxes[best])
        dx, dy = places[best]
        arrow: dict[str, Any] | None = {"arrowstyle": "-", "color": "0.6", "lw": 0.4} if best > 3 else None
        ax.annotate(
            name, (x, y), (dx, dy), textcoords="offset points", fontsize=size, va="center",
            ha="left" if dx > 0 else "right", arrowprops=arrow,
        )  # fmt: skip


def _places() -> list[tuple[float, float]]:
    """Offsets in points around a point, the near ones first."""
    around = [(r, a) for r in (7, 16, 26, 38, 52, 70, 90, 115) for a in (20, -20, 160, -160, 60, -60, 120, -120)]
    return [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r, a in around]


Box = tuple[float, float, float, float]  # left, low, right, high


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _material(rows: Sequence[Row], store: Store, name: str) -> list[tuple[str, Arrays]]:
    """(row's name, arrays) for the first seed of each row that has them."""
    found = [(row.name, _arrays(store.trials / row.done[0]["key"])) for row in rows]
    return [(row, arrays) for row, arrays in found if name in arrays]


def _arrays(folder: Path) -> Arrays:
    from safetensors.numpy import load_file

    path = folder / "figures.safetensors"
    return load_file(path) if path.is_file() else {}


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _grid(lines: int, columns: int, cell: tuple[float, float], gap: tuple[float, float]) -> tuple["Figure", np.ndarray]:
    """A figure that its panels fill, (width, height) of a panel and between panels in inches; saving takes in the labels."""
    figure = _figure(*(n * size + (n - 1) * space for n, size, space in zip((columns, lines), cell, gap, strict=True)))
    spaces = {"wspace": gap[0] / cell[0], "hspace": gap[1] / cell[1]}
    edges = {"left": 0, "right": 1, "bottom": 0, "top": 1}
    return figure, figure.subplots(lines, columns, squeeze=False, gridspec_kw=spaces | edges)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")


FIGURES: dict[str, Callable[[Sequence[Row], Store], list["Figure"]]] = {
    "reconstructions": _reconstructions,
    "samples": _samples,
    "learning-curves": _curves,
    "rate-distortion": _rate_distortion,
}
