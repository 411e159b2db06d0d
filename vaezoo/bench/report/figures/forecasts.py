"""Forecasts: test rows up to a step, and behind it what each variant makes of the steps that it has
not seen.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....hooks import Figure, hookimpl
from .canvas import NAMES, PAGE, caption, columns_that_fit, grid, lines_that_fit, pages
from .material import Arrays, Material
from .palette import ACCENT, colour
from .sheets import GAP, finish, is_roll
from .strips import SEQUENCE, steps_shown, strips

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PAST = 2  # steps shown before a forecast, as a multiple of its own
CHANNELS = 3  # drawn of a sequence, one above the other: their bands would cover each other
LANE = (1.9, 0.5)  # inches of one of them, at most
NARROWEST = 1.3


class Forecast(NamedTuple):
    """What one variant makes of N rows of T steps, of which it has seen all but the last H."""

    truth: np.ndarray  # (N, T, C)
    mean: np.ndarray  # (N, H, C)
    # (3, N, H, C): quantiles; None for 0/1 data, which have none to speak of
    band: np.ndarray | None

    @property
    def start(self) -> int:
        return self.truth.shape[1] - self.mean.shape[1]

    @property
    def first(self) -> int:
        """The first step that is drawn."""
        return max(0, self.start - PAST * self.mean.shape[1])


def forecasts(material: Material) -> Iterator["Canvas"]:
    """A strip a variant; a vertical line stands where the future begins."""
    found = [(name, _forecast(arrays)) for name, arrays in material.arrays("forecast_mean")]
    if not found:
        return
    one = found[0][1].truth[0]
    is_wide = is_roll(one)
    height = SEQUENCE[1] if is_wide else LANE[1] * min(CHANNELS, one.shape[-1])
    draw = _rolls if is_wide else _lines
    size = max(1, lines_that_fit(height, GAP[1]) - is_wide)
    for part in pages(found, size):
        yield draw(part, material.width)


def _forecast(arrays: Arrays) -> Forecast:
    return Forecast(
        arrays["forecast_truth"], arrays["forecast_mean"], arrays.get("forecast_quantiles")
    )


def _rolls(found: Sequence[tuple[str, Forecast]], width: float = PAGE) -> "Canvas":
    one = found[0][1]
    shown = [("data", one.truth[:, one.first :])]
    for name, forecast in found:
        whole = np.concatenate([forecast.truth[:, : forecast.start], forecast.mean], 1)
        shown.append((name, whole[:, one.first :]))  # (N, T - first, C)
    figure = strips(
        shown,
        "forecasts: data, and right of the line the mean of paths that the model draws",
        first=one.first,
        width=width,
    )
    for ax in figure.axes:
        ax.axvline(one.start - one.first - 0.5, color=ACCENT, linewidth=0.8)
    return figure


def _lines(found: Sequence[tuple[str, Forecast]], width: float = PAGE) -> "Canvas":
    one = found[0][1]
    length = one.truth.shape[1]
    channels = min(CHANNELS, one.truth.shape[2])
    every = [forecast for _, forecast in found]
    ranges = [_range(every, channel) for channel in range(channels)]
    n = min(len(one.truth), columns_that_fit(width, NARROWEST, GAP[0]))
    figure, panels = grid(len(found), n, _size(width, n, channels), GAP)
    for axes, (name, forecast) in zip(panels, found, strict=True):
        for row, ax in enumerate(axes):
            _row(ax, forecast, row, ranges, one.start)
            ax.set(xlim=(one.first, length - 1))
        finish(axes, name)
    caption(figure, _title(one, channels), steps_shown(one.first, length))
    return figure


def _size(width: float, n: int, channels: int) -> tuple[float, float]:
    """Of one of n panels side by side, in inches."""
    across = min(LANE[0], (width - NAMES + GAP[0]) / n - GAP[0])
    return across, LANE[1] * channels


def _title(one: Forecast, channels: int) -> str:
    told = "mean (dashed)" if one.band is None else "median (dashed) and 5 % to 95 % (band)"
    title = f"forecasts: data (solid), right of the line {told} of paths that the model draws"
    width = one.truth.shape[-1]
    if channels < width:
        title += f"; the first {channels} of {width} channels"
    return title


def _row(
    ax: "Axes", forecast: Forecast, row: int, ranges: Sequence[tuple[float, float]], start: int
) -> None:
    """The channels of one row, one above the other, and a line where the future begins."""
    for channel, (low, high) in enumerate(ranges):
        _lane(ax, forecast, row, channel, low, high)
    ax.axvline(start - 0.5, color=ACCENT, linewidth=0.8)
    ax.set(ylim=(0.95 - len(ranges), 1.05))


def _lane(ax: "Axes", forecast: Forecast, row: int, channel: int, low: float, high: float) -> None:
    """One channel of one row, low … high drawn as -channel … 1 - channel."""

    def placed(values: np.ndarray) -> np.ndarray:
        return (np.clip(values[row, :, channel], low, high) - low) / (high - low) - channel

    future = np.arange(forecast.start, forecast.truth.shape[1])
    color = colour(channel)
    middle = forecast.mean if forecast.band is None else forecast.band[1]
    ax.plot(placed(forecast.truth), color=color, linewidth=0.9)
    ax.plot(future, placed(middle), color=color, linewidth=0.9, linestyle=(0, (2, 1)))
    if forecast.band is not None:
        ax.fill_between(
            future,
            placed(forecast.band[0]),
            placed(forecast.band[2]),
            color=color,
            alpha=0.2,
            linewidth=0,
        )


def _range(found: Sequence[Forecast], channel: int) -> tuple[float, float]:
    """All values that are drawn, but at most the data's range again above and below it: no variant
    squeezes the rest.
    """
    truth = found[0].truth[..., channel]
    told = np.stack([(f.mean[None] if f.band is None else f.band)[..., channel] for f in found])
    low, high = float(np.nanmin(truth)), float(np.nanmax(truth))
    size = high - low or 1.0
    return max(low - size, min(low, float(np.nanmin(told)))), min(
        high + size, max(high, float(np.nanmax(told)))
    ) + 1e-9


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("forecasts", forecasts)]
